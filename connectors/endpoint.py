"""Where a destination's calls go: one host and base path that no rendered value can leave.

Paths come out of events, so they are hostile. httpx turns ``/users/../../admin`` into ``/admin``, and yarl, below
aiohttp, decodes ``%2e%2e`` first: a path with a dot segment in any spelling is refused here, never normalised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from connectors.addresses import numeric_address
from connectors.tls import Tls

if TYPE_CHECKING:
    from connectors.auth import Auth

Scalar = str | int | float | bool | None

_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
PATH_CHARS_MAX = 8192
SECRET_PART_CHARS_MIN = 12
DECODINGS_MAX = 3  # a proxy and an application may each decode once; what needs more is refused

# Set by the client, or credentials, which come from the environment alone.
RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where calls go, and what each carries: nothing of it is shown, since all of it may hold credentials.

    ``base_url`` is as `read_base_url` returns it; ``headers`` and ``query`` go with every call, and ``auth`` adds what
    is made for each. ``allow_private`` lets the host be a name of an address that is not public. ``secrets`` are to be
    masked besides the destination's own.
    """

    base_url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    auth: Auth | None = field(default=None, repr=False)
    tls: Tls = field(default=Tls(), repr=False)
    allow_private: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)


def read_secret_url(text: str) -> tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the base URL, the query and the parts to mask of an address that is a credential, as webhooks have.

    Calls go to this very address: a slash at its end stays.

    Raises:
        ValueError: it is not an address to call; the text does not show it.
    """
    address, _, query = text.strip().partition("?")
    try:
        base_url = read_base_url(address)
    except ValueError:
        raise ValueError("the address in the environment is not one of http or https") from None
    base_url += "/" if urlsplit(address).path.endswith("/") else ""
    path = urlsplit(base_url).path
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    parts = [text.strip(), address, path, f"{path}?{query}", *(value for _, value in pairs), *path.split("/")]
    # Shorter parts are words such as "webhooks", and the path around them is masked as a whole.
    return base_url, pairs, tuple(part for part in parts if len(part) >= SECRET_PART_CHARS_MIN or part == path)


def read_base_url(text: str) -> str:
    """Return a base URL without its trailing slash, an IPv4 address in it in its usual spelling.

    Raises:
        ValueError: it is not http or https, has no host, or carries a user, password, query or fragment.
    """
    parts = urlsplit(text)  # itself raises ValueError on a malformed host
    if parts.scheme not in ("http", "https"):
        raise ValueError("base_url must begin with http:// or https://")
    if not parts.hostname or _CONTROL.search(text) or "\\" in text:
        raise ValueError("base_url has no valid host")
    if "@" in parts.netloc:
        raise ValueError("base_url must not hold a user or password: name the credential's variable in token_env")
    if "?" in text or "#" in text:
        raise ValueError("base_url must not hold a query or a fragment")
    if parts.port == 0:
        raise ValueError("base_url has port 0")
    number = numeric_address(parts.hostname)
    netloc = parts.netloc if number is None else number + (f":{parts.port}" if parts.port is not None else "")
    return f"{parts.scheme}://{netloc}{_read_path(parts.path).rstrip('/')}"


def join_url(
    base_url: str,
    path: str,
    query: Mapping[str, Scalar | Iterable[Scalar]] | None = None,
    own_query: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the URL of ``path`` under ``base_url``, percent-encoded; percent-encoded input is taken as such.

    ``own_query`` is the destination's own, which ``query`` cannot change.

    Whatever ``path`` holds, the result has the scheme, host and port of ``base_url`` and a path under its path.

    Raises:
        ValueError: the path is an absolute URL, begins with ``//``, holds a dot segment in any spelling, a control
            character, ``?`` or ``#``, or something is not encodable.
    """
    url = base_url + (_read_path(path) if path.startswith("/") else _read_path("/" + path) if path else "")
    if not query and not own_query:
        return url
    pairs = [(name, _text(item)) for name, value in (query or {}).items() for item in _items(value) if item is not None]
    # A parameter that is the destination's own, a key perhaps, cannot be set by a call.
    own_names = {name for name, _ in own_query}
    pairs = [(name, text) for name, text in pairs if name not in own_names]
    return f"{url}?{urlencode([*own_query, *pairs])}" if own_query or pairs else url


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case.

    Raises:
        ValueError: a name or value holds a character that would end the header, or a name is the client's own.
    """
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None:
            raise ValueError("a header name holds a character that HTTP does not allow")
        if _HEADER_VALUE.fullmatch(value) is None:
            raise ValueError(f"the header {name} holds a character that HTTP does not allow, or is too long")
        if name.lower() in RESERVED_HEADERS:
            raise ValueError(
                f"the header {name} cannot be set: credentials belong in token_env, the rest is HTTP's own"
            )
        checked[name.lower()] = value
    return checked


def _read_path(path: str) -> str:
    if len(path) > PATH_CHARS_MAX:
        raise ValueError(f"the path is longer than {PATH_CHARS_MAX} characters")
    if path.startswith("//") or _SCHEME.match(path.lstrip("/")):
        raise ValueError("the path is an absolute address: it must stay under base_url")
    if "?" in path or "#" in path:
        raise ValueError("the path holds ? or #: give the query in `query`")
    decoded = path
    for _ in range(DECODINGS_MAX):
        if "%" not in decoded:
            break
        decoded = unquote(decoded, errors="replace")
    else:
        if unquote(decoded, errors="replace") != decoded:
            raise ValueError("the path is percent-encoded too many times")
    if _CONTROL.search(decoded.replace(" ", "")):
        raise ValueError("the path holds a control character")
    # "..;" is a dot segment to servers that strip path parameters.
    if any(segment.split(";")[0] in (".", "..") for segment in decoded.replace("\\", "/").split("/")):
        raise ValueError("the path holds a dot segment: it must stay under base_url")
    try:
        return quote(_STRAY_PERCENT.sub("%25", path), safe=_PATH_SAFE)
    except UnicodeEncodeError:
        raise ValueError("the path holds a character that UTF-8 cannot encode") from None


def _items(value: Scalar | Iterable[Scalar]) -> Iterable[Scalar]:
    return (value,) if value is None or isinstance(value, str | int | float | bool) else value


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
