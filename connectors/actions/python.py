"""The user's own code: async functions in a module that the routing table names.

The module is imported when the destination starts, into a process of its own for each worker: a function that blocks,
computes for long, runs out of memory or crashes harms no other destination. It gets the worker's environment.

Example::

    destinations:
      own: {connector: python, module: shop.actions}
    routes:
      - name: order-to-function
        source: orders
        to: own
        action: call
        with: {function: register, args: {order: "{{ body.id }}"}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from connectors.connector import Call, Connector, DestinationSettings
from connectors.user_process import UserProcess

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class PythonSettings(DestinationSettings):
    """A destination of connector ``python``.

    A relative path is taken from the ``base_dir`` of the validation context (the routing table's folder), or the
    working directory without one.
    """

    module: str = Field(description="A .py file, relative to the routing table, or a module name such as shop.actions.")

    @field_validator("module")
    @classmethod
    def _find(cls, module: str, info: ValidationInfo) -> str:
        if module.endswith(".py"):
            path = Path((info.context or {}).get("base_dir", "."), module).absolute()
            if not path.is_file():
                raise ValueError(f"there is no file {module}")
            return str(path)
        if _DOTTED.fullmatch(module) is None:
            raise ValueError("neither a path ending in .py nor a module name")
        return module


async def _start(settings: PythonSettings, secrets: Mapping[str, str]) -> UserProcess:
    process = UserProcess(settings.module)
    await process.start()
    return process


python = Connector("python", PythonSettings, prepare=_start, sees_environment=True)


@python.action
async def call(call: Call, *, function: str, args: dict[str, Any] | None = None) -> str | None:
    """Await ``function(call, **args)`` of the module, at least once: pass ``call.idempotency_key`` to what it changes.

    ``call`` has ``idempotency_key`` and ``destination``. The function raises `PermanentError` for a delivery that can
    never succeed, and `TransientError` for one that may later (both in ``connectors.errors``). Anything else that it
    raises is a defect, of which the delivery is not to blame: it is retried, then a dead letter, which is replayed when
    the defect is mended. Of such an exception only the class and place are shown, since its text may hold what nobody
    may see. What it says in a `CallError`, or returns, is shown with the secrets masked that the routing table names. A
    function that does not return within ``timeout_s`` is cancelled, and a second later its process is killed: other
    functions in it fail with it, and are retried.

    Returns:
        What the function returns, if that is a text.

    Raises:
        PermanentError: there is no such async function, or the arguments do not fit it.
        TransientError: the function raised something else, or its process ended.
    """
    process: UserProcess = call.prepared
    return await process.run(call, function, args or {})
