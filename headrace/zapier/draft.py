"""The routing table that an import writes: what is ready as YAML, and what is not as comments that say why."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from connectors.registry import connector_names
from headrace.config import ConfigError, load_routing_table
from headrace.zapier.carried import Variables
from headrace.zapier.credentials import redact, without
from headrace.zapier.plan import RoutePlan, ZapPlan
from headrace.zapier.references import quoted

CHECKS_MAX = 1000  # each takes out what was wrong, so this is only a guard
NAME_CHARS_MAX = 48

HEAD = """\
# Made from an export of Zapier by `headrace zapier import`. Read every comment, then `headrace check`.
#
# - A source that came from a catch hook is unsigned, as the hook was: choose a scheme that its producer can sign with.
# - A field that is missing is an error here, where Zapier sent nothing: add `| default("")` where that is meant.
# - No credential was carried over: set the variables that end in _env, and `headrace check --env` says what is missing.
"""


@dataclass
class Draft:
    """A table in the making: ``sources``, ``destinations`` and ``schedules`` by name, and what became of each Zap."""

    plans: list[ZapPlan]
    variables: Variables
    sources: dict[str, dict[str, object]] = field(default_factory=dict)
    destinations: dict[str, dict[str, object]] = field(default_factory=dict)
    schedules: dict[str, dict[str, object]] = field(default_factory=dict)
    routes: dict[str, tuple[dict[str, object], ZapPlan, RoutePlan]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table as it is written to a file: valid by `load_routing_table`."""
        lines = [HEAD, "version: 1"]
        lines += _section("sources", self.sources)
        lines += _section("destinations", self.destinations)
        lines.append("routes:" if self.routes else "routes: []")
        for plan in self.plans:
            lines += self._zap_lines(plan)
        if self.schedules:
            lines.append("schedules:")
            for name, entry in self.schedules.items():
                lines += _item({"name": name, **entry})
        return without("\n".join(lines) + "\n", self.variables.credentials)

    def _zap_lines(self, plan: ZapPlan) -> list[str]:
        lines = ["", f"  # {_comment(plan.title)}: {plan.verdict}"]
        lines += [f"  # - {_comment(text)}" for text in [*plan.problems, *plan.notes]]
        for entry, owner, route in self.routes.values():
            if owner is plan:
                lines += [f"  # - {_comment(note)}" for note in (route.carried.notes if route.carried else ())]
                lines += _item(entry)
        carried = [route for _, owner, route in self.routes.values() if owner is plan]
        for route in plan.routes:
            if route.problem and route not in carried:
                lines.append(f"  # Not carried over: {_comment(route.title)}: {_comment(route.problem)}")
        return lines


def draft_table(plans: list[ZapPlan], variables: Variables) -> Draft:
    """Return the table for these Zaps; what `load_routing_table` would refuse becomes a comment with the reason."""
    draft = Draft(plans, variables)
    sources, routes, destinations = _Names(), _Names(), _Names()
    for plan in plans:
        _add(plan, draft, sources, routes, destinations)
    for _ in range(CHECKS_MAX):
        refused = _refused(draft)
        if not refused:
            break
        for name, reason in refused.items():
            _, _, route = draft.routes.pop(name)
            route.problem = route.problem or f"the route would not be valid: {redact(reason)}"
            route.verdict = "needs a decision" if route.verdict == "ready" else route.verdict
        _drop_unused(draft)
    return draft


class _Names:
    """Unique names of one kind: sources and schedules, routes, or destinations."""

    def __init__(self) -> None:
        self._taken: set[str] = {"headrace", "schedules"}

    def take(self, text: str, fallback: str) -> str:
        """Return a name made of ``text`` that nobody has yet."""
        stem = re.sub(r"[^a-z0-9]+", "-", text.lower().encode("ascii", "ignore").decode()).strip("-")
        stem = stem[:NAME_CHARS_MAX].strip("-") or fallback
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name


