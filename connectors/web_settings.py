"""The settings of destinations that are called by HTTP, whatever their service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from connectors.endpoint import Endpoint, read_base_url, read_secret_url
from connectors.settings import DestinationSettings
from connectors.tls import Tls

if TYPE_CHECKING:
    from connectors.auth import Auth

BaseUrl = Annotated[str, AfterValidator(read_base_url)]


def _find(path: str, info: ValidationInfo) -> str:
    """Take a relative path from the routing table's folder (``base_dir``), or the working directory without one."""
    found = Path((info.context or {}).get("base_dir", "."), path).absolute()
    if not found.is_file():
        raise ValueError(f"there is no file {path}")
    return str(found)


TableFile = Annotated[str, AfterValidator(_find)]
"""A file that exists, by a path that is relative to the routing table."""

AllowPrivate = Annotated[
    bool,
    Field(
        description="Let the host be a name that leads to a private, loopback or link-local address. "
        "An address written as a number needs no leave."
    ),
]
"""Whether a destination may be reached at an address that is not public."""


class WebSettings(DestinationSettings):
    """A destination that is called by HTTP, or whose connection is made as one for HTTP would be."""

    allow_private: AllowPrivate = False
    ca_file: TableFile | None = Field(
        None, description="A PEM file with the only authorities to trust; without it, the public ones."
    )

    def endpoint_at(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: tuple[tuple[str, str], ...] = (),
        auth: Auth | None = None,
        certificate: str | None = None,
        key: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Endpoint:
        """Return an endpoint with this destination's TLS and reach."""
        return Endpoint(
            base_url,
            dict(headers or {}),
            query,
            auth,
            Tls(self.ca_file, certificate, key),
            self.allow_private,
            secrets,
        )

    def endpoint_in_secret(self, url: str) -> Endpoint:
        """Return the endpoint of an address that is itself the credential.

        Raises:
            ValueError: it is not an address to call; the text does not show it.
        """
        base_url, query, parts = read_secret_url(url)
        return self.endpoint_at(base_url, query=query, secrets=parts)
