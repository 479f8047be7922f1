"""A mirror: a copy of a route's events to the system that is being replaced, as they came.

It is a route of its own, ``<route>.mirror``, to a destination of its own of that name, so it has its own queue, limits,
retries and dead letters, and the old system's trouble stays its own. No name in a routing table has a dot.
"""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streams.event import QUERY_HEADER, Event

SUFFIX = ".mirror"
CONNECTOR, ACTION = "zapier", "forward"

Rate = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}/[smh]$")]


class MirrorSettings(BaseModel):
    """A route's ``mirror``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        description="Holds the address of the old system's hook: a credential."
    )
    rate: Rate = Field("30/s", description="Over all workers. Zapier allows a hook 30 requests a second.")
    only: str | None = Field(None, description="A condition on `body`, `event` and `headers` for what is mirrored.")


def mirror_name(route: str) -> str:
    """Return the name of a route's mirror, which is also that of its destination."""
    return route + SUFFIX


def as_it_came(event: Event) -> dict[str, object]:
    """Return the parameters of the mirror's call: body, content type and query of the request that was accepted."""
    return {
        "body_base64": base64.b64encode(event.body).decode(),
        "content_type": event.content_type,
        "content_encoding": event.content_encoding,
        "query": event.headers.get(QUERY_HEADER, ""),
    }
