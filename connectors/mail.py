"""Addresses and ids of mail: an address out of an event is one address, and no header more."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

ADDRESSES_MAX = 100
_SPEC = r"[^\x00-\x20\x7f<>()\[\],;:\\\"@]{1,64}@[^\x00-\x20\x7f<>()\[\],;:\\\"@]{1,255}"
_NAME = r"[^\x00-\x1f\x7f<>\"\\]{0,200}"
_ADDRESS = re.compile(rf"(?P<bare>{_SPEC})|(?P<name>{_NAME}|\"{_NAME}\") *<(?P<spec>{_SPEC})>")


def _check(text: str) -> str:
    if _ADDRESS.fullmatch(text.strip()) is None:
        raise ValueError("is not one mail address, such as shop@example.com or Shop <shop@example.com>")
    return text.strip()


Address = Annotated[str, AfterValidator(_check)]
"""One address, with or without a name before it."""

Addresses = Address | Annotated[list[Address], Field(min_length=1, max_length=ADDRESSES_MAX)]
"""One address, or a list of them."""


def split_address(text: Address) -> dict[str, str]:
    """Return ``email`` and, if there is one, ``name`` of an address."""
    match = _ADDRESS.fullmatch(text)
    if match is None or match["spec"] is None:
        return {"email": text}
    name = match["name"].strip().strip('"').strip()
    return {"email": match["spec"], "name": name} if name else {"email": match["spec"]}


def listed(addresses: Addresses | None) -> list[str]:
    """Return addresses as a list, however many there are."""
    return [] if addresses is None else [addresses] if isinstance(addresses, str) else list(addresses)


def message_id(idempotency_key: str, sender: Address) -> str:
    """Return the ``Message-ID`` of a delivery, the same on each attempt: mailboxes tell a repeat by it."""
    domain = split_address(sender)["email"].rpartition("@")[2]
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        domain = "headrace.invalid"
    return f"<{idempotency_key}@{domain}>"