def _add(plan: ZapPlan, draft: Draft, sources: _Names, routes: _Names, destinations: _Names) -> None:
    ready = [route for route in plan.routes if route.carried is not None]
    if not plan.zap.on or plan.problems or not ready:
        for route in ready if plan.zap.on else ():
            route.problem = route.problem or "the Zap's trigger needs a decision first"
            route.verdict = "needs a decision"
        return
    source = _source(plan, draft, sources)
    known = connector_names()
    for route in ready:
        assert route.carried is not None  # noqa: S101  for mypy: chosen above
        carried = route.carried
        if carried.connector not in known:
            route.problem, route.verdict = f"there is no connector {carried.connector}", "needs a connector"
            continue
        name = routes.take(plan.title, f"zap-{plan.zap.id}"[:NAME_CHARS_MAX].lower())
        conditions = [
            *([f"event.type == {quoted(source)}"] if plan.cron else []),
            *([route.when] if route.when else []),
        ]
        when = " and ".join(f"({text})" for text in conditions) if len(conditions) > 1 else "".join(conditions)
        entry: dict[str, object] = {
            "name": name,
            "source": "schedules" if plan.cron else source,
            **({"when": when} if when else {}),
            "to": _destination(carried.connector, carried.settings, draft, destinations),
            "action": carried.action,
            **({"with": carried.parameters} if carried.parameters else {}),
        }
        texts = _texts([carried.settings, carried.parameters, route.when])
        if any(without(text, draft.variables.credentials) != text for text in texts):
            route.problem, route.verdict = "a parameter holds what looks like a credential", "needs a decision"
            continue
        if carried.credentials_left_out:
            route.problem, route.verdict = "a credential was left out: name its variable", "needs a decision"
        draft.routes[name] = (entry, plan, route)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def _source(plan: ZapPlan, draft: Draft, names: _Names) -> str:
    name = names.take(plan.title, "zap")
    if plan.cron:
        draft.schedules[name] = {"cron": plan.cron}
    elif plan.scheme == "none":
        draft.sources[name] = {"scheme": "none", "allow_unsigned": True}
    return name


def _destination(connector: str, settings: Mapping[str, object], draft: Draft, names: _Names) -> str:
    wanted = {"connector": connector, **settings}
    for name, found in draft.destinations.items():
        if found == wanted:
            return name
    base = str(settings.get("base_url", ""))
    name = names.take(re.sub(r"^https?://", "", base) or connector, connector)
    draft.destinations[name] = wanted
    return name


def _refused(draft: Draft) -> dict[str, str]:
    """Return the routes that the table's own check refuses, or that go where it refuses, with the reason."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "headrace.yaml"
        path.write_text(yaml.safe_dump(_plain(draft), sort_keys=False, allow_unicode=False, width=10**6))
        try:
            load_routing_table(path)
        except ConfigError as error:
            return _blamed(draft, [(mistake.key, mistake.message) for mistake in error.mistakes])
    return {}


def _plain(draft: Draft) -> dict[str, object]:
    return {
        "version": 1,
        "sources": draft.sources,
        "destinations": draft.destinations,
        "routes": [entry for entry, _, _ in draft.routes.values()],
        "schedules": [{"name": name, **entry} for name, entry in draft.schedules.items()],
    }


def _blamed(draft: Draft, mistakes: Iterable[tuple[str, str]]) -> dict[str, str]:
    order = list(draft.routes)
    blamed: dict[str, str] = {}
    for key, message in mistakes:
        match = re.match(r"(routes|schedules)\[([0-9]+)\]|(sources|destinations)\.([a-z0-9-]+)", key)
        if match and match[1] == "routes":
            blamed.setdefault(order[int(match[2])], message)
            continue
        wanted = list(draft.schedules)[int(match[2])] if match and match[1] else match[4] if match else None
        for name, (entry, _, _) in draft.routes.items():
            if wanted is None or wanted in (entry["to"], entry["source"]) or wanted in str(entry.get("when", "")):
                blamed.setdefault(name, message)
    # A mistake that no route answers for would go on for ever: then all of them do.
    return blamed or dict.fromkeys(order, "the table as a whole is not valid")


def _drop_unused(draft: Draft) -> None:
    entries = [entry for entry, _, _ in draft.routes.values()]
    conditions = " ".join(str(entry.get("when", "")) for entry in entries)
    draft.destinations = {name: v for name, v in draft.destinations.items() if any(e["to"] == name for e in entries)}
    draft.sources = {name: v for name, v in draft.sources.items() if any(e["source"] == name for e in entries)}
    draft.schedules = {name: v for name, v in draft.schedules.items() if quoted(name) in conditions}


def _section(name: str, entries: Mapping[str, Any]) -> list[str]:
    if not entries:
        return [f"{name}: {{}}"]
    text = yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=False, width=10**6)
    return [f"{name}:", *(f"  {line}" for line in text.splitlines())]


def _item(entry: Mapping[str, Any]) -> list[str]:
    text = yaml.safe_dump([dict(entry)], sort_keys=False, allow_unicode=False, width=10**6)
    return [f"  {line}" for line in text.splitlines()]


def _comment(text: str) -> str:
    shown = "".join(letter if letter.isprintable() and letter != "\u2028" else " " for letter in text)
    return redact(shown)[:300]
