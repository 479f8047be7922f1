"""`headrace run`: Kafka, ingest and workers as one program, each part started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import click

from headrace.broker import EmbeddedKafka
from headrace.child import Child
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.echo import Echo
from headrace.first_secrets import generate_missing
from headrace.hangup import take_hangups
from headrace.kafka_dir import DirectoryLock
from headrace.keeper import Keeper
from headrace.level_signals import obey_level_signals
from headrace.run_options import RunOptions
from headrace.secrets import SECRETS_FILE, read_secret, read_secrets_file, resolve
from headrace.topics import ensure_topics

INGEST_STOP_S = 20.0
WORKER_STOP_S = 30.0  # beside the time that a worker gives its calls in flight
KAFKA_STOP_S = 20.0
HURRY_STOP_S = 2.0
READY_POLL_S = 0.1


class Supervisor:
    """Starts everything in order, keeps it running, and stops it in the opposite order."""

    def __init__(self, settings: Settings, options: RunOptions) -> None:
        self.settings, self.options = settings, options
        self.table: RoutingTable = settings.table()
        self.kafka: EmbeddedKafka | None = None
        self.ingest: Child | None = None
        self.workers: list[Child] = []
        self._lock = DirectoryLock(settings.data_dir, owner="headrace run")
        self._end, self._hurry = asyncio.Event(), asyncio.Event()
        self._echo = Echo(options.echo_port) if options.echo_port else None
        self._keeping: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run until a signal ends it.

        Raises:
            PortTaken, EchoPortTaken, BrokerError, TopicError, KafkaUnavailable, SecretError: it cannot start.
            PartLost: a part of it cannot be kept up. Whatever was started is stopped by then.
        """
        self._install_signals()
        try:
            self._lock.acquire()
            self.options.require_free_ports()
            work = asyncio.create_task(self._work(), name="run")
            ended = asyncio.create_task(self._end.wait())
            await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
        finally:
            await self._stop()
            self._lock.release()

    async def _work(self) -> None:
        if self._echo is not None:
            await self._echo.start()
        self._require_secrets()
        await self._start_kafka()
        await ensure_topics(self.settings, self.table)
        self._make_children()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            keepers = self._keepers(session)
            self._keeping = [asyncio.create_task(keeper.run(), name=keeper.name) for keeper in keepers]
            ready = asyncio.create_task(self._announce(keepers), name="ready")
            try:
                await asyncio.gather(ready, *self._keeping)
            finally:
                ready.cancel()

    def _keepers(self, session: aiohttp.ClientSession) -> list[Keeper]:
        async def at_once() -> None:
            """Kafka answers by the time that its start returns."""

        async def answering(port: int) -> None:
            while not await _answers(session, f"http://127.0.0.1:{port}/readyz"):  # noqa: ASYNC110 - asks a process
                await asyncio.sleep(READY_POLL_S)

        keepers = [] if self.kafka is None else [Keeper("Kafka", self.kafka, wait_ready=at_once, tell=say)]
        for number, child in enumerate(self._children()):
            ready = functools.partial(answering, self.options.admin_port + number)
            keepers.append(Keeper(child.name, child, wait_ready=ready, tell=say))
        return keepers

    def _children(self) -> list[Child]:
        """Return ingest and the workers, in the order of their admin ports."""
        return [child for child in (self.ingest, *self.workers) if child is not None]

    # -- the parts ------------------------------------------------------------------------------------------------

    def _require_secrets(self) -> None:
        """Return only if every secret is set; with the embedded Kafka, those of sources are made up."""
        settings = self.settings
        if not settings.kafka_bootstrap_servers:
            generated = generate_missing(settings, self.table)
            if generated:
                path = settings.data_dir / SECRETS_FILE
                say(f"made up {' and '.join(generated)} for trying it out; kept in {path}")
            elif self._tried_secrets():
                say(f"using {', '.join(self._tried_secrets())} of {settings.data_dir / SECRETS_FILE}")
        environ = {**self._tried_secrets(), **settings.environ}
        resolve(dict.fromkeys(name for _, names in self.table.secret_envs() for name in names), environ)

    async def _start_kafka(self) -> None:
        if self.settings.kafka_bootstrap_servers:
            return
        self.kafka = EmbeddedKafka(self.settings.data_dir, self.options.kafka_port)
        say(f"starting Kafka on port {self.options.kafka_port}, data in {self.kafka.directory.path}")
        await self.kafka.start()
        self.settings.kafka_bootstrap_servers = self.kafka.bootstrap_servers

    def _make_children(self) -> None:
        settings, options = self.settings, self.options
        environ = {**settings.environ, **self._tried_secrets()}
        shared = ["--config", str(settings.config_path), "--topic-prefix", settings.topic_prefix]
        shared += ["--kafka-bootstrap-servers", settings.bootstrap_servers]
        shared += ["--log-format", settings.log_format, "--log-level", settings.log_level]
        ingest = ["ingest", "--port", str(options.port), "--admin-port", str(options.admin_port)]
        ingest += ["--ingest-processes", str(options.ingest_processes), "--data-dir", str(settings.data_dir)]
        ingest += ["--drain-notice-s", "0"]  # nobody else would take over
        self.ingest = Child("ingest", [*ingest, *shared], environ)
        for number in range(options.workers):
            worker = ["worker", "--admin-port", str(options.admin_port + 1 + number)]
            worker += ["--data-dir", str(settings.data_dir / f"worker-{number}")]
            self.workers.append(Child(f"worker {number}", [*worker, *shared], environ))

    def _tried_secrets(self) -> dict[str, str]:
        """Return what the secrets file holds and the environment does not: a worker's data directory is another."""
        found = read_secrets_file(self.settings.data_dir)
        return {name: value for name, value in found.items() if not read_secret(name, self.settings.environ)}

    # -- ready ----------------------------------------------------------------------------------------------------

    async def _announce(self, keepers: list[Keeper]) -> None:
        options = self.options
        for keeper in keepers:
            await keeper.ready.wait()
        source = next(iter(self.table.sources), None)
        if source is not None:
            url = f"http://127.0.0.1:{options.port}"
            say(f"for a first event, in another terminal:  {_program()} send {source} --url {url}")
            say(f"producers post to {url}/webhook/{source}; Ctrl-C stops everything")
        click.echo(
            f"headrace ready: events at http://127.0.0.1:{options.port}/webhook/<source>,"
            f" metrics at http://127.0.0.1:{options.admin_port}/metrics, Kafka at {self.settings.bootstrap_servers}"
        )

    # -- the end --------------------------------------------------------------------------------------------------

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_stop_signal)
        take_hangups(self._on_reload_signal)
        obey_level_signals(self.settings.logs, self._pass_on)

    def _on_stop_signal(self) -> None:
        if self._end.is_set():
            self._hurry.set()
            say("stopping at once")
        else:
            say("stopping: ingest, then the workers, then Kafka (again to hurry)")
        self._end.set()

    def _on_reload_signal(self) -> None:
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int) -> None:
        for child in self._children():
            child.signal(number)

    async def _stop(self) -> None:
        self._end.set()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        if self.ingest is not None:
            await self._patiently(self.ingest.stop, INGEST_STOP_S)
        longest_call_s = max((settings.timeout_s for settings in self.table.destinations.values()), default=0.0)
        worker_stop_s = WORKER_STOP_S + longest_call_s
        await asyncio.gather(*(self._patiently(worker.stop, worker_stop_s) for worker in self.workers))
        if self.kafka is not None:
            await self._patiently(self.kafka.stop, KAFKA_STOP_S)
        if self._echo is not None:
            await self._echo.stop()

    async def _patiently(self, stop: Callable[[float], Awaitable[None]], timeout_s: float) -> None:
        """Stop a part within ``timeout_s``, or soon once somebody hurries."""
        stopping = asyncio.ensure_future(stop(timeout_s))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if stopping.done():
            await stopping
            return
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await stop(HURRY_STOP_S)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _program() -> str:
    """Return how to call this program from here."""
    program = Path(sys.argv[0])
    if program.name != "headrace" or shutil.which("headrace") == str(program.absolute()):
        return "headrace"
    absolute = program.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def say(text: str) -> None:
    """Tell the person at the terminal; stdout is for the line that says ready."""
    click.echo(f"headrace: {text}", err=True)


def run(settings: Settings, options: RunOptions) -> None:
    """Run everything until a signal ends it; raises as `Supervisor.run`."""
    settings.kafka(settings.table())  # every mistake before anything starts
    if not settings.kafka_bootstrap_servers:
        # Before there is a loop: a first download takes a while, and Ctrl-C must end it.
        EmbeddedKafka(settings.data_dir).prepare()

    async def supervise() -> None:
        await Supervisor(settings, options).run()

    asyncio.run(supervise())
