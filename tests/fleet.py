"""Ingests as containers of one service: each has an address of its own, and haproxy, with the very configuration of
docker-compose.yml, finds them by name.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import aiohttp

from headrace.child import die_with_parent
from tests.harness import HeadraceProcess, eventually, free_port
from tests.ledger import System
from tests.name_server import NameServer
from tests.tools import find_tool

PROXY = Path(__file__).parent.parent / "deploy" / "haproxy" / "haproxy.cfg"


class Fleet:
    """haproxy on the port of a `System`, and the ingests behind it. Stop it at the end."""

    def __init__(self, system: System, start: Callable[..., HeadraceProcess]) -> None:
        self.system, self._start = system, start
        self.names = NameServer().start()
        self.names.addresses["ingest"] = []
        self.ingest_port, self.admin_port, self.health_port = free_port(), free_port(), free_port()
        self._addresses: dict[int, str] = {}
        self._started = 0
        self._proxy: subprocess.Popen[bytes] | None = None

    def configuration(self) -> str:
        """Return the proxy's configuration with the ports, and the name server, of this fleet."""
        text = PROXY.read_text()
        for there, here in (
            ("nameserver docker 127.0.0.11:53", f"nameserver docker 127.0.0.1:{self.names.port}"),
            ("bind :8080", f"bind 127.0.0.1:{self.system.port}"),
            ("bind 127.0.0.1:8404", f"bind 127.0.0.1:{self.health_port}"),
            ("ingest:8080", f"ingest:{self.ingest_port}"),
            ("check port 8081", f"check port {self.admin_port}"),
        ):
            assert there in text, there
            text = text.replace(there, here)
        return text

    async def start_proxy(self) -> None:
        """Start haproxy and return when its health check, as docker-compose.yml has it, succeeds."""
        path = self.system.directory / "haproxy.cfg"
        path.write_text(self.configuration())
        with (self.system.directory / "haproxy.log").open("wb") as log:
            self._proxy = subprocess.Popen(
                [find_tool("haproxy"), "-W", "-db", "-f", path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )
        await eventually(lambda: self._status(f"http://127.0.0.1:{self.health_port}/healthz", 200))

    async def stop(self) -> None:
        """Stop the proxy as compose does, and the name server."""
        if self._proxy is not None:
            self._proxy.send_signal(signal.SIGUSR1)
            self._proxy.terminate()
            self._proxy.wait(60)
        self.names.stop()

    async def ingest(self) -> HeadraceProcess:
        """Start one more ingest, at an address that none had, and return when it is ready."""
        self._started += 1
        address = f"127.0.1.{self._started}"
        ports = ["--port", str(self.ingest_port), "--admin-port", str(self.admin_port)]
        options = ["--host", address, "--admin-host", address, *ports]
        process = self._start(
            "ingest", *options, env=self.system.env, cwd=self.system.directory, name=f"ingest-{self._started}"
        )
        self._addresses[process.pid] = address
        self.names.addresses["ingest"] = [*self.names.addresses["ingest"], address]
        await eventually(lambda: self._status(f"http://{address}:{self.admin_port}/readyz", 200), 60)
        return process

    async def replace(self, process: HeadraceProcess) -> HeadraceProcess:
        """Do what deploy/roll does with one container: SIGTERM, gone from the names once it has ended, a new one."""
        code = await process.terminate(60)
        assert code == 0, process.tail()
        gone = self._addresses.pop(process.pid)
        self.names.addresses["ingest"] = [one for one in self.names.addresses["ingest"] if one != gone]
        return await self.ingest()

    async def _status(self, url: str, wanted: int) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == wanted
        except aiohttp.ClientError:
            return False
