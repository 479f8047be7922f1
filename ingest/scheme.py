"""The contract of a scheme, and how one is found: ``ingest/schemes/<name>.py`` is the scheme ``<name>``.

Such a module has a docstring that says how the provider signs, and:

- ``verify(request, *, secret, now_s)`` returns only if the provider signed the request, and raises nothing but
  `InvalidSignature`;
- ``identify(request, body)`` returns the `Identity`; ``body`` is parsed; may raise `MalformedEvent`;
- ``sign(body, *, secret, now_s, event_id)`` returns the headers that make ``body`` a valid request;
- ``KEPT_HEADERS``, lower-case names that are kept with the event, and ``RETRY_WINDOW_S``, for how long the provider
  sends an event again;
- optionally ``handshake(body)``, which answers a provider that checks the address, after ``verify``;
- optionally ``Options``, a pydantic model of further keys of a source: then ``verify`` and ``sign`` take ``options``;
- optionally ``check_secret(secret)``, which raises ``ValueError`` for a secret that can never work;
- optionally ``SIGNED = False``, for requests that prove nothing;
- optionally ``SAMPLE``, a small body of the provider's form, and ``ID_FIELD``, where the id is in it, for
  ``headrace send``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict

import ingest.schemes
from ingest.signature import SignedRequest

ID_CHARS_MAX = 256  # it becomes a Kafka key, a row of `seen` and a header of every call


class UnknownScheme(LookupError):
    """No scheme has this name; ``known`` are those that exist."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no scheme {name!r} (known: {', '.join(known)})")
        self.known = known


class MalformedEvent(ValueError):
    """A field that the event needs is missing or of the wrong kind. The text names the field, never its value."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an event is, by its provider. ``event_id`` is ``None`` where the provider gives none.

    ``id_signed`` says whether the signature covers the id; else another body could claim it.
    """

    event_id: str | None
    event_type: str | None
    id_signed: bool


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer, with status 200, that proves to the provider who owns the address."""

    body: bytes
    content_type: str


class NoOptions(BaseModel):
    """The options of a scheme that has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme's module, ready to use; ``verify`` and ``sign`` take ``options`` by `bound`."""

    name: str
    doc: str
    signed: bool
    kept_headers: tuple[str, ...]
    retry_window_s: int
    options_model: type[BaseModel]
    identify: Callable[[SignedRequest, object], Identity]
    handshake: Callable[[object], Handshake | None] | None
    id_field: str | None
    sample: Mapping[str, object]
    _module: ModuleType

    def verify(self, options: BaseModel | None = None) -> Callable[..., None]:
        """Return ``verify(request, *, secret, now_s)`` for these options."""
        return self._bound("verify", options)

    def sign(self, options: BaseModel | None = None) -> Callable[..., Mapping[str, str]]:
        """Return ``sign(body, *, secret, now_s, event_id)`` for these options."""
        return self._bound("sign", options)

    def check_secret(self, secret: bytes) -> None:
        """Return only if the secret can work.

        Raises:
            ValueError: it is empty, or not of the provider's form. The text does not show it.
        """
        if not secret:
            raise ValueError("the secret is empty")
        check = getattr(self._module, "check_secret", None)
        if check is not None:
            check(secret)

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
    return Scheme(
        name=name,
        doc=module.__doc__ or "",
        signed=getattr(module, "SIGNED", True),
        kept_headers=tuple(module.KEPT_HEADERS),
        retry_window_s=module.RETRY_WINDOW_S,
        options_model=getattr(module, "Options", NoOptions),
        identify=module.identify,
        handshake=getattr(module, "handshake", None),
        id_field=getattr(module, "ID_FIELD", None),
        sample=getattr(module, "SAMPLE", {"type": "sample", "customer": "c-1", "amount": 4200}),
        _module=module,
    )


def text_header(request: SignedRequest, name: str) -> str | None:
    """Return a header as text, or ``None`` without it.

    Raises:
        MalformedEvent: it is repeated, empty, too long or not UTF-8.
    """
    values = request.values(name.encode())
    if not values:
        return None
    if len(values) > 1:
        raise MalformedEvent(f"the header {name} is repeated")
    try:
        return require_text(values[0].decode(), f"the header {name}")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"the header {name} is not UTF-8") from error


def text_field(body: object, name: str, *, required: bool = False) -> str | None:
    """Return the body's top-level field ``name`` as text, or ``None`` without it.

    Raises:
        MalformedEvent: the field is no text, empty or too long, or is required and missing.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if value is not None:
        return require_text(value, f"the field {name}")
    if required:
        raise MalformedEvent(f"the field {name} is missing")
    return None


def require_text(value: object, what: str) -> str:
    """Return ``value`` if it is text that can be an id or a type.

    Raises:
        MalformedEvent: it is no text, empty, too long, or cannot be encoded.
    """
    if not isinstance(value, str):
        raise MalformedEvent(f"{what} is not text")
    if not value or len(value) > ID_CHARS_MAX:
        raise MalformedEvent(f"{what} is empty or longer than {ID_CHARS_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedEvent(f"{what} is not valid Unicode") from error
    return value
