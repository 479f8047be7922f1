"""Check captured requests offline: why is it refused?"""

from __future__ import annotations

import base64
import binascii
import math
import time
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

import click

from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from ingest.signature import SignedRequest
    from ingest.sources import Source


class UnreadableRow(ValueError):
    """A row is not a captured request; the text says why."""


@click.command
@click.argument("file", type=click.File("rb"))
@click.option("--source", "source_name", help="A source of the routing table.")
@click.option("--scheme", "scheme_name", help="A scheme, instead of a source.")
@click.option("--secret-env", "secret_envs", multiple=True, help="The variable of the scheme's secret; repeatable.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the scheme; repeatable.")
@click.option(
    "--document",
    type=click.File("rb"),
    help='The certificate that the requests name; the row\'s "document" wins. Nothing is fetched.',
)
@with_settings
@click.pass_context
def command(
    ctx: click.Context,
    settings: Settings,
    *,
    file: IO[bytes],
    source_name: str | None,
    scheme_name: str | None,
    secret_envs: tuple[str, ...],
    options: tuple[str, ...],
    document: IO[bytes] | None,
) -> None:
    """Check captured requests offline, one JSON object a line in FILE (- for standard input).

    Each row {"method", "url", "headers", "body" or "body_b64", "at"} gives one JSON line: "valid" says whether the
    signature holds at the Unix time "at" (default: now), "reason" what is wrong with the request: a valid one with a
    reason is refused all the same, as malformed. A batch has "events". Where the provider signs the address, it is
    "url" if that is a whole one, else what ingest.public_url or the header Host says. Ends with 0 if all are valid,
    with 1 if not.
    """
    import orjson

    if (source_name is None) == (scheme_name is None):
        raise click.UsageError("give either --source, or --scheme with --secret-env", ctx)
    source = _source(ctx, settings, source_name, scheme_name, secret_envs, options)
    all_valid, given = True, document.read() if document is not None else None
    for line in file:
        if line.strip():
            verdict = judge(source, line, now_s=time.time(), document=given)
            all_valid = all_valid and verdict["valid"] is True
            click.echo(orjson.dumps(verdict))
    ctx.exit(0 if all_valid else 1)


def judge(source: Source, line: bytes, *, now_s: float, document: bytes | None = None) -> dict[str, object]:
    """Return the verdict on one row, whatever it holds."""
    from ingest.scheme import MalformedEvent
    from ingest.signature import InvalidSignature

    verdict: dict[str, object] = {"valid": False, "reason": None, "event_id": None, "event_type": None}
    try:
        captured = read_row(line)
        request = captured.at(source)
        at_s = now_s if captured.at_s is None else captured.at_s
        if request.method == "GET":
            source.challenge(request, now_s=at_s)
            return {**verdict, "valid": True}
        _require_document(source, request, captured.document or document)
        source.verify(request, now_s=at_s, document=captured.document or document)
    except (UnreadableRow, InvalidSignature) as error:
        verdict["reason"] = str(error)
        return verdict
    verdict["valid"] = True
    body, verdict["reason"] = _parsed(source, request)
    try:
        verdict.update(_identified(source, request, body))
    except MalformedEvent as error:
        verdict["reason"] = verdict["reason"] or str(error)
    return verdict


def _require_document(source: Source, request: SignedRequest, document: bytes | None) -> None:
    if source.needs is not None:
        url = source.needs(request)
        if document is None:
            raise UnreadableRow(f"the signature needs the document at {url}: fetch it, and name it with --document")


def _identified(source: Source, request: SignedRequest, body: object) -> dict[str, object]:
    from streams.event import body_sha256

    items = source.items(body)
    if items is not None:
        events = source.events(request, items, time_ms=0)
        return {"events": [{"event_id": event.id, "event_type": event.type} for event in events]}
    identity = source.identify(request, body)
    event_id = identity.event_id if identity.event_id is not None else body_sha256(request.body)
    return {"event_id": event_id, "event_type": identity.event_type}


@dataclass(frozen=True, slots=True)
class Captured:
    """A row: a request as it was received, and when it is checked, if the row says so."""

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    at_s: float | None
    document: bytes | None

    def at(self, source: Source) -> SignedRequest:
        """Return the request as the source sees it."""
        request = source.request(self.method, self.url, self.headers, self.body)
        return replace(request, public_url=self.url) if self.url.startswith(("http://", "https://")) else request


