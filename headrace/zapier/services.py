"""Which action of which connector a step of a Zap becomes.

Apps and actions are matched loosely: versions of Zapier's apps differ in what they call things. Parameters are taken by
the names that Zapier's forms give them; what has no counterpart is named in a comment, never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from headrace.zapier.credentials import is_credential_name, looks_like_credential
from headrace.zapier.export import Step
from headrace.zapier.references import Outputs, Untranslatable, has_reference, translate

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_KEY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "content-language", "x-requested-with"})


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


@dataclass
class Carried:
    """A step, carried over: a destination's settings and a route's action. ``notes`` are for a person to read."""

    connector: str
    settings: dict[str, object]
    action: str
    parameters: dict[str, object]
    notes: list[str] = field(default_factory=list)
    credentials_left_out: bool = False

    def leave_out(self, note: str) -> None:
        """Note that a credential was left out: the call will not work until somebody names its variable."""
        self.notes.append(note)
        self.credentials_left_out = True


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


class Variables:
    """Names for environment variables: one for each credential, the same for the same one."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self.credentials: set[str] = set()

    def name(self, service: str, ending: str, identity: str) -> str:
        """Return the variable for a credential, which ``identity`` tells from others of the service."""
        found = self._names.get((ending, identity))
        if found is None:
            stem = re.sub(r"[^A-Z]+", "_", service.upper()).strip("_") or "DESTINATION"
            taken = set(self._names.values())
            endings = (f"{ending}{number}" for number in ("", *(f"_{chr(c)}" for c in range(66, 91))))
            names = (f"{stem}_{ending}" for ending in endings)
            found = next((name for name in names if name not in taken), f"{stem}_{ending}_{len(taken)}")
            self._names[ending, identity] = found
        return found

    def keep_out(self, value: object) -> None:
        """Note a credential that must not come out of this anywhere."""
        if isinstance(value, str) and value.strip():
            self.credentials.add(value.strip())


def carry(step: Step, outputs: Outputs, variables: Variables) -> Carried:
    """Return what becomes of an action's step.

    Raises:
        NoConnector: nothing here speaks to this app, or does this with it.
        Untranslatable: what it does cannot be expressed, or needs a person.
    """
    if step.app.startswith("webhook"):
        return _webhook(step, outputs, variables)
    for service in SERVICES:
        if re.fullmatch(service.apps, step.app) and re.fullmatch(service.actions, step.action or "send"):
            return _service(service, step, outputs, variables)
    raise NoConnector(step.app or "unknown app", step.action)


class NoConnector(Exception):
    """There is no connector for an app, or no such action of it."""

    def __init__(self, app: str, action: str) -> None:
        super().__init__(f"no connector does {action or 'this'} with {app}")
        self.app = app


def _service(service: Service, step: Step, outputs: Outputs, variables: Variables) -> Carried:
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
    found.notes += _left_out(name for name in step.params if name not in used)
    return found


def _webhook(step: Step, outputs: Outputs, variables: Variables) -> Carried:
    url = step.params.get("url")
    if not isinstance(url, str) or not url.strip():
        raise Untranslatable("a webhook step without an address")
    hook = _hook(url.strip(), step, outputs, variables)
    if hook is not None:
        return hook
    found = Carried("http", {}, "request", {"method": _method(step)})
    path, query = _address(url.strip(), outputs, found, variables)
    if path:
        found.parameters["path"] = path
    if query:
        found.parameters["query"] = query
    if step.params.get("basic_auth"):
        found.leave_out("it used basic authentication: the connector http has settings for that")
    headers = _headers(step, outputs, found, variables)
    if headers:
        found.parameters["headers"] = headers
    _payload(step, outputs, found)
    known = {"url", "headers", "data", "payload_type", "method", "basic_auth", "unflatten", "wrap_in_array", "as_json"}
    found.notes += _left_out(name for name in step.params if name not in known)
    return found


def _hook(url: str, step: Step, outputs: Outputs, variables: Variables) -> Carried | None:
    """Return what becomes of a post to an address that is a credential and that a connector knows, else ``None``."""
    data = step.params.get("data")
    fields = dict(_pairs(data)) if isinstance(data, list) else data
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    service = next((one for one in SERVICES if one.hooks and re.fullmatch(one.hooks, host)), None)
    if service is None or not isinstance(fields, Mapping) or not looks_like_credential(url):
        return None
    found = Carried(
        service.connector, {"url_env": variables.name(service.connector, "WEBHOOK_URL", url)}, service.action, {}
    )
    for parameter, names in service.parameters.items():
        name = next((name for name in names if fields.get(name)), None)
        if name is not None:
            found.parameters[parameter] = value_of(name, fields[name], outputs, found)
    found.notes += _left_out(name for name in fields if not any(name in names for names in service.parameters.values()))
    return found


def _method(step: Step) -> str:
    for text in (str(step.params.get("method", "")), step.action):
        name = text.upper().replace("CUSTOM_REQUEST", "").strip("_ ")
        if name in METHODS:
            return name
    return "POST"


