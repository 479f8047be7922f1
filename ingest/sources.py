"""Sources, compiled: who signed a request, and which events it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import orjson
from pydantic import BaseModel

from ingest.public_url import public_url
from ingest.rate import RateLimit, parse_rate
from ingest.scheme import (
    ID_CHARS_MAX,
    Handshake,
    Identity,
    MalformedEvent,
    Scheme,
    SchemeOptions,
    load_scheme,
    require_text,
)
from ingest.settings import IngestSettings
from ingest.signature import InvalidSignature, SignedRequest
from ingest.source_settings import SourceSettings, compile_text, parse_duration_s, source_model_for
from streams.event import QUERY_HEADER, UNTYPED, Event, body_sha256, dedup_id
from streams.expression import ExpressionError, has_expression, referenced_names

__all__ = ["Match", "Source", "SourceSettings", "compile_source", "parse_duration_s", "source_model_for"]

KEPT_BYTES_MAX = 16 * 1024  # of kept headers and content type in one event: they must fit beside the body in a record
FLOAT_EXACT_MAX = 2**53  # larger numbers lose digits as JSON floats, so two ids could become one
ITEMS_MAX = 10_000  # of one batch: what 1 MiB holds of the smallest events that are known
BATCH_HEADERS_BYTES_MAX = 16 * 1024 * 1024  # each item's record has the kept headers of the batch


@dataclass(frozen=True, slots=True)
class Match:
    """Which live secret signed a request: ``position`` counts from 1, in the order of ``secret_env``."""

    secret: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Content:
    """A body as it goes into a record, with what its headers say about it."""

    body: bytes
    content_type: str
    content_encoding: str


class Source:
    """One source, ready to judge requests. Immutable but for its rate limit."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        scheme: Scheme,
        secrets: Sequence[bytes],
        *,
        option_secrets: Mapping[str, bytes] | None = None,
        ingest: IngestSettings | None = None,
        processes: int = 1,
        keep_query: bool = False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.scheme = scheme
        self.secrets = tuple(secrets) if scheme.needs_secret else (b"",)
        self.body_bytes_max = settings.body_bytes_max
        self._base_url = ingest.public_url if ingest is not None else None
        options = _options(scheme, settings, option_secrets or {})
        self._verify = scheme.verify(options)
        self.sign = scheme.sign(options)
        self.needs = scheme.needs(options)
        self._handshake = scheme.handshake(options)
        self._challenge = scheme.challenge(options)
        self.kept = frozenset(name.encode() for name in (*scheme.kept_headers, *settings.keep_headers))
        self._event_id = compile_text(settings.event_id) if settings.event_id else None
        self._id_signed = scheme.signs_body and bool(settings.event_id) and _names(settings.event_id or "") == {"body"}
        self._partition_by = compile_text(settings.partition_by) if settings.partition_by else None
        self._keep_query = keep_query
        self._credentials = {
            secret.decode("utf-8", "replace") for secret in (*secrets, *(option_secrets or {}).values())
        }
        self.limit = RateLimit(parse_rate(settings.rate) / processes) if settings.rate else None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the source answers."""
        asks = (("GET", self._challenge is not None), ("HEAD", self.scheme.answers_head))
        return (*(method for method, answered in asks if answered), "POST")

    def request(self, method: str, target: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> SignedRequest:
        """Return a request to this source as its scheme sees it."""
        address = public_url(target, headers, base=self._base_url, address=self.settings.public_url)
        return SignedRequest(method, target, headers, body, address, self.body_bytes_max)

    def verify(self, request: SignedRequest, *, now_s: float, document: bytes | None = None) -> Match:
        """Return which of the live secrets signed this request; ``document`` is what `needs` asked for.

        Raises:
            InvalidSignature: none did.
        """
        given = {"document": document} if self.needs is not None else {}
        for position, secret in enumerate(self.secrets, 1):
            try:
                self._verify(request, secret=secret, now_s=now_s, **given)
            except InvalidSignature:
                if position == len(self.secrets):
                    raise
            else:
                return Match(secret, position)
        raise InvalidSignature("the source has no secret")

    def challenge(self, request: SignedRequest, *, now_s: float) -> Handshake:
        """Return the answer to a GET by which the provider checks the address.

        Raises:
            InvalidSignature: the provider did not send it.
        """
        if self._challenge is None:
            raise InvalidSignature("the scheme has no handshake by GET")
        return self._challenge(request, secrets=self.secrets, now_s=now_s)

    def handshake(self, request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
        """Return the answer to a verified request by which the provider checks the address, or ``None`` for an event.

        Raises:
            MalformedEvent: it is a handshake that lacks something.
        """
        if self._handshake is None:
            return None
        return self._handshake(request, body, secret=secret, now_s=now_s)

    def items(self, body: object) -> Sequence[object] | None:
        """Return the items of a batch, or ``None`` for a single event.

        Raises:
            MalformedEvent: there are too many, or the batch is not of the provider's form.
        """
        items = self.scheme.split(body) if self.scheme.split is not None else None
        if items is not None and len(items) > ITEMS_MAX:
            raise MalformedEvent(f"the batch has more than {ITEMS_MAX} events")
        return items

    def events(self, request: SignedRequest, items: Sequence[object], *, time_ms: int) -> list[Event]:
        """Return one event for each item of a verified batch; its body is the item's JSON.

        An item without an id is known by the whole body, the batch's id if it has one, and its place: the same when the
        batch is sent again.

        Raises:
            MalformedEvent: a field that an event needs is missing or of the wrong kind.
        """
        headers = self._kept_headers(request)
        if sum(map(len, headers.values())) * len(items) > BATCH_HEADERS_BYTES_MAX:
            raise MalformedEvent("the headers are too large for so many events")
        batch = dedup_id(self.scheme.batch_id(request), request.body, id_signed=False)
        events = []
        for number, item in enumerate(items):
            identity = self._identify(request, item, headers, self.scheme.identify_item)
            if identity.event_id is None:
                identity = Identity(f"{batch}-{number}", identity.event_type, id_signed=True)
            content = Content(orjson.dumps(item), "application/json", "")
            events.append(self._event(identity, headers, item, content, time_ms))
        return events

    def event(
        self, request: SignedRequest, body: object, *, content_type: str, content_encoding: str, time_ms: int
    ) -> Event:
        """Return the event of a verified request whose parsed body is ``body``.

        Raises:
            MalformedEvent: a field that the event needs is missing or of the wrong kind.
        """
        headers = self._kept_headers(request)
        identity = self.identify(request, body, headers)
        return self._event(identity, headers, body, Content(request.body, content_type, content_encoding), time_ms)

    def _event(
        self, identity: Identity, headers: dict[str, str], body: object, content: Content, time_ms: int
    ) -> Event:
        about = len(content.content_type) + len(content.content_encoding)
        if sum(map(len, headers.values())) + about > KEPT_BYTES_MAX:
            raise MalformedEvent("the headers are too large")
        if self.settings.dedup == "body":
            dedup = body_sha256(content.body)
        else:
            dedup = dedup_id(identity.event_id, content.body, id_signed=identity.id_signed)
        key = dedup
        if self._partition_by is not None:
            key = _evaluate(self._partition_by, {"body": body, "headers": headers}, "partition_by")
        return Event(
            source=self.name,
            # Without the provider's id the dedup id is the SHA-256 of the body.
            id=identity.event_id if identity.event_id is not None else dedup,
            dedup_id=dedup,
            type=identity.event_type or UNTYPED,
            time_ms=time_ms,
            body=content.body,
            key=key.encode(),
            content_type=content.content_type,
            content_encoding=content.content_encoding,
            headers=headers,
        )

    def identify(self, request: SignedRequest, body: object, headers: Mapping[str, str] | None = None) -> Identity:
        """Return who the event is: by the source's ``event_id`` if set, else by the scheme.

        Raises:
            MalformedEvent: the id or type is missing or of the wrong kind.
        """
        return self._identify(request, body, headers, self.scheme.identify)

    def _identify(
        self,
        request: SignedRequest,
        body: object,
        headers: Mapping[str, str] | None,
        identify: Callable[[SignedRequest, object], Identity],
    ) -> Identity:
        if self._event_id is None:
            return identify(request, body)
        scope = {"body": body, "headers": self._kept_headers(request) if headers is None else headers}
        event_id = _evaluate(self._event_id, scope, "event_id")
        try:
            event_type = identify(request, body).event_type
        except MalformedEvent:
            event_type = None  # the scheme's own id is not needed, so it may be missing
        return Identity(event_id, event_type, id_signed=self._id_signed)

    def _kept_headers(self, request: SignedRequest) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, value in request.headers:
            if name in self.kept:
                text = value.decode("utf-8", "replace")
                key = name.decode()
                kept[key] = f"{kept[key]}, {text}" if key in kept else text
        if self._keep_query:
            kept[QUERY_HEADER] = self._query(request.url)
        return kept

    def _query(self, url: str) -> str:
        """Return the query of an address as it came, without the parameters that hold one of the source's secrets."""
        parts = url.partition("?")[2].partition("#")[0].split("&")
        return "&".join(part for part in parts if unquote_plus(part.partition("=")[2]) not in self._credentials)


