"""The user's own code: an async function in a module that the routing table names.

The module is imported when the destination starts; a file is read anew when the routing table is reloaded, a module
name is not. It runs in the
worker's process and on its event loop: a function that computes for long, or blocks, holds up every delivery, and one
that swallows its cancellation outlasts ``timeout_s``.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from connectors.connector import Call, Connector, DestinationSettings
from connectors.errors import CallError, PermanentError, TransientError, place_of

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


def load_module(settings: PythonSettings) -> ModuleType:
    """Import the user's module.

    Raises:
        ValueError: it cannot be imported; says why, and in which line.
    """
    try:
        if settings.module.endswith(".py"):
            return _load_file(settings.module)
        return importlib.import_module(settings.module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"the module {settings.module} does not import: {place_of(error)}") from error


def _load_file(path: str) -> ModuleType:
    name = "headrace_python_" + hashlib.sha256(path.encode()).hexdigest()[:12]
    loader = SourceFileLoader(name, path)
    module = ModuleType(name)
    module.__file__ = path
    module.__loader__ = loader
    sys.modules[name] = module  # dataclasses and pickle look their module up
    exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)  # noqa: S102  the operator named this file
    return module


python = Connector("python", PythonSettings, prepare=load_module)


@python.action
async def call(call: Call, *, function: str, args: dict[str, Any] | None = None) -> None:
    """Await ``function(call, **args)`` of the module, at least once: pass ``call.idempotency_key`` to what it changes.

    The function raises `PermanentError` for a delivery that can never succeed, and `TransientError` for one that may
    later. Anything else that it raises is a defect, of which the delivery is not to blame: it is retried, then a dead
    letter, which is replayed when the defect is mended. Of such an exception only the class and place are shown, since
    its text may hold what nobody may see.

    Raises:
        PermanentError: there is no such async function, or the arguments do not fit it.
        TransientError: the function raised something else.
    """
    target = getattr(call.prepared, function, None)
    if function.startswith("_") or not inspect.iscoroutinefunction(target):
        raise PermanentError(f"the module has no async function {function!r}")
    arguments = args or {}
    try:
        inspect.signature(target).bind(call, **arguments)
    except TypeError as error:
        raise PermanentError(f"the arguments do not fit {function}: {error}") from None
    try:
        await target(call, **arguments)
    except (CallError, TimeoutError):
        raise
    except (Exception, SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # ours: the time is up, or the worker drains
        # SystemExit too: a user's function must not end the worker.
        raise TransientError(f"{function} raised {place_of(error)}") from None
