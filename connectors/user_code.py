"""The process in which the user's own functions run: ``python -m connectors.user_code SOCKET MODULE``.

It serves one destination of a worker over an inherited socket (`connectors.frames`), ends when that is closed, and is
killed when a function does not return in time (`connectors.user_process`). Whatever a function does to this process,
it does to no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import importlib
import inspect
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from connectors.errors import CallError, PermanentError, TransientError, place_of
from connectors.frames import pack, receive_frame

PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE = "1000"  # under memory pressure this process goes first, and not its worker


@dataclass(frozen=True, slots=True)
class UserCall:
    """What a function gets as its first argument. The key is the same on every attempt of a delivery."""

    idempotency_key: str
    destination: str


def load_module(module: str) -> ModuleType:
    """Import a ``.py`` file, or a module by its name.

    Raises:
        ValueError: it cannot be imported; says why, and in which line.
    """
    try:
        return _load_file(module) if module.endswith(".py") else importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"the module {module} does not import: {place_of(error)}") from error


def _load_file(path: str) -> ModuleType:
    sys.path.append(str(Path(path).parent))  # what lies beside the file can be imported by it
    name = "headrace_python_" + hashlib.sha256(path.encode()).hexdigest()[:12]
    loader = SourceFileLoader(name, path)
    module = ModuleType(name)
    module.__file__ = path
    module.__loader__ = loader
    sys.modules[name] = module  # dataclasses and pickle look their module up
    exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)  # noqa: S102  the operator named this file
    return module


async def run_function(module: ModuleType, function: str, call: UserCall, arguments: dict[str, Any]) -> str | None:
    """Await ``function(call, **arguments)`` of the module, and return the text that it returns, if it is one.

    Raises:
        PermanentError: there is no such async function, or the arguments do not fit it.
        TransientError: the function raised what is no `CallError`; shows the class and the place alone.
        CallError, TimeoutError: the function did.
    """
    target = getattr(module, function, None)
    if function.startswith("_") or not inspect.iscoroutinefunction(target):
        raise PermanentError(f"the module has no async function {function!r}")
    try:
        inspect.signature(target).bind(call, **arguments)
    except TypeError as error:
        raise PermanentError(f"the arguments do not fit {function}: {error}") from None
    try:
        made = await target(call, **arguments)
    except (CallError, TimeoutError):
        raise
    except (Exception, SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        # SystemExit too: a function must not end the process that others run in.
        raise TransientError(f"{function} raised {place_of(error)}") from None
    return made if isinstance(made, str) else None


class _Server:
    def __init__(self, sock: socket.socket, module: ModuleType) -> None:
        self._socket = sock
        self._module = module
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def listen(self) -> None:
        """Take frames, in a thread: the end of the worker must be noticed while a function blocks the loop."""
        try:
            while True:
                self._loop.call_soon_threadsafe(self._take, receive_frame(self._socket))
        finally:
            with contextlib.suppress(OSError):
                if os.getpgrp() == os.getpid():
                    os.killpg(0, signal.SIGKILL)  # with all that the functions have started
            os._exit(0)

    def _take(self, frame: dict[str, Any]) -> None:
        if "cancel" in frame:
            task = self._tasks.get(frame["cancel"])
            if task is not None:
                task.cancel()
            return
        number = frame["id"]
        task = self._loop.create_task(self._run(frame))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _run(self, frame: dict[str, Any]) -> None:
        call = UserCall(frame["idempotency_key"], frame["destination"])
        answer: dict[str, Any] = {"id": frame["id"]}
        try:
            answer["made"] = await run_function(self._module, frame["function"], call, frame["arguments"])
        except CallError as error:
            answer |= {"error": _class_of(error), "text": str(error), "status": error.status}
            answer["retry_after_s"] = getattr(error, "retry_after_s", None)
        except TimeoutError:
            answer |= {"error": "TimeoutExceeded", "text": f"{frame['function']} raised TimeoutError"}
        self._socket.sendall(pack(answer))


def _class_of(error: CallError) -> str:
    """Return the nearest class that `connectors.errors` has: a function may raise one of its own beneath it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == CallError.__module__)


async def serve(sock: socket.socket, module: ModuleType) -> None:
    """Run functions until the socket is closed, which ends the process."""
    sock.sendall(pack({"ready": True}))
    threading.Thread(target=_Server(sock, module).listen, daemon=True).start()
    await asyncio.Event().wait()


def _end_with_parent() -> None:
    """Be killed when the worker is, even while a function in C, such as a search by ``re``, lets no thread notice."""
    with contextlib.suppress(OSError, AttributeError):  # there is no such call but on Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def main(arguments: list[str]) -> int:
    """Import the module, say so or why not, and serve."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the worker, which drains first
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    _end_with_parent()
    sock = socket.socket(fileno=int(arguments[0]))
    sock.set_inheritable(False)
    try:
        module = load_module(arguments[1])
    except ValueError as error:
        sock.sendall(pack({"failed": str(error)}))
        return 1
    asyncio.run(serve(sock, module))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
