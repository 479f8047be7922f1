"""Which action of which connector a step of a known app becomes.

Apps and actions are matched loosely: versions of Zapier's apps differ in what they call things. Parameters are taken by
the names that Zapier's forms give them; what has no counterpart is named in a comment, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.zapier.carried import Carried, Variables, left_out, value_of
from headrace.zapier.export import Step
from headrace.zapier.references import Outputs, Untranslatable, has_reference


@dataclass(frozen=True, slots=True)
class Service:
    """How steps of an app become calls: ``parameters`` maps each parameter to the names that Zapier's forms give it.

    ``env`` has the settings that name a variable, with its ending, ``settings`` those that a step's parameter gives.
    ``hooks`` are hosts of addresses that are credentials, for webhook steps that post to one.
    """

    apps: str
    actions: str
    connector: str
    action: str
    parameters: Mapping[str, tuple[str, ...]]
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hooks: str = ""


_TOKEN = {"token_env": "TOKEN"}
_HOOK = {"url_env": "WEBHOOK_URL"}
SERVICES: tuple[Service, ...] = (
    Service(
        "slack",
        ".*(message|post).*",
        "slack",
        "post_message",
        {"channel": ("channel", "user", "channel_id"), "text": ("text", "message")},
        _TOKEN,
    ),
    Service("-", "", "slack_webhook", "post_message", {"text": ("text",)}, _HOOK, hooks=r"hooks\.slack\.com"),
    Service(
        "discord",
        ".*message.*",
        "discord",
        "post_message",
        {"content": ("content", "message", "text", "message_text")},
        _HOOK,
        hooks=r"(.+\.)?discord(app)?\.com",
    ),
    Service(
        "(microsoft)?teams",
        ".*message.*",
        "teams",
        "post_message",
        {"text": ("text", "message", "body"), "title": ("title",)},
        _HOOK,
        hooks=r".+\.webhook\.office\.com",
    ),
    Service(
        "telegram(bot)?",
        ".*message.*",
        "telegram",
        "send_message",
        {"chat_id": ("chat_id", "chat"), "text": ("text", "message")},
        _TOKEN,
    ),
    Service(
        "googlesheets?",
        ".*(add|create|append|new).*row.*",
        "google_sheets",
        "append_rows",
        {"spreadsheet": ("spreadsheet", "spreadsheet_id"), "sheet": ("worksheet", "sheet"), "row": ("row", "columns")},
        {"service_account_env": "SERVICE_ACCOUNT"},
    ),
    Service(
        "airtable",
        ".*(create|new).*record.*",
        "airtable",
        "create_record",
        {"table": ("table", "tablename", "table_name"), "fields": ("fields", "record")},
        _TOKEN,
        {"base_id": ("base", "applicationid", "application", "base_id")},
    ),
    Service(
        "github",
        ".*(create|new).*issue.*|issue",
        "github",
        "create_issue",
        {"repository": ("repo", "repository"), "title": ("title",), "body": ("body", "text")},
        _TOKEN,
    ),
    Service(
        "github",
        ".*comment.*",
        "github",
        "create_comment",
        {"repository": ("repo", "repository"), "issue": ("issue", "number", "issue_number"), "body": ("body", "text")},
        _TOKEN,
    ),
    Service(
        "sendgrid",
        ".*(send|email|mail).*",
        "sendgrid",
        "send_mail",
        {
            "sender": ("from", "from_email", "sender"),
            "to": ("to", "to_email", "recipients"),
            "subject": ("subject",),
            "text": ("body", "text", "plain_body"),
            "html": ("html", "body_html", "html_body"),
        },
        _TOKEN,
    ),
    Service(
        "stripe",
        ".*customer.*",
        "stripe",
        "create_customer",
        {"email": ("email",), "name": ("name",), "phone": ("phone",), "description": ("description",)},
        _TOKEN,
    ),
)


def service_call(service: Service, step: Step, outputs: Outputs, variables: Variables) -> Carried:
    """Return the call of a service's step.

    Raises:
        Untranslatable: a parameter cannot be expressed, or a setting is not there.
    """
    found = Carried(service.connector, {}, service.action, {})
    for setting, ending in service.env.items():
        found.settings[setting] = variables.name(service.connector, ending, f"{step.app}/{step.authentication}")
    used: set[str] = set()
    for setting, names in service.settings.items():
        name = next((name for name in names if isinstance(step.params.get(name), str)), None)
        if name is None or has_reference(str(step.params[name])):
            raise Untranslatable(f"{service.connector} needs {setting}, which the step does not have as a fixed value")
        used.add(name)
        found.settings[setting] = step.params[name]
    for parameter, names in service.parameters.items():
        name = next((name for name in names if step.params.get(name) not in (None, "", [], {})), None)
        if name is not None:
            used.add(name)
            found.parameters[parameter] = value_of(name, step.params[name], outputs)
    found.notes += left_out(name for name in step.params if name not in used)
    return found