def read_row(line: bytes) -> Captured:
    """Return the captured request of a row.

    Raises:
        UnreadableRow: it is none.
    """
    import orjson

    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UnreadableRow("the row is not JSON") from error
    if not isinstance(row, dict):
        raise UnreadableRow("the row is not a JSON object")
    method, url, at, document = row.get("method", "POST"), row.get("url", "/"), row.get("at"), row.get("document")
    if not isinstance(method, str) or not isinstance(url, str) or not isinstance(document, str | None):
        raise UnreadableRow("method, url and document must be text")
    if at is not None and (isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at)):
        raise UnreadableRow("at must be a number of Unix seconds")
    certificate = document.encode() if document is not None else None
    return Captured(method, url, _headers(row.get("headers", {})), _body(row), at, certificate)


def _headers(value: object) -> tuple[tuple[bytes, bytes], ...]:
    pairs: list[Any] = []
    if isinstance(value, dict):
        for name, texts in value.items():
            pairs.extend((name, text) for text in (texts if isinstance(texts, list) else [texts]))
    elif isinstance(value, list):
        pairs = [pair for pair in value if isinstance(pair, list) and len(pair) == 2]
    if not isinstance(value, dict | list) or (isinstance(value, list) and len(pairs) != len(value)):
        raise UnreadableRow("headers must be an object, or a list of pairs of name and value")
    if not all(isinstance(name, str) and isinstance(text, str) for name, text in pairs):
        raise UnreadableRow("each header must be text")
    return tuple((name.lower().encode(), text.strip(" \t").encode()) for name, text in pairs)


def _body(row: dict[str, Any]) -> bytes:
    text, encoded = row.get("body"), row.get("body_b64")
    if text is not None and encoded is not None:
        raise UnreadableRow("there are both body and body_b64")
    if encoded is not None:
        if not isinstance(encoded, str):
            raise UnreadableRow("body_b64 must be text")
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UnreadableRow("body_b64 is not base64") from error
    if not isinstance(text, str | None):
        raise UnreadableRow("body must be text, exactly as it was received")
    return (text or "").encode()


def _parsed(source: Source, request: SignedRequest) -> tuple[object, str | None]:
    from ingest.accept import content_headers
    from ingest.scheme import MalformedEvent
    from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody, parse_body

    if len(request.body) > source.body_bytes_max:
        return None, f"the body is larger than {source.body_bytes_max} bytes"
    try:
        content_type, content_encoding = content_headers(request)
        return parse_body(request.body, content_type, content_encoding, body_bytes_max=source.body_bytes_max), None
    except (MalformedBody, UnsupportedBody, BodyTooLarge, MalformedEvent) as error:
        return None, str(error)


def _source(
    ctx: click.Context,
    settings: Settings,
    source_name: str | None,
    scheme_name: str | None,
    secret_envs: tuple[str, ...],
    options: tuple[str, ...],
) -> Source:
    from pydantic import ValidationError

    from headrace.live_sources import live_source
    from ingest.scheme import UnknownScheme, load_scheme
    from ingest.sources import compile_source, source_model_for

    if source_name is not None:
        if secret_envs or options:
            raise click.UsageError("--secret-env and --option go with --scheme", ctx)
        table = settings.table()
        if source_name not in table.sources:
            raise click.UsageError(f"there is no source {source_name!r} (known: {', '.join(table.sources)})", ctx)
        return live_source(settings, table, source_name)
    pairs = [option.partition("=") for option in options]
    if not all(separator for _, separator, _ in pairs):
        raise click.UsageError("an --option is KEY=VALUE", ctx)
    try:
        scheme = load_scheme(scheme_name or "")
        given: dict[str, object] = {"scheme": scheme.name, "allow_unsigned": not scheme.signed}
        if secret_envs:
            given["secret_env"] = list(secret_envs)
        model = source_model_for(scheme.name).model_validate({**given, **{key: value for key, _, value in pairs}})
    except UnknownScheme as error:
        raise click.UsageError(str(error), ctx) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise click.UsageError(f"{where}: {first['msg']}" if where else first["msg"], ctx) from error
    option_secrets = settings.option_secrets(model)
    return compile_source("captured", model, settings.source_secrets(model), option_secrets=option_secrets)
