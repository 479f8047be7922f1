"""Logs: one JSON object a line on stderr, or text for people; the same for our own events and for libraries.

A warning or an error that repeats (the same event of the same source or destination) is written `repeats.BURST` times
in an interval; the rest become one line with ``suppressed: n``. The level can be changed while the process runs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from headrace.repeats import Repeats

# Libraries that build records at levels nobody reads: 14 % of a worker's time went there (DESIGN §7). The level is
# set on each logger, not only on the root, so that `isEnabledFor` answers before a record exists.
LIBRARY_LEVELS = {
    "aiokafka": logging.WARNING,
    "aiohttp": logging.WARNING,
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
    "botocore": logging.ERROR,  # below, it shows with a traceback what an attempt's own line says
    "faust": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "kafka": logging.WARNING,
    "mode": logging.WARNING,
}


METHODS = ("debug", "info", "warning", "error", "critical", "exception", "log")
_ABOUT = ("event", "logger", "source", "destination")  # what makes two lines the same


class LogLevel:
    """The level of a process's own logs, to be changed while it runs; libraries keep theirs."""

    def __init__(self, level: str) -> None:
        # The class of every logger, cached ones too. A filtered method does nothing: a level that is off costs a call.
        self.logger_class = type("HeadraceLogger", (structlog.make_filtering_bound_logger(_number(level)),), {})
        self.started_with = self.level = level

    def change(self, level: str) -> None:
        """Write from ``level`` on."""
        chosen = structlog.make_filtering_bound_logger(_number(level))
        for name in METHODS:
            setattr(self.logger_class, name, getattr(chosen, name))
        self.level = level


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def configure_logs(
    *,
    log_format: str = "json",
    level: str = "info",
    libraries: bool = True,
    stream: TextIO | None = None,
    repeats: Repeats | None = None,
) -> LogLevel:
    """Send every log of this process to ``stream`` (stderr), ours from ``level`` on, libraries' from warning on.

    Without ``libraries`` they are silent but for critical records: a command that fails says so itself, in one line.
    """
    stream = stream if stream is not None else sys.stderr
    number = _number(level)
    log_level = LogLevel(level)
    repeats = repeats or Repeats()
    render: Processor = _text(colors=stream.isatty()) if log_format == "text" else _json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _time,
        structlog.processors.format_exc_info if log_format == "json" else _keep,
    ]
    structlog.configure(
        processors=[_named, *shared, _sparing(repeats, stream, render), render],
        wrapper_class=log_level.logger_class,
        logger_factory=_LoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    if number > logging.DEBUG:
        handler.addFilter(_no_passing_state)
    handler.addFilter(_sparing_library(repeats, stream, render))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    for name, library_level in LIBRARY_LEVELS.items():
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(number, library_level if libraries else logging.CRITICAL))
    logging.captureWarnings(True)
    return log_level


def _line(render: Processor, event: EventDict) -> str:
    return f"{render(None, '', _time(None, '', event))!s}\n"


def _sparing(repeats: Repeats, stream: TextIO, render: Processor) -> Processor:
    """Return the processor that drops repeats, and writes the line that stands for them."""

    def spare(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if event.get("level") not in ("warning", "error"):
            return event
        kind = tuple(event.get(name) for name in _ABOUT)
        about = {name: event[name] for name in ("level", *_ABOUT) if name in event}

        def write(suppressed: int) -> None:
            stream.write(_line(render, {**about, "suppressed": suppressed}))

        if repeats.passes(kind, write):
            return event
        raise structlog.DropEvent

    return spare


def _sparing_library(repeats: Repeats, stream: TextIO, render: Processor) -> Callable[[logging.LogRecord], bool]:
    """Return the same for the records of libraries: one text, whatever its arguments, is one kind."""

    def spare(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True
        about = {"level": record.levelname.lower(), "event": str(record.msg)[:200], "logger": record.name}

        def write(suppressed: int) -> None:
            stream.write(_line(render, {**about, "suppressed": suppressed}))

        return repeats.passes((record.name, str(record.msg)), write)

    return spare


def _no_passing_state(record: logging.LogRecord) -> bool:
    """Drop what aiokafka says of partitions whose leader is being chosen: it asks again, and so does nobody else."""
    return not (record.name.startswith("aiokafka") and "NotLeaderForPartition" in record.getMessage())


class _LoggerFactory:
    """Makes loggers that write to the stream; what `get_logger` was given is the name of the part."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: Any) -> WrappedLogger:
        return _StreamLogger(self._stream, names[0] if names else "")


class _StreamLogger(structlog.WriteLogger):
    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


def _named(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    name = getattr(logger, "name", "")
    if name:
        event.setdefault("logger", name)
    return event


def _time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    ordered = {"time": event.pop("time", None), "level": event.pop("level", None), "event": event.pop("event", None)}
    ordered.update(event)
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(ordered, default=str, option=options).decode()
    except (TypeError, ValueError):  # a lone surrogate, or a cycle: the line is still worth having
        return orjson.dumps({key: repr(value) for key, value in ordered.items()}).decode()


def _text(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", pad_event_to=24)
