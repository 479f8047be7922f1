"""Why the embedded Kafka does not run, in one line that says what to do."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

_LINE_CHARACTERS_MAX = 300
_LOGGED = re.compile(r"\[[^]]*\] ([A-Z]+) (.*)")
_CAUSE = re.compile(r"^(?:Caused by: |Exception in thread \S+ )?((?:\w+\.)+\w*(?:Exception|Error)(?:: .*)?)$")
_DAMAGE = r"[Cc]orrupt|Malformed|Inconsistent|EOFException|meta\.properties|[Ll]og ?[Dd]ir|KafkaStorage|Unable to load"


class BrokerError(Exception):
    """The embedded Kafka cannot be started, or died. The text is one line for a person."""


def damaged(directory: Path, what: str) -> BrokerError:
    """Return the error for data that is not whole."""
    return BrokerError(
        f"the Kafka data in {directory} is damaged ({what}): move it away to start empty, or restore a backup"
    )


def explain(output: str, *, port: int, directory: Path, exit_code: int | None = None) -> str:
    """Return one line that says why a JVM with this output ended.

    ``output`` is everything that this run of the JVM logged or printed; ``exit_code`` is negative for a signal. The
    order matters: a full disk also looks like a damaged log, and a taken port like any other fatal error.
    """
    complaints = list(_complaints(output))
    text = "\n".join(complaints)
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, text):
            return sentence.format(port=port, directory=directory)
    line = _gist(complaints)
    if re.search(_DAMAGE, text):
        return str(damaged(directory, line))
    if exit_code is not None and exit_code < 0:
        return f"Kafka was killed by {signal.Signals(-exit_code).name}"
    return f"Kafka died: {line or 'it left no error'} (see {directory}/logs)"


def _complaints(output: str) -> Iterator[str]:
    """Yield logged errors with the lines that belong to them, and what the JVM itself printed."""
    wanted = True  # what is printed before the first logged line is the JVM's
    for line in output.splitlines():
        logged = _LOGGED.fullmatch(line)
        if logged:
            wanted = logged[1] in {"ERROR", "FATAL"}
            line = logged[2]
        if wanted and line.strip() and not line.startswith("WARNING: "):
            yield line


def _gist(complaints: list[str]) -> str:
    """Return the last line that is no stack frame with the innermost cause that was named, or ``""``."""
    lines = [line for line in complaints if not re.match(r"\s+at |\s+\.\.\. ", line)]
    causes = [match[1] for line in lines if (match := _CAUSE.match(line))]
    sentences = [re.sub(r" \(\S+\)$", "", line) for line in lines if not _CAUSE.match(line)]  # without the logger
    return ": ".join(sentences[-1:] + causes[-1:])[:_LINE_CHARACTERS_MAX]


# Kafka answers a full disk with a failed log directory, so ENOSPC is looked for first. A quota and a limit on the
# size of a file are the same trouble to a person.
_SENTENCES = [
    (
        r"No space left on device|Disk quota exceeded|File too large",
        "the disk of {directory} is full: make room, or choose another --data-dir",
    ),
    (
        r"Address already in use",
        "port {port} of 127.0.0.1 cannot be used (another program has it): choose another with --kafka-port",
    ),
    (r"UnsupportedClassVersionError", "this Java is too old for Kafka: it needs 17 or newer (see JAVA_HOME)"),
    (
        r"OutOfMemoryError|insufficient memory for the Java Runtime|Could not reserve enough space",
        "Kafka found too little memory: it needs about 600 MB",
    ),
    (
        r"AccessDeniedException|Permission denied",
        "Kafka may not read or write in {directory}: check its owner and mode",
    ),
    (r"Read-only file system", "the disk of {directory} is read-only"),
    (
        r"Invalid cluster\.id|InconsistentClusterId|cluster\.id.* doesn't match",
        "{directory} belongs to another Kafka cluster: choose another --data-dir",
    ),
]
