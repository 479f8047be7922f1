"""The contract of a scheme, and how one is found: ``ingest/schemes/<name>.py`` is the scheme ``<name>``.

Such a module has a docstring that says how the provider signs, and:

- ``verify(request, *, secret, now_s)`` returns only if the provider signed the request, and raises nothing but
  `InvalidSignature`;
- ``identify(request, body)`` returns the `Identity`; ``body`` is parsed; may raise `MalformedEvent`;
- ``sign(body, *, secret, now_s, event_id)`` returns the headers that make ``body`` a valid request, or `Signed` where
  more than headers is added; raises `CannotSign` where the secret only verifies;
- ``KEPT_HEADERS``, lower-case names that are kept with the event;
- ``RETRY_WINDOW_S``, for how long the provider sends an event again (0: unknown), ``ANSWER_WITHIN_S``, how long it
  waits for the answer, ``TIMESTAMP_TOLERANCE_S``, how old or early a request may be (both ``None``: unknown, none); a
  source's ``dedup_ttl`` may be shorter neither than the first nor than the last;
- ``ID_AT`` and ``TYPE_AT``, where the id and type stand, such as ``body.id`` (``""``: nowhere), and ``SIGNED_ID``,
  whether the signature covers that id.

Constants that differ for some:

- ``SIGNED = False``, for requests that prove nothing; ``NEEDS_SECRET = False``, where certificates or names suffice;
- ``SIGNS_BODY = False``, where another body could come with the same proof (a token, a signature over some fields);
- ``SIGNS_URL = True``, where the signature covers the public address: ``sign`` then takes ``request`` too, which is
  not signed yet and has the ``public_url``, the content type and the body;
- ``ANSWERS_HEAD = True``, where the provider asks for the address's HEAD before it posts: 200 and nothing else;
- ``SAMPLE``, a small body of the provider's form (a JSON value, or bytes), ``CONTENT_TYPE``, its type if not JSON, and
  ``ID_FIELD``, where the id is in it (``id``, ``data.id``, ``0.id``), for ``headrace send``.

Functions that only some have:

- ``Options``, a pydantic model of further keys of a source: then ``verify``, ``sign``, ``handshake``, ``challenge``,
  ``needs`` and ``check_secret`` take ``options``. Keys that end in ``_env`` name further secrets, for models of
  `SchemeOptions`;
- ``check_secret(secret)`` raises ``ValueError`` for a secret that can never work; ``make_secret(random_bytes)`` makes
  one; ``make_keys()`` returns a new signing key and its ``secret``, where the provider signs with a private key;
- ``handshake(request, body, *, secret, now_s)``, after ``verify``: the answer to a provider that checks the address,
  or ``None`` for an event; ``secret`` is the one that matched; may raise `MalformedEvent`;
- ``challenge(request, *, secrets, now_s)``: the same by GET, raises `InvalidSignature`; without it GET gets 405;
- ``greeting(request, body)``, *before* ``verify``, for a first request that cannot be signed: nothing is queued, and
  the answer may hold nothing but what the request said; ``None`` for everything else; raises nothing;
- ``split(body)`` returns the items of a batch, or ``None`` for a single event, may raise `MalformedEvent`;
  ``identify_item(request, item)`` is then asked about each item, or without it ``identify``; ``batch_id(request)`` is
  what tells two batches with equal bodies apart, for the items without an id, or ``None``; may raise `MalformedEvent`;
- ``needs(request)`` returns the address of a document that ``verify`` needs as ``document``, or raises
  `InvalidSignature`; its host must be in ``DOCUMENT_HOSTS``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, StringConstraints

import ingest.schemes
from ingest.identity import ID_CHARS_MAX, Identity, MalformedEvent, id_field, require_text, text_field, text_header
from ingest.signature import InvalidSignature, SignedRequest

__all__ = [
    "ID_CHARS_MAX",
    "CannotSign",
    "EnvName",
    "Handshake",
    "Identity",
    "MalformedEvent",
    "NoOptions",
    "Scheme",
    "SchemeOptions",
    "Signed",
    "UnknownScheme",
    "challenge_answer",
    "id_field",
    "load_scheme",
    "require_text",
    "scheme_names",
    "text_field",
    "text_header",
]

CHALLENGE_CHARS_MAX = 512

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class UnknownScheme(LookupError):
    """No scheme has this name; ``known`` are those that exist."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no scheme {name!r} (known: {', '.join(known)})")
        self.known = known


