"""One file a connector, with what the conformance suite needs to call each of its actions.

It has to have
- ``settings(base_url, folder)``: a destination's keys;
- ``SECRETS``: the values of its ``*_env`` keys, or ``secrets(base_url)`` where the address is one of them;
- ``PARAMETERS``: the rendered parameters of one good call, by action;

and for a service with ways of its own
- ``SENT``: the request that such a call makes, by action: method, path and JSON body (or bytes);
- ``ANSWERS``: what the service answers to it, by action (`Said`; by default 200 and ``{}``);
- ``MADE``: what the action returns then, by action;
- ``REFUSALS``: the answers that the service documents for what it refuses or limits, and what they are taken for;
- ``MEANINGS``: statuses that mean something else here than in the common table;
- ``ASIDE``: JSON that is to be had elsewhere than where the action calls, by path: a token;
- ``is_authentic(request)``: whether a request shows the credentials; by default each secret stands in it somewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Said:
    """An answer as a service documents it, and what it must be taken for."""

    status: int = 200
    body: Any = field(default_factory=dict)  # JSON, or bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: type[Exception] | None = None
    wait_s: float | None = None
    says: str = ""

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
