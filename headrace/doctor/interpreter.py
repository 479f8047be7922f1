"""Findings about what Headrace runs in: Python, its libraries, and the limits of the process."""

from __future__ import annotations

import importlib
import re
import resource
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from headrace import __version__
from headrace.doctor.finding import Finding, error, ok, warning
from headrace.process import OPEN_FILES_MAX

PYTHON_TESTED = ((3, 11), (3, 13))
OPEN_FILES_MIN = 4096
# Compiled parts: a wheel for another processor or C library is only noticed at its import.
COMPILED = ("orjson", "rocksdict", "uvloop", "cryptography.hazmat.bindings._rust", "cramjam")
_EXTRA = re.compile(r"""^([\w.-]+).*extra\s*==\s*['"]([\w-]+)['"]""")


def interpreter_findings(
    connectors: Collection[str],
    *,
    embedded: bool,
    python: tuple[int, int] = sys.version_info[:2],
    open_files: Callable[[], tuple[int, int]] = lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
) -> Iterator[Finding]:
    """Yield what is found about this interpreter.

    Args:
        connectors: those that the routing table uses; one that is named like an extra needs it.
        embedded: whether the embedded Kafka is meant.
    """
    yield _python(python)
    yield from _compiled()
    yield from _faust()
    yield from _extras(connectors, embedded=embedded)
    yield _open_files(*open_files())


def _python(python: tuple[int, int]) -> Finding:
    low, high = PYTHON_TESTED
    found = f"Headrace {__version__} on Python {python[0]}.{python[1]}"
    if low <= python <= high:
        return ok("python", found)
    return warning(
        "python", found, f"Headrace is tested with {low[0]}.{low[1]} to {high[0]}.{high[1]}: use one of them"
    )


def _compiled() -> Iterator[Finding]:
    for name in COMPILED:
        try:
            importlib.import_module(name)
        except ImportError as failure:
            library = name.partition(".")[0]
            yield error(
                "libraries",
                f"{library} cannot be loaded: {failure}",
                f"install it anew in this Python: pip install --force-reinstall {library}",
            )


def _faust() -> Iterator[Finding]:
    from streams.recovery_fix import require_known_faust

    try:
        require_known_faust()
    except (RuntimeError, PackageNotFoundError) as failure:
        yield error(
            "libraries", str(failure), "install what Headrace was locked with: pip install headrace==" + __version__
        )


def _extras(connectors: Collection[str], *, embedded: bool) -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    for requirement in requires("headrace") or ():
        match = _EXTRA.match(requirement)
        if match and match[2] != "dev":
            missing.setdefault(match[2], [])
            if not _installed(match[1]):
                missing[match[2]].append(match[1])
    needed = {name for name in missing if name in connectors or (name == "embedded" and embedded)}
    for name in sorted(needed):
        if missing[name]:
            yield error(
                "extras",
                f"headrace[{name}] is needed, and {', '.join(missing[name])} is not installed",
                f"pip install 'headrace[{name}]'",
            )
    there = sorted(name for name, lacking in missing.items() if not lacking)
    yield ok("extras", f"installed: {', '.join(there) or 'none'}")


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _open_files(soft: int, hard: int) -> Finding:
    # A part raises its own soft limit as far as the hard one goes.
    limit = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else hard
    found = f"{limit} open files at most" + (f" ({soft} until it raises that itself)" if soft < limit else "")
    advice = f"raise the hard limit to {OPEN_FILES_MAX}: LimitNOFILE= of systemd, ulimits.nofile of compose, ulimit -Hn"
    if limit >= OPEN_FILES_MAX:
        return ok("open_files", found)
    return (error if limit < OPEN_FILES_MIN else warning)("open_files", f"{found}: each connection is one", advice)
