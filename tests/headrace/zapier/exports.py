"""Exports of Zapier, made up: an ordinary one, and hostile ones."""

from __future__ import annotations

import random
from typing import Any

PLANTED = (
    "Zq7w-hunter2-pass",
    "sk_live_abcdef1234567890",
    "plantedheadersecret99",
    "xoxb-123456789012-abcdefABCDEF",
    "QUERYSECRET123456",
    "T00000000/B11111111/hookpath7secret",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "body-field-secret-1",
    "code-step-secret-77",
    "AKIAIOSFODNN7EXAMPLE",
)


STRANGE: tuple[Any, ...] = (
    *(None, True, 7, -1.5, "", [], {}, [[]], [{}], "x" * 5000, {"key": "{{1__a}}"}, {"a": {"b": ["{{1__c}}", None]}}),
    *("{{", "}}", "{{1__}}", "{% raw %}", "{{ 1 }}", "{{1__a__b__0__c[]d}}", "{{1__x}} and {{99__y}}"),
    *("{{1__class}}", "{{1____class__}}", '{{1__a"]}} {{x}}', "- a: b", "*alias", "&anchor", "#", "yes", "0123"),
    *("2026-01-01", "\u2028\n\x00", "é🙂"),
)
APIS = (
    *("WebHookCLIAPI@1.0.29", "WebHookCLIAPI@1.0.29", "SlackCLIAPI@2", "GoogleSheetsV2CLIAPI@2.4", "FilterAPI"),
    *("BranchingAPI", "ZapierFormatterAPI", "DelayAPI", "DigestCLIAPI", "CodeAPI", "ScheduleCLIAPI"),
    *("App12345CLIAPI@9", "StripeCLIAPI", "GmailV2CLIAPI", "", None, 7),
)
ACTIONS = (
    "hook_v2",
    "post",
    "get",
    "filter",
    "branch",
    "channel_message",
    "string",
    "everyDay",
    "add_row",
    "",
    None,
    3,
)
PARAMS = (
    *("url", "url", "data", "headers", "channel", "text", "inputs", "transform"),
    *("filter_criteria", "time_of_day", "day", "to", "method"),
)


def node(
    id_: int, api: str, action: str, parent: int | None = None, kind: str = "write", **params: Any
) -> dict[str, Any]:
    """Return one step as exports have it."""
    return {
        "id": id_,
        "type_of": kind,
        "selected_api": api,
        "action": action,
        "params": params,
        "meta": {"$editor": {"has_automatic_issues": False}},
        "parent_id": parent,
        "root_id": None if parent is None else 1,
        "authentication_id": None,
        "paused": False,
        "title": None,
    }


def zap(id_: int, title: str, *nodes: dict[str, Any], status: str = "on") -> dict[str, Any]:
    """Return one Zap."""
    return {"id": id_, "title": title, "status": status, "nodes": {str(entry["id"]): entry for entry in nodes}}


def hook(id_: int = 1, action: str = "hook_v2") -> dict[str, Any]:
    """Return a catch hook trigger."""
    return node(id_, "WebHookCLIAPI@1.0.29", action, kind="read")


def post(id_: int, parent: int, url: str = "https://crm.example.com/api/invoices", **params: Any) -> dict[str, Any]:
    """Return a webhook action."""
    return node(id_, "WebHookCLIAPI@1.0.29", "post", parent, url=url, **params)


def rules(id_: int, parent: int, *criteria: Any, api: str = "FilterAPI", **params: Any) -> dict[str, Any]:
    """Return a filter."""
    return node(id_, api, "filter", parent, filter_criteria=list(criteria), **params)


def rule(field: str, match: str, value: object = "") -> dict[str, Any]:
    """Return one rule on a field of step 1."""
    return {"key": "{{1__" + field + "}}", "match": match, "value": value}


def export(*zaps: Any) -> dict[str, Any]:
    """Return the whole document."""
    return {"metadata": {"version": "1.0"}, "zaps": list(zaps)}


def with_credentials() -> dict[str, Any]:
    """Return an export with a credential in every place where people put one."""
    url = f"https://me:{PLANTED[0]}@crm.example.com/v1/{{{{1__id}}}}?api_key={PLANTED[4]}&mode=live"
    headers = {"Authorization": f"Bearer {PLANTED[1]}", "X-Custom": PLANTED[2], "Accept": "application/json"}
    listed = [{"key": "X-Api-Key", "value": PLANTED[2]}, ["Authorization", f"Token {PLANTED[7]}"]]
    data = {"amount": "{{1__amount}}", "api_token": PLANTED[8], "jwt": PLANTED[6], PLANTED[7]: "name"}
    slack = f"https://hooks.slack.com/services/{PLANTED[5]}"
    code = f"requests.get('https://x', headers={{'k': '{PLANTED[9]}'}})"
    return export(
        zap(1, f"Paid {PLANTED[3]}", hook(), post(2, 1, url, headers=headers, data=data, payload_type="json")),
        zap(2, "listed", hook(), post(2, 1, headers=listed, basic_auth=f"me|{PLANTED[0]}", data=[["a", PLANTED[10]]])),
        zap(3, "slack hook", hook(), post(2, 1, slack, data={"text": "hi"})),
        zap(4, "code", hook(), node(2, "CodeAPI", "python", 1, code=code), post(3, 2, data={"x": "{{2__out}}"})),
        zap(5, "raw", hook(), post(2, 1, data=f"token={PLANTED[6]}")),
        zap(6, "filter", hook(), rules(2, 1, rule("token", "exact", PLANTED[1])), post(3, 2)),
        zap(7, "slack", hook(), node(2, "SlackCLIAPI", "channel_message", 1, channel="C1", text=f"t {PLANTED[3]}")),
    )


def hostile(seed: int, count: int = 300) -> dict[str, Any]:
    """Return an export of ``count`` Zaps in which anything may be missing, of another type, or strange."""
    chance = random.Random(seed)

    def pick(*usual: Any) -> Any:
        return chance.choice(usual) if usual and chance.random() < 0.7 else chance.choice(STRANGE)

    def params() -> Any:
        found = {
            key: pick("{{1__a}}", "https://x.example.com/{{1__id}}", "9am") for key in PARAMS if chance.random() < 0.5
        }
        if chance.random() < 0.3:
            found["filter_criteria"] = [rule(str(pick("a")), str(pick("exact", "gt", "exists")), pick("1"))]
        return found if chance.random() < 0.9 else chance.choice(STRANGE)

    def mutated(value: Any) -> Any:
        if chance.random() < 0.04:
            return chance.choice(STRANGE)
        if isinstance(value, dict):
            return {key: mutated(item) for key, item in value.items() if chance.random() < 0.98}
        return [mutated(item) for item in value] if isinstance(value, list) else value

    def random_steps() -> dict[str, Any]:
        nodes: dict[str, Any] = {}
        for step in range(chance.randrange(7)):
            nodes[str(step)] = {
                "id": pick(step),
                "type_of": "read" if step == 0 else pick("write", "read"),
                "selected_api": chance.choice(APIS),
                "action": chance.choice(ACTIONS),
                "params": params(),
                "parent_id": None if step == 0 else pick(step - 1, 0, step),
            }
        return nodes

    zaps: list[Any] = []
    for number in range(count):
        call = post(3, 2, data={"a": "{{1__a}}"}, headers={"X-A": "{{1__b}}"})
        entry = zap(number, f"Zap {number % 40}", hook(), rules(2, 1, rule("a", "exact", "b")), call)
        if chance.random() < 0.5:
            entry["nodes"] = random_steps()
        zaps.append(mutated(entry))
    return export(*zaps)