class CannotSign(ValueError):
    """The secret verifies and does not sign, as a public key. The text says what would sign."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer that proves to the provider who owns the address. Headers are printable ASCII, else `ValueError`."""

    body: bytes
    content_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for text in (self.content_type, *(part for header in self.headers for part in header)):
            if not text.isascii() or not text.isprintable():
                raise ValueError("a header of a handshake is not printable ASCII")


@dataclass(frozen=True, slots=True)
class Signed:
    """What makes a body a valid request: headers, another body if the signature is within, and what the URL gets."""

    headers: Mapping[str, str]
    body: bytes | None = None
    query: str = ""  # without "?"


class SchemeOptions(BaseModel):
    """Options some of which name a secret: of the key ``token_env`` it is ``options.secret("token_env")``."""

    model_config = ConfigDict(extra="forbid")
    _secrets: Mapping[str, bytes] = PrivateAttr(default_factory=dict)

    def secret(self, key: str) -> bytes:
        """Return the secret that the variable named by ``key`` holds.

        Raises:
            InvalidSignature: the key is not set, so that nothing can match.
        """
        try:
            return self._secrets[key]
        except KeyError as error:
            raise InvalidSignature(f"the source has no {key}") from error

    def with_secrets(self, secrets: Mapping[str, bytes]) -> SchemeOptions:
        """Return the same options with the secrets that their keys name."""
        options = self.model_copy()
        options._secrets = dict(secrets)
        return options


class NoOptions(BaseModel):
    """The options of a scheme that has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme's module, ready to use. What takes options is got by its method, such as `verify`."""

    name: str
    doc: str
    signed: bool
    needs_secret: bool
    signs_body: bool
    signs_url: bool
    answers_head: bool
    kept_headers: tuple[str, ...]
    retry_window_s: int
    answer_within_s: float | None
    timestamp_tolerance_s: int | None
    id_at: str
    type_at: str
    signed_id: bool
    options_model: type[BaseModel]
    identify: Callable[[SignedRequest, object], Identity]
    greeting: Callable[[SignedRequest, object], Handshake | None] | None
    split: Callable[[object], Sequence[object] | None] | None
    identify_item: Callable[[SignedRequest, object], Identity]
    batch_id: Callable[[SignedRequest], str | None]
    document_hosts: tuple[str, ...]
    make_secret: Callable[[Callable[[int], bytes]], bytes] | None
    make_keys: Callable[[], tuple[bytes, bytes]] | None
    id_field: str | None
    sample: object
    content_type: str
    _module: ModuleType

    @property
    def repeated_s(self) -> int:
        """For how long a request may come again, from the provider or from whom has captured it, and be accepted.

        What is remembered for less would be carried out twice: of the provider because it sends an event again, of the
        captured one because its signed timestamp is still fresh. (By as much as the provider's clock is ahead of this
        one, it stays fresh for longer.) A scheme whose options have a ``dedup_ttl`` gives 0: its later events have
        the same body, so that nothing tells them from a repeat.
        """
        if "dedup_ttl" in self.options_model.model_fields:
            return 0
        return max(self.retry_window_s, self.timestamp_tolerance_s or 0)

    def verify(self, options: BaseModel | None = None) -> Callable[..., None]:
        """Return ``verify(request, *, secret, now_s)`` for these options; with `needs` it takes ``document`` too."""
        return self._bound("verify", options)

    def sign(self, options: BaseModel | None = None) -> Callable[..., Mapping[str, str] | Signed]:
        """Return ``sign(body, *, secret, now_s, event_id)`` for these options; with ``signs_url``, ``request`` too."""
        return self._bound("sign", options)

    def handshake(self, options: BaseModel | None = None) -> Callable[..., Handshake | None] | None:
        """Return ``handshake(request, body, *, secret, now_s)``, or ``None`` where there is none."""
        return self._optional("handshake", options)

    def challenge(self, options: BaseModel | None = None) -> Callable[..., Handshake] | None:
        """Return ``challenge(request, *, secrets, now_s)``, or ``None`` where GET is not allowed."""
        return self._optional("challenge", options)

    def needs(self, options: BaseModel | None = None) -> Callable[[SignedRequest], str] | None:
        """Return ``needs(request)``, or ``None`` where `verify` needs no document."""
        return self._optional("needs", options)

    def check_secret(self, secret: bytes, options: BaseModel | None = None) -> None:
        """Return only if the secret can work.

        Raises:
            ValueError: it is empty, or not of the provider's form. The text does not show it.
        """
        if not secret:
            raise ValueError("the secret is empty")
        check = self._optional("check_secret", options)
        if check is not None:
            check(secret)

    def _optional(self, name: str, options: BaseModel | None) -> Callable[..., Any] | None:
        return self._bound(name, options) if hasattr(self._module, name) else None

    def _bound(self, name: str, options: BaseModel | None) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._module, name)
        if self.options_model is NoOptions:
            return function
        return functools.partial(function, options=options if options is not None else self.options_model())


