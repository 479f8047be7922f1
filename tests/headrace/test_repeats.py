"""What repeats in the logs becomes one line, and is counted."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import structlog

from headrace.logs import configure_logs
from headrace.repeats import BURST, Repeats


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def written(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_more_than_a_burst_becomes_one_line_that_counts_the_rest() -> None:
    clock, stream = Clock(), io.StringIO()
    configure_logs(stream=stream, repeats=Repeats(interval_s=10, monotonic_s=clock))
    log = structlog.get_logger("deliver")
    for n in range(BURST + 30):
        log.warning("delivery_delayed", destination="crm", event_id=f"e-{n}")
        log.warning("delivery_delayed", destination="erp", event_id=f"e-{n}") if n < 3 else None
    assert len(written(stream)) == BURST + 3
    clock.now_s = 10.0
    log.warning("something_else")  # where no loop runs, the next line brings it
    *_, told, other = written(stream)
    assert (told["event"], told["destination"], told["logger"], told["suppressed"]) == (
        "delivery_delayed", "crm", "deliver", 30,
    )  # fmt: skip
    assert "event_id" not in told  # of which of them?
    assert other["event"] == "something_else"
    log.warning("delivery_delayed", destination="crm")
    assert written(stream)[-1]["event"] == "delivery_delayed"  # a new interval


async def test_the_count_comes_by_itself_where_a_loop_runs() -> None:
    told: list[int] = []
    repeats = Repeats(burst=1, interval_s=0.05)
    assert [repeats.passes("kind", told.append) for _ in range(4)] == [True, False, False, False]
    async with asyncio.timeout(30):
        while not told:
            await asyncio.sleep(0.01)
    assert told == [3]


def test_what_the_operator_asked_for_is_never_dropped() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream, level="debug")
    log = structlog.get_logger("connectors")
    for _ in range(3 * BURST):
        log.info("action_log_write")
        log.debug("attempt_succeeded")
    assert len(written(stream)) == 6 * BURST


def test_libraries_repeat_themselves_as_little() -> None:
    clock, stream = Clock(), io.StringIO()
    configure_logs(stream=stream, repeats=Repeats(interval_s=10, monotonic_s=clock))
    library = logging.getLogger("aiokafka")
    for node in range(BURST + 5):
        library.error("Failed fetch messages from %s", node)
    clock.now_s = 11.0
    library.error("another")
    lines = written(stream)
    assert len(lines) == BURST + 2
    assert (lines[-2]["event"], lines[-2]["suppressed"]) == ("Failed fetch messages from %s", 5)


def test_the_level_changes_for_loggers_that_are_cached_too() -> None:
    stream = io.StringIO()
    level = configure_logs(stream=stream, level="warning")
    log = structlog.get_logger("x")
    log.info("dropped")
    level.change("debug")
    log.debug("kept")
    level.change(level.started_with)
    log.debug("dropped")
    log.warning("kept too")
    assert [line["event"] for line in written(stream)] == ["kept", "kept too"]
