"""The worker's side of the process in which the user's functions run: started, asked, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from typing import Any

from connectors import errors
from connectors.connector import Call
from connectors.errors import CallError, PermanentError, TransientError, Unreachable
from connectors.frames import pack, read_frame

START_S_MAX = 30.0  # for the module to be imported
CANCEL_S_MAX = 1.0  # for a function to end once it is cancelled; then the process is killed


class UserProcess:
    """Runs functions of one module, many at once, in one process of its own.

    A function that computes for long or blocks holds up the others of its module, and no other destination. One that
    does not end a second after its time is up takes the process with it: the calls that were in it fail as
    `Unreachable`, and the next call starts another.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._running: _Running | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the process.

        Raises:
            ValueError: the module does not import, or not in time; says why.
        """
        async with self._starting:
            if self._running is None or self._running.ended:
                self._running = await _Running.start(self._module)

    async def run(self, call: Call, function: str, arguments: dict[str, Any]) -> str | None:
        """Return what the function returns, if that is a text.

        Raises:
            CallError: the function did, or cannot be called, or its process ended.
        """
        running = self._running
        if running is None or running.ended:
            try:
                await self.start()
            except ValueError as error:
                raise Unreachable(str(error)) from None
            running = self._running
        assert running is not None  # noqa: S101  for mypy: it was started
        return await running.ask(
            {
                "function": function,
                "arguments": arguments,
                "idempotency_key": call.idempotency_key,
                "destination": call.destination,
            }
        )

    async def close(self) -> None:
        """End the process, whatever runs in it."""
        if self._running is not None:
            await self._running.kill("the destination is closed")


class _Running:
    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.ended = False
        self._process = process
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._waiting = asyncio.create_task(self._wait())
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, module: str) -> _Running:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # a file in the working directory must not take the place of a library's
                    "-m",
                    "connectors.user_code",
                    str(theirs.fileno()),
                    module,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the worker; and a kill takes all that it has started
                )
        except OSError as error:
            ours.close()
            raise ValueError(f"the process of {module} cannot be started: {error.strerror}") from None
        reader, writer = await asyncio.open_connection(sock=ours)
        said: dict[str, Any] = {}
        try:
            async with asyncio.timeout(START_S_MAX):
                said = await read_frame(reader)
        except TimeoutError:
            raise ValueError(f"the module {module} does not import within {START_S_MAX:g} s") from None
        except EOFError:
            raise ValueError(f"the module {module} does not import: its process ended") from None
        finally:
            if "ready" not in said:
                writer.close()
                _kill(process)
                await process.wait()
        if "ready" not in said:
            raise ValueError(str(said.get("failed")))
        return cls(process, reader, writer)

    async def ask(self, question: dict[str, Any]) -> str | None:
        number = next(self._numbers)
        try:
            frame = pack({"id": number, **question})
        except (TypeError, ValueError) as error:
            raise PermanentError(f"the arguments cannot be passed on: {error}") from None
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            self._writer.write(frame)
            return _read_answer(await asyncio.shield(answered))
        except asyncio.CancelledError:
            task = asyncio.create_task(self._cancel(number, question["function"], answered))
            self._cancelled.add(task)
            task.add_done_callback(self._cancelled.discard)
            raise

    async def kill(self, why: str) -> None:
        """End the process, and every call in it with ``why``."""
        self._end(why)
        _kill(self._process)
        await self._waiting

    async def _cancel(self, number: int, function: str, answered: asyncio.Future[dict[str, Any]]) -> None:
        with contextlib.suppress(OSError):
            self._writer.write(pack({"cancel": number}))
        await asyncio.wait([answered], timeout=CANCEL_S_MAX)
        if not answered.done():
            await self.kill(f"its process was killed: {function} did not end when its time was up")
        if answered.done() and not answered.cancelled():
            answered.exception()  # nobody waits for it any more

    async def _listen(self) -> None:
        try:
            while True:
                answer = await read_frame(self._reader)
                answered = self._asked.pop(answer.get("id", -1), None)
                if answered is not None and not answered.done():
                    answered.set_result(answer)
        except EOFError:  # it has ended, or a function has closed what is not its own
            await asyncio.wait([self._waiting], timeout=CANCEL_S_MAX)
            if not self._waiting.done():
                await self.kill("its process no longer listens")

    async def _wait(self) -> None:
        """Wait for the end of the process: a child of it may hold its side of the socket open, and live on."""
        code = await self._process.wait()
        self._end(f"its process ended by itself ({_exit_of(code)})")
        _kill(self._process)
        self._listening.cancel()
        self._writer.close()

    def _end(self, why: str) -> None:
        self.ended = True
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(Unreachable(f"the function was interrupted: {why}"))
        self._asked.clear()


def _read_answer(answer: dict[str, Any]) -> str | None:
    if "error" not in answer:
        return answer.get("made")
    kind = getattr(errors, str(answer["error"]), TransientError)
    error: CallError = kind(str(answer.get("text")), status=answer.get("status"))
    if isinstance(error, TransientError):
        error.retry_after_s = answer.get("retry_after_s")
    raise error


def _kill(process: asyncio.subprocess.Process) -> None:
    """End the process and all that it has started, also when it has ended itself: its group keeps its number."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _exit_of(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