def compile_source(
    name: str,
    settings: SourceSettings,
    secrets: Sequence[bytes],
    *,
    option_secrets: Mapping[str, bytes] | None = None,
    ingest: IngestSettings | None = None,
    processes: int = 1,
    keep_query: bool = False,
) -> Source:
    """Return the source, ready to use in one of ``processes``. ``secrets`` has the one to sign with first.

    Args:
        name: of the source.
        settings: its part of the routing table.
        secrets: those that ``secret_env`` names.
        option_secrets: those that other keys name, by these keys.
        ingest: the table's section ``ingest``.
        processes: how many share the source's rate.
        keep_query: whether the request's query is kept with the event, for a mirror.

    Raises:
        ValueError: a secret is missing or can never work. The text names its variable and never shows it.
    """
    scheme = load_scheme(settings.scheme)
    given = dict(option_secrets or {})
    for key, env in settings.option_secret_envs().items():
        if not given.get(key):
            raise ValueError(f"source {name}: the secret of {key} is not set ({env})")
    if scheme.needs_secret:
        options = _options(scheme, settings, given)
        if not secrets:
            raise ValueError(f"source {name}: the secret is not set ({', '.join(settings.secret_envs)})")
        for number, secret in enumerate(secrets):
            try:
                scheme.check_secret(secret, options)
            except ValueError as error:
                envs = settings.secret_envs
                env = envs[number] if number < len(envs) else f"number {number + 1}"
                raise ValueError(f"source {name}: secret {env}: {error}") from error
    return Source(
        name,
        settings,
        scheme,
        secrets,
        option_secrets=given,
        ingest=ingest,
        processes=processes,
        keep_query=keep_query,
    )


def _names(source: str) -> set[str]:
    return referenced_names(source if has_expression(source) else f"{{{{ {source} }}}}")


def _options(scheme: Scheme, settings: SourceSettings, secrets: Mapping[str, bytes]) -> BaseModel:
    fields = scheme.options_model.model_fields
    options = scheme.options_model.model_validate({name: getattr(settings, name) for name in fields})
    return options.with_secrets(secrets) if isinstance(options, SchemeOptions) else options


def _evaluate(call: Callable[[Mapping[str, object]], object], scope: Mapping[str, object], key: str) -> str:
    try:
        value = call(scope)
    except ExpressionError as error:
        raise MalformedEvent(f"the source's {key} finds nothing in this event") from error
    return require_text(_decimal_text(value), f"the source's {key}")


def _decimal_text(value: Any) -> Any:
    """Return numbers as decimal text and everything else as it is; a float that lost digits stays a float."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value) if abs(value) < 10**ID_CHARS_MAX else value
    if isinstance(value, float) and abs(value) < FLOAT_EXACT_MAX:
        return repr(value)
    return value