def scheme_names() -> list[str]:
    """Return the name of every scheme, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(ingest.schemes.__path__))


def load_scheme(name: str) -> Scheme:
    """Return the scheme of this name.

    Raises:
        UnknownScheme: there is none.
    """
    if name not in scheme_names():  # never import what a routing table merely names
        raise UnknownScheme(name, scheme_names())
    module = importlib.import_module(f"ingest.schemes.{name}")
    signed = getattr(module, "SIGNED", True)
    return Scheme(
        name=name,
        doc=module.__doc__ or "",
        signed=signed,
        needs_secret=signed and getattr(module, "NEEDS_SECRET", True),
        signs_body=signed and getattr(module, "SIGNS_BODY", True),
        signs_url=getattr(module, "SIGNS_URL", False),
        answers_head=getattr(module, "ANSWERS_HEAD", False),
        kept_headers=tuple(module.KEPT_HEADERS),
        retry_window_s=module.RETRY_WINDOW_S,
        answer_within_s=module.ANSWER_WITHIN_S,
        timestamp_tolerance_s=module.TIMESTAMP_TOLERANCE_S,
        id_at=module.ID_AT,
        type_at=module.TYPE_AT,
        signed_id=module.SIGNED_ID,
        options_model=getattr(module, "Options", NoOptions),
        identify=module.identify,
        greeting=getattr(module, "greeting", None),
        split=getattr(module, "split", None),
        identify_item=getattr(module, "identify_item", module.identify),
        batch_id=getattr(module, "batch_id", lambda request: None),
        document_hosts=tuple(getattr(module, "DOCUMENT_HOSTS", ())),
        make_secret=getattr(module, "make_secret", None),
        make_keys=getattr(module, "make_keys", None),
        id_field=getattr(module, "ID_FIELD", None),
        sample=getattr(module, "SAMPLE", {"type": "sample", "customer": "c-1", "amount": 4200}),
        content_type=getattr(module, "CONTENT_TYPE", "application/json"),
        _module=module,
    )


def no_events_answer(body: object) -> Handshake | None:
    """Return an empty answer to a body whose list of ``events`` is empty, with which a provider checks the address."""
    if isinstance(body, dict) and body.get("events") == []:
        return Handshake(b"", "text/plain; charset=utf-8")
    return None


def challenge_answer(text: str | None) -> Handshake:
    """Return the answer that echoes a challenge of a GET handshake as plain text.

    Raises:
        InvalidSignature: there is none, or it is too long or not printable ASCII: nothing else is ever echoed.
    """
    if text is None or not text.isascii() or not text.isprintable() or not 0 < len(text) <= CHALLENGE_CHARS_MAX:
        raise InvalidSignature("the challenge is missing, too long or not plain text")
    return Handshake(text.encode(), "text/plain; charset=utf-8")