def _address(url: str, outputs: Outputs, found: Carried, variables: Variables) -> tuple[str, dict[str, object]]:
    """Return path and query of an address whose host becomes the destination's.

    Raises:
        Untranslatable: the host comes out of the event, the address is a credential, or it is none.
    """
    marks = re.split(r"(\{\{.*?\}\})", url)
    held: dict[str, str] = {}
    plain = ""
    for piece in marks:  # references hold characters that an address may not
        if has_reference(piece):
            mark = f"headrace-reference-{len(held)}-"
            held[mark] = piece
            plain += mark
        else:
            plain += piece
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Untranslatable("a webhook step whose address cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Untranslatable("a webhook step whose address cannot be read")
    if "headrace-reference-" in parts.netloc:
        raise Untranslatable("the host of a webhook comes out of the event, which is never done here")

    def back(text: str) -> str:
        for mark, reference in held.items():
            text = text.replace(mark, reference)
        return translate(text, outputs)

    netloc = parts.netloc.rpartition("@")[2]
    found.settings["base_url"] = f"{parts.scheme}://{netloc}"
    if looks_like_credential(parts.path) or looks_like_credential(f"{parts.scheme}://{netloc}{parts.path}"):
        raise Untranslatable("the address of a webhook is itself a credential: it needs a connector of its own")
    if "@" in parts.netloc:
        found.leave_out("a user and password stood in the address: the connector http has settings for that")
    query: dict[str, object] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not has_reference(back_raw(value, held)) and (is_credential_name(name) or looks_like_credential(value)):
            _name_key(found, "api_key_query", name, value, variables, what="query parameter")
        else:
            query[name] = back(value)
    return back(parts.path.rstrip("/")), query


def back_raw(text: str, held: Mapping[str, str]) -> str:
    """Return the text with the references that stood in it."""
    for mark, reference in held.items():
        text = text.replace(mark, reference)
    return text


def _headers(step: Step, outputs: Outputs, found: Carried, variables: Variables) -> dict[str, object]:
    """Return the headers that are no credentials; a bearer token becomes the destination's."""
    given = step.params.get("headers")
    pairs = given.items() if isinstance(given, Mapping) else _pairs(given)
    headers: dict[str, object] = {}
    for name, value in pairs:
        text = str(value)
        lower = str(name).strip().lower()
        if lower == "authorization":
            host = urlsplit(str(found.settings["base_url"])).hostname or ""
            if "api_key_env" in found.settings:
                found.leave_out("the header Authorization stood beside an API key and was left out")
                continue
            found.settings["token_env"] = variables.name(host, "TOKEN", text.strip())
            if not text.strip().lower().startswith("bearer "):
                found.notes.append("the header Authorization was not Bearer: see the connector's other credentials")
        elif lower in OPEN_HEADERS and not looks_like_credential(text):
            if lower != "content-type":  # the connector's own
                headers[lower] = translate(text, outputs)
        elif has_reference(text) and not is_credential_name(lower) and not looks_like_credential(text):
            headers[lower] = translate(text, outputs)
        else:
            _name_key(found, "api_key_header", str(name).strip(), text, variables, what="header")
    return headers


def _name_key(found: Carried, setting: str, name: str, value: str, variables: Variables, *, what: str) -> None:
    """Make a header or query parameter the destination's API key; there can be one, and others are left out."""
    if "api_key_env" in found.settings or "token_env" in found.settings or not _KEY_NAME.fullmatch(name):
        found.leave_out(f"the {what} {safe_name(name)} may hold a credential and was left out")
        return
    host = urlsplit(str(found.settings["base_url"])).hostname or ""
    found.settings[setting] = name
    found.settings["api_key_env"] = variables.name(host, "API_KEY", f"{name}={value}")


def _pairs(given: object) -> list[tuple[str, object]]:
    if not isinstance(given, list):
        return []
    pairs = []
    for item in given:
        if isinstance(item, Mapping):
            pairs.append((str(item.get("key", item.get("name", ""))), item.get("value", "")))
        elif isinstance(item, list) and len(item) == 2:
            pairs.append((str(item[0]), item[1]))
    return pairs


def _payload(step: Step, outputs: Outputs, found: Carried) -> None:
    if found.parameters["method"] in ("GET", "HEAD"):
        return
    data = step.params.get("data")
    if data in (None, "", {}, []):
        found.notes.append("it sent the whole event")
        found.parameters["json"] = "{{ body }}"
        return
    kind = str(step.params.get("payload_type", "json")).lower()
    if isinstance(data, list):
        data = dict(_pairs(data))
    if isinstance(data, Mapping):
        values = {str(name): value_of(str(name), value, outputs, found) for name, value in data.items()}
        values = {name: value for name, value in values.items() if value is not None}
        found.parameters["form" if kind == "form" else "json"] = values
    elif isinstance(data, str):
        if looks_like_credential(data):
            raise Untranslatable("the body of a webhook may hold a credential")
        found.parameters["body"] = translate(data, outputs)
    else:
        raise Untranslatable("the body of a webhook step cannot be read")


def value_of(name: str, value: object, outputs: Outputs, found: Carried | None = None) -> object:
    """Return a parameter's value as a template; ``None``, with a note, for one that may be a credential.

    Raises:
        Untranslatable: it refers to what is not in the event, or may be a credential and nobody can be told.
    """
    if isinstance(value, Mapping):
        return {str(key): value_of(str(key), item, outputs, found) for key, item in value.items()}
    if isinstance(value, list):
        return [value_of(name, item, outputs, found) for item in value]
    if not isinstance(value, str):
        return value
    literal = not has_reference(value)
    if looks_like_credential(value) or (literal and value and is_credential_name(name)):
        if found is None:
            raise Untranslatable(f"the parameter {safe_name(name)} may hold a credential")
        found.leave_out(f"the field {safe_name(name)} may hold a credential and was left out")
        return None
    return translate(value, outputs)


def safe_name(name: str) -> str:
    """Return a name that somebody typed as it can be shown: short, on one line, and no credential itself."""
    shown = "".join(letter if letter.isprintable() else " " for letter in name)[:60]
    return "(a name like a credential)" if looks_like_credential(shown) else repr(shown)


def _left_out(names: object) -> list[str]:
    shown = [safe_name(str(name)) for name in names]  # type: ignore[attr-defined]  # any iterable
    return [f"not carried over: {', '.join(shown[:12])}"] if shown else []
