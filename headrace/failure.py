"""How a command that failed ends: its exit code, and the lines that say why. The one place that decides it."""

from __future__ import annotations

import os

from headrace.context import SettingError
from headrace.mistakes import ConfigError, count

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

_PACKAGES = frozenset({"headrace", "ingest", "streams", "connectors"})
_LIBRARIES = frozenset({"aiokafka", "aiohttp"})  # their errors are about the network and say so


def exit_code(error: BaseException) -> int:
    """Return the exit code that ``error`` ends the process with."""
    error = _innermost(error)
    if isinstance(error, ConfigError | SettingError):
        return WRONG_USAGE
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return FAILED


def one_line(error: BaseException) -> list[str]:
    """Return what to write on stderr: one line, or one for each mistake of a routing table and their count."""
    error = _innermost(error)
    if isinstance(error, ConfigError):
        return [*error.report(), f"{count(len(error.mistakes), 'mistake')} in {error.path}"]
    return [f"error: {' '.join(_sentence(error).split())}"]


def sentence_of(error: BaseException) -> str:
    """Return what `one_line` does, for a log record: without the word error, and the mistakes of a table in one."""
    return "; ".join(line.removeprefix("error: ") for line in one_line(error))


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _sentence(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    package = type(error).__module__.partition(".")[0]
    if package == "aiokafka":
        from streams.broker_words import said_by  # not before: what has no Kafka need not load it

        text = said_by(error)
    if text and (package in _PACKAGES or package in _LIBRARIES or type(error) is ValueError):
        return text
    kind = type(error).__name__
    return f"unexpected {kind}: {text} (--log-level debug shows where)" if text else f"unexpected {kind}"
