"""Logs are one JSON object a line, ours and libraries' alike."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from headrace.logs import LIBRARY_LEVELS, configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARY_LEVELS}
    yield
    root.handlers[:], root.level = handlers, level
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_events_carry_their_fields() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    structlog.get_logger("ingest").warning("delivery_delayed", destination="crm", attempt=2, odd=b"\xff", path=object)
    (line,) = lines(stream)
    assert list(line)[:3] == ["time", "level", "event"]
    assert line["level"] == "warning"
    assert line["event"] == "delivery_delayed"
    assert (line["destination"], line["attempt"], line["logger"]) == ("crm", 2, "ingest")
    assert str(line["time"]).endswith("Z")


def test_libraries_log_in_the_same_form_from_warning_on() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    library = logging.getLogger("aiokafka.cluster")
    library.info("dropped")
    library.warning("kept %s", "this")
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["logger"]) == ("warning", "kept this", "aiokafka.cluster")


def test_libraries_build_no_records_below_their_level() -> None:
    configure_logs(stream=io.StringIO(), level="debug")
    for name in ("aiokafka.consumer.fetcher", "faust.transport", "mode", "aiohttp.client"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)


def test_a_short_command_hears_nothing_of_libraries() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream, libraries=False)
    logging.getLogger("aiokafka").error("Unable connect to")
    assert lines(stream) == []


def test_an_exception_and_odd_text_stay_on_one_line() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("failed", text="lone \ud800 surrogate")
    (line,) = lines(stream)
    assert "ValueError" in str(line)


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream, log_format="text", level="debug")
    structlog.get_logger("x").debug("starting", port=8080)
    logging.getLogger("other").warning("plain")
    first, second = stream.getvalue().splitlines()
    assert "starting" in first
    assert "port=8080" in first
    assert "plain" in second
