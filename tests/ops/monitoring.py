"""A real Prometheus and a real Alertmanager beside the system under test."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from headrace.child import die_with_parent
from tests.harness import eventually, free_port
from tests.ops import rules
from tests.tools import find_tool

ALERTMANAGER = rules.PROMETHEUS.parent / "alertmanager" / "alertmanager.yml"
_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = re.compile(r"(?<![\w.])(?:\d+(?:ms|[smhdwy]))+(?!\w)")


def scaled(duration: str, factor: float) -> str:
    """Return a Prometheus duration divided by ``factor``, at least one second: ``scaled("5m", 60)`` is ``5000ms``."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    total_ms = sum(int(count) * _DURATION_MS[unit] for count, unit in parts)
    return f"{max(1000, round(total_ms / factor))}ms"


def scaled_rules(factor: float) -> dict[str, Any]:
    """Return all rules in one file, every time in them divided by ``factor``: ``for``, windows, offsets, intervals.

    The expressions are otherwise as they are. A time is: what stands in ``[…]``, what follows ``offset``, the distance
    that `predict_linear` looks ahead, and what a metric of seconds is compared with (not an edge of a histogram).
    """
    groups = rules.groups()
    for group in groups:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = scaled_expr(rule["expr"], factor)
            if "for" in rule:
                rule["for"] = scaled(rule["for"], factor)
    return {"groups": groups}


def scaled_expr(expr: str, factor: float) -> str:
    """Return an expression with its times divided by ``factor``."""

    def time_of(found: re.Match[str]) -> str:
        return found[1] + _DURATION.sub(lambda one: scaled(one[0], factor), found[2]) + found[3]

    expr = re.sub(r"(\[)([^\]]+)(\])", time_of, expr)
    expr = re.sub(r"(offset )(\w+)()", time_of, expr)
    expr = re.sub(r"(_seconds\)? > )(\d+)", lambda one: f"{one[1]}{int(one[2]) / factor:g}", expr)
    return re.sub(r"(\d+) \* 3600", lambda one: f"{int(one[1]) * 3600 / factor:g}", expr)


class Program:
    """A server of Prometheus' family, on a port of its own."""

    def __init__(self, command: Sequence[str | Path], directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = directory / f"{Path(command[0]).name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    async def ready(self) -> None:
        """Return when it answers; fail at once when it ends first."""

        async def answers() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{self.url}/-/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, 60)

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON that it answers."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path, params=parameters) as answer:
            text = await answer.text()
            assert answer.status == 200, f"{path} {parameters}: {text}"
            return json.loads(text)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)


class Prometheus(Program):
    """Scrapes and evaluates every second, with the rules that it is given."""

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        found = (await self.get("/api/v1/query", query=expr))["data"]
        return list(found["result"]) if found["resultType"] == "vector" else [found]

    async def query_range(self, expr: str, *, span_s: float, step_s: float = 2.0) -> list[dict[str, Any]]:
        """Return the series of an expression over the last ``span_s``."""
        now_s = time.time()
        times = {"start": str(now_s - span_s), "end": str(now_s), "step": str(step_s)}
        return list((await self.get("/api/v1/query_range", query=expr, **times))["data"]["result"])

    async def scraped(self, targets: int) -> None:
        """Return when it has scraped so many targets twice: what is counted from now on is an increase."""

        async def all_twice() -> bool:
            counts = await self.query('count_over_time(up{job=~"headrace-.*"}[1m]) > 1 and up == 1')
            return len(counts) >= targets

        await eventually(all_twice, 60)

    async def firing(self) -> list[dict[str, str]]:
        """Return the labels of every alert that fires."""
        alerts = (await self.get("/api/v1/alerts"))["data"]["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]


class Alertmanager(Program):
    """With the routes and inhibitions that are checked in."""

    async def alerts(self, *, told: bool = False) -> list[dict[str, str]]:
        """Return the labels of every alert that it holds; ``told``: of those that somebody is told of."""
        found = await self.get("/api/v2/alerts", inhibited="false" if told else "true")
        return [alert["labels"] for alert in found]

    async def groups(self) -> list[dict[str, Any]]:
        """Return what it would send together."""
        return list(await self.get("/api/v2/alerts/groups", inhibited="false"))


@asynccontextmanager
async def monitored(
    directory: Path, targets: Callable[[], Mapping[str, Sequence[int]]], *, rule_file: dict[str, Any], past: str = ""
) -> AsyncIterator[tuple[Prometheus, Alertmanager]]:
    """Run both; ``targets`` gives the admin ports of each job, which are read again when the file changes.

    ``past``, as OpenMetrics, is what Prometheus has seen before.
    """
    if past:
        (directory / "past.txt").write_text(past)
        command = ("tsdb", "create-blocks-from", "openmetrics", "--quiet", "past.txt", "prometheus")
        made = rules.promtool(*command, cwd=directory)
        assert made.returncode == 0, made.stdout + made.stderr
    prometheus_port, alertmanager_port = free_port(), free_port()
    write_targets(directory, targets())
    (directory / "rules.yml").write_text(yaml.safe_dump(rule_file, sort_keys=False))
    (directory / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rules.yml"],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]},
                "scrape_configs": [
                    {
                        "job_name": job,
                        "file_sd_configs": [{"files": [f"{job}.targets.yml"], "refresh_interval": "1s"}],
                    }
                    for job in ("headrace-ingest", "headrace-worker")
                ],
            }
        )
    )
    alertmanager = Alertmanager(
        [
            find_tool("prometheus-alertmanager"), f"--config.file={ALERTMANAGER}", "--storage.path=alertmanager",
            f"--web.listen-address=127.0.0.1:{alertmanager_port}", "--cluster.listen-address=", "--log.level=warn",
        ],
        directory,
        alertmanager_port,
    )  # fmt: skip
    prometheus = Prometheus(
        [
            find_tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
            f"--web.listen-address=127.0.0.1:{prometheus_port}", "--log.level=warn",
        ],
        directory,
        prometheus_port,
    )  # fmt: skip
    try:
        await asyncio.gather(prometheus.ready(), alertmanager.ready())
        await prometheus.scraped(sum(map(len, targets().values())))
        yield prometheus, alertmanager
    finally:
        prometheus.stop()
        alertmanager.stop()


def write_targets(directory: Path, ports: Mapping[str, Sequence[int]]) -> None:
    """Tell Prometheus what to scrape from now on."""
    for job in ("headrace-ingest", "headrace-worker"):
        targets = [f"127.0.0.1:{port}" for port in ports.get(job, ())]
        path = directory / f"{job}.targets.yml"
        path.with_suffix(".new").write_text(yaml.safe_dump([{"targets": targets}]))
        path.with_suffix(".new").rename(path)
