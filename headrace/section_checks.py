"""What must hold within one source or destination, beyond what its model checks value by value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from headrace.document import Node
from headrace.mistakes import Keys, Mistake, written
from headrace.validation import ENV_NAME_MISTAKE, Findings, name_mistake
from ingest.scheme import Scheme, load_scheme
from ingest.settings import IngestSettings
from ingest.sources import SourceSettings
from streams.event import OWN_SOURCE, RESERVED_SOURCES
from streams.routing import NAME_PATTERN

DELAY_S_MAX = 6 * 24 * 3600  # the topics retries.<delay> keep their records for seven days
DELAYS_MAX = 50  # each distinct delay is a topic

# Names are upper case, or lower case without digits: anything else is more likely a secret than a name.
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*|[a-z_]+", re.ASCII)
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*:[^/?#\s]*@", re.IGNORECASE)
_NAME = re.compile(NAME_PATTERN.removesuffix("$"), re.ASCII)


def check_name(keys: Keys, name: str, findings: Findings) -> None:
    """Note a name of a source or destination that is not one."""
    if not _NAME.fullmatch(name):
        findings.add(keys, *name_mistake())


def check_reserved(keys: Keys, name: str, findings: Findings) -> None:
    """Note a source with a name that Headrace keeps for events that nobody posts."""
    if name in RESERVED_SOURCES:
        whose = "Headrace's own events" if name == OWN_SOURCE else "events that schedules make"
        hint = f"choose another name; a route may take 'source: {name}' without it" if name == OWN_SOURCE else ""
        findings.add(keys, f"the name {name!r} is reserved for {whose}", hint or "choose another name")


def check_source(value: Mapping[str, object], scheme: Scheme, keys: Keys, findings: Findings) -> None:
    """Note what is wrong with a source's secret, whatever else is wrong with the source."""
    check_env_names(value, keys, findings)
    unsigned, secret = value.get("allow_unsigned") is True, value.get("secret_env")
    if scheme.needs_secret and secret is None and "secret" not in value:
        findings.add(keys, f"'secret_env' is missing: the scheme {scheme.name} verifies signatures")
    if scheme.signed and unsigned:
        findings.add((*keys, "allow_unsigned"), f"does not go with the scheme {scheme.name}", "remove it")
    if not scheme.signed and secret:
        findings.add((*keys, "secret_env"), f"the scheme {scheme.name} verifies nothing", "choose a scheme that signs")
    elif not scheme.needs_secret and secret:
        findings.add((*keys, "secret_env"), f"the scheme {scheme.name} has no secret", "remove it")
    if not scheme.signed and not unsigned:
        findings.add(
            (*keys, "scheme"),
            f"the scheme {scheme.name} verifies nothing: anybody can post events",
            "choose a scheme that signs, or write 'allow_unsigned: true'",
        )


def unstable_addresses(sources: Mapping[str, SourceSettings], ingest: IngestSettings, document: Node) -> list[Mistake]:
    """Return a warning for each source whose provider signs the address, where nothing says what that is."""
    return [
        Mistake(
            document.line_of(("sources", name, "scheme")),
            written(("sources", name)),
            f"{source.scheme} signs the address it calls, which is then taken from the header Host",
            "set ingest.public_url, or the source's public_url",
        )
        for name, source in sources.items()
        if load_scheme(source.scheme).signs_url and not (ingest.public_url or source.public_url)
    ]


def check_destination(value: Mapping[str, object], keys: Keys, findings: Findings) -> None:
    """Note secrets in a destination's settings, and delays that cannot work, where its model found nothing."""
    check_env_names(value, keys, findings)
    for place, text in leaves(value, keys):
        if isinstance(text, str) and _PASSWORD_IN_URL.match(text) and not findings.at(place):
            findings.add(place, "the address holds a password", "secrets are named with a key that ends in _env")
    delays = value.get("delays_s")
    if isinstance(delays, list) and len(delays) > DELAYS_MAX:
        findings.add((*keys, "delays_s"), f"must hold at most {DELAYS_MAX} delays")
    for place, delay in leaves(delays, (*keys, "delays_s")):
        if isinstance(delay, int) and delay > DELAY_S_MAX and not findings.at(place):
            findings.add(place, f"must be at most {DELAY_S_MAX} seconds (six days)")


def check_env_names(value: Mapping[str, object], keys: Keys, findings: Findings) -> None:
    """Note a key that ends in ``_env`` and holds what looks like the secret itself; the mistake does not show it."""
    for key, names in value.items():
        if not key.endswith("_env"):
            continue
        for place, name in leaves(names, (*keys, key)):
            if isinstance(name, str) and not _ENV_NAME.fullmatch(name):
                findings.add(place, *ENV_NAME_MISTAKE)


def leaves(value: object, keys: Keys) -> Iterator[tuple[Keys, object]]:
    """Yield every scalar in ``value`` with its place."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*keys, index))
    else:
        yield keys, value
