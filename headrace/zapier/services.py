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
OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "content-language", "x-requested-with"})


@dataclass(frozen=True, slots=True)
class Service:
    """How steps of an app become calls: ``parameters`` maps each parameter to the names Zapier gives it."""

    apps: str
    actions: str
    connector: str
    action: str
    parameters: Mapping[str, tuple[str, ...]]
    env: Mapping[str, str] = field(default_factory=dict)  # settings that name a variable, and its ending


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


SERVICES: tuple[Service, ...] = (
    Service(
        r"slack",
        r".*(message|post).*",
        "slack",
        "post_message",
        {"channel": ("channel", "user", "channel_id"), "text": ("text", "message")},
        {"token_env": "TOKEN"},
    ),
    Service(
        r"discord",
        r".*message.*",
        "discord",
        "post_message",
        {"content": ("content", "message", "text", "message_text")},
        {"url_env": "WEBHOOK_URL"},
    ),
    Service(
        r"telegram(bot)?",
        r".*message.*",
        "telegram",
        "send_message",
        {"chat_id": ("chat_id", "chat"), "text": ("text", "message")},
        {"token_env": "TOKEN"},
    ),
    Service(
        r"twilio",
        r".*(sms|message).*",
        "twilio",
        "send_sms",
        {"to": ("to", "to_number"), "body": ("body", "message"), "from_": ("from", "from_number")},
        {"account_sid_env": "ACCOUNT_SID", "auth_token_env": "AUTH_TOKEN"},
    ),
    Service(
        r"(gmail|googlemail|zapiermail|email|emailbyzapier|smtp|outbound)",
        r".*(send|message|email|outbound).*",
        "email",
        "send",
        {
            "to": ("to", "recipients"),
            "subject": ("subject",),
            "text": ("body", "body_plain", "text", "message"),
            "html": ("body_html", "html"),
        },
    ),
    Service(
        r"googlesheets?",
        r".*(add|create|append|new).*row.*",
        "google_sheets",
        "append_row",
        {"spreadsheet_id": ("spreadsheet", "spreadsheet_id"), "sheet": ("worksheet", "sheet")},
        {"credentials_env": "CREDENTIALS"},
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
    found = Carried("http", {}, "request", {"method": _method(step)})
    path, query = _address(url.strip(), outputs, found)
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


def _method(step: Step) -> str:
    for text in (str(step.params.get("method", "")), step.action):
        name = text.upper().replace("CUSTOM_REQUEST", "").strip("_ ")
        if name in METHODS:
            return name
    return "POST"


def _address(url: str, outputs: Outputs, found: Carried) -> tuple[str, dict[str, object]]:
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
            found.leave_out(f"the query parameter {safe_name(name)} held a credential and was left out")
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
            found.settings["token_env"] = variables.name(host, "TOKEN", text.strip())
            if not text.strip().lower().startswith("bearer "):
                found.notes.append("the header Authorization was not Bearer: see the connector's other credentials")
        elif lower in OPEN_HEADERS and not looks_like_credential(text):
            if lower != "content-type":  # the connector's own
                headers[lower] = translate(text, outputs)
        elif has_reference(text) and not is_credential_name(lower) and not looks_like_credential(text):
            headers[lower] = translate(text, outputs)
        else:
            found.leave_out(f"the header {safe_name(lower)} may hold a credential and was left out")
    return headers


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
