"""Sources, compiled: who signed a request, and which event it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ingest.rate import RateLimit, parse_rate
from ingest.scheme import ID_CHARS_MAX, Identity, MalformedEvent, Scheme, load_scheme, require_text
from ingest.signature import InvalidSignature, SignedRequest
from ingest.source_settings import SourceSettings, compile_text, parse_duration_s, source_model_for
from streams.event import UNTYPED, Event, dedup_id
from streams.expression import ExpressionError, has_expression, referenced_names

__all__ = ["Source", "SourceSettings", "compile_source", "parse_duration_s", "source_model_for"]

KEPT_BYTES_MAX = 16 * 1024  # of kept headers and content type in one event: they must fit beside the body in a record
FLOAT_EXACT_MAX = 2**53  # larger numbers lose digits as JSON floats, so two ids could become one


class Source:
    """One source, ready to judge requests. Immutable but for its rate limit."""

    def __init__(
        self, name: str, settings: SourceSettings, scheme: Scheme, secrets: Sequence[bytes], *, processes: int = 1
    ) -> None:
        self.name = name
        self.settings = settings
        self.scheme = scheme
        self.secrets = tuple(secrets) if scheme.signed else (b"",)
        self.body_bytes_max = settings.body_bytes_max
        options = _options(scheme, settings)
        self._verify = scheme.verify(options)
        self.sign = scheme.sign(options)
        self.kept = frozenset(name.encode() for name in (*scheme.kept_headers, *settings.keep_headers))
        self._event_id = compile_text(settings.event_id) if settings.event_id else None
        self._id_signed = scheme.signed and bool(settings.event_id) and _names(settings.event_id or "") == {"body"}
        self._partition_by = compile_text(settings.partition_by) if settings.partition_by else None
        self.limit = RateLimit(parse_rate(settings.rate) / processes) if settings.rate else None

    def verify(self, request: SignedRequest, *, now_s: float) -> None:
        """Return only if one of the live secrets signed this request.

        Raises:
            InvalidSignature: none did.
        """
        for secret in self.secrets[:-1]:
            try:
                return self._verify(request, secret=secret, now_s=now_s)
            except InvalidSignature:
                continue
        self._verify(request, secret=self.secrets[-1], now_s=now_s)
        return None

    def event(
        self, request: SignedRequest, body: object, *, content_type: str, content_encoding: str, time_ms: int
    ) -> Event:
        """Return the event of a verified request whose parsed body is ``body``.

        Raises:
            MalformedEvent: a field that the event needs is missing or of the wrong kind.
        """
        headers = self._kept_headers(request)
        if sum(map(len, headers.values())) + len(content_type) + len(content_encoding) > KEPT_BYTES_MAX:
            raise MalformedEvent("the headers are too large")
        identity = self.identify(request, body, headers)
        dedup = dedup_id(identity.event_id, request.body, id_signed=identity.id_signed)
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
            body=request.body,
            key=key.encode(),
            content_type=content_type,
            content_encoding=content_encoding,
            headers=headers,
        )

    def identify(self, request: SignedRequest, body: object, headers: Mapping[str, str] | None = None) -> Identity:
        """Return who the event is: by the source's ``event_id`` if set, else by the scheme.

        Raises:
            MalformedEvent: the id or type is missing or of the wrong kind.
        """
        if self._event_id is None:
            return self.scheme.identify(request, body)
        scope = {"body": body, "headers": self._kept_headers(request) if headers is None else headers}
        event_id = _evaluate(self._event_id, scope, "event_id")
        try:
            event_type = self.scheme.identify(request, body).event_type
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
        return kept


def compile_source(name: str, settings: SourceSettings, secrets: Sequence[bytes], *, processes: int = 1) -> Source:
    """Return the source, ready to use in one of ``processes``. ``secrets`` has the one to sign with first.

    Raises:
        ValueError: a secret is missing or can never work. The text names its variable and never shows it.
    """
    scheme = load_scheme(settings.scheme)
    if scheme.signed:
        if not secrets:
            raise ValueError(f"source {name}: the secret is not set ({', '.join(settings.secret_envs)})")
        for number, secret in enumerate(secrets):
            try:
                scheme.check_secret(secret)
            except ValueError as error:
                envs = settings.secret_envs
                env = envs[number] if number < len(envs) else f"number {number + 1}"
                raise ValueError(f"source {name}: secret {env}: {error}") from error
    return Source(name, settings, scheme, secrets, processes=processes)


def _names(source: str) -> set[str]:
    return referenced_names(source if has_expression(source) else f"{{{{ {source} }}}}")


def _options(scheme: Scheme, settings: SourceSettings) -> BaseModel:
    fields = scheme.options_model.model_fields
    return scheme.options_model.model_validate({name: getattr(settings, name) for name in fields})


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
