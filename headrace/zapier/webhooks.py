"""Steps of Webhooks by Zapier as calls: the host is a destination, its credentials variables, the rest parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from headrace.zapier.carried import Carried, Variables, left_out, safe_name, value_of
from headrace.zapier.credentials import is_credential_name, looks_like_credential
from headrace.zapier.export import Step
from headrace.zapier.references import Outputs, Untranslatable, has_reference, translate
from headrace.zapier.services import SERVICES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_KEY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "content-language", "x-requested-with"})


def webhook_call(step: Step, outputs: Outputs, variables: Variables) -> Carried:
    """Return the call of a webhook step.

    Raises:
        Untranslatable: its host comes out of the event, or something of it cannot be expressed.
    """
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
    found.notes += left_out(name for name in step.params if name not in known)
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
    found.notes += left_out(name for name in fields if not any(name in names for names in service.parameters.values()))
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
