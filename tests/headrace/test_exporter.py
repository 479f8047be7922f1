"""Depths that cannot be read are a warning once they are stale, not while a broker starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from headrace import exporter
from headrace.exporter import FRESH_S, DepthExporter
from streams.depths import Depth
from streams.kafka import KafkaSettings, KafkaUnavailable

AWAY = KafkaUnavailable("no broker answers")
DEPTH = {"events.s": Depth({0: 3}, {0: 7})}


class Reader:
    """Answers as the broker would, one answer a read; at the last one the exporter is ended."""

    def __init__(self, moments: list[tuple[float, object]], clock: list[float]) -> None:
        self.moments, self.clock = moments, clock

    async def read(self) -> object:
        if not self.moments:
            raise asyncio.CancelledError
        self.clock[0], answer = self.moments.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


async def test_only_stale_depths_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    soon, late = FRESH_S - 1, FRESH_S + 1
    moments = [
        (100 + soon, AWAY),
        (120.0, DEPTH),
        (120 + soon, AWAY),
        (120 + late, AWAY),
        (150.0, DEPTH),
        (151.0, AWAY),
    ]
    monkeypatch.setattr(exporter, "DepthReader", lambda *_: Reader(moments, clock))
    registry = CollectorRegistry()
    depths = DepthExporter(
        kafka=KafkaSettings("127.0.0.1:1"),
        groups=lambda: {"events.s": "headrace"},
        queue_depth_max=10,
        data_dir=tmp_path,
        queue_depth=Gauge("depth", "", ["topic"], registry=registry),
        capacity=Gauge("used", "", ["resource"], registry=registry),
        now_s=lambda: clock[0],
    )
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await depths.run(interval_s=0)
    assert [line["log_level"] for line in logs if line["event"] == "depths_unavailable"] == [
        "debug",
        "debug",
        "warning",
        "debug",
    ]
    assert registry.get_sample_value("depth", {"topic": "events.s"}) == 3
