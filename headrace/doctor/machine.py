"""Findings about this machine: the data directory and its disk, the clock, and the ports."""

from __future__ import annotations

import ctypes
import errno
import http.client
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from headrace.doctor.finding import Finding, error, ok, warning
from headrace.kafka_dir import FREE_BYTES_MIN

USED_RATIO_MAX = 0.8  # as the alert HeadraceCapacityHigh
FREE_INODES_MIN = 10_000
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 256  # more than struct timex has; its first field, 0, asks and sets nothing
_ANSWER_S_MAX = 3.0
_MIB = 1024 * 1024


def disk_findings(data_dir: Path) -> Iterator[Finding]:
    """Yield whether this user can keep data in ``data_dir``, and whether there is room; nothing of it stays."""
    made = _nearest(data_dir)
    try:
        with tempfile.TemporaryFile(dir=made) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as failure:
        user = f"user {os.geteuid()}"
        advice = {
            errno.ENOSPC: "free some space: the quota or the disk is full",
            errno.EROFS: "the file system is read-only: mount it for writing, or choose another --data-dir",
        }.get(failure.errno or 0, f"give the folder to {user} (chown {os.geteuid()}), or choose another --data-dir")
        yield error("data_dir", f"{user} cannot write in {made}: {failure.strerror}", advice)
        return
    yield ok("data_dir", f"{data_dir} can be written" + ("" if made == data_dir else " (it is made at the start)"))
    yield _space(made)


def _space(path: Path) -> Finding:
    usage, inodes = shutil.disk_usage(path), os.statvfs(path)
    ratio = usage.used / (usage.used + usage.free) if usage.total else 0.0
    found = f"{usage.free // _MIB} MiB free, {ratio:.0%} used"
    advice = "free some space, or move the data directory to a larger disk"
    if usage.free < FREE_BYTES_MIN:
        return error("disk", found, advice)
    if inodes.f_files and inodes.f_favail < FREE_INODES_MIN:
        return warning("disk", f"{found}, but only {inodes.f_favail} more files fit", advice)
    return (warning if ratio > USED_RATIO_MAX else _no_advice)("disk", found, advice)


def _no_advice(check: str, message: str, _advice: str) -> Finding:
    return ok(check, message)


def _nearest(path: Path) -> Path:
    """Return ``path``, or the folder that it would be made in."""
    path = path.absolute()
    while not os.path.exists(path) and path.parent != path:  # Path.exists raises where it may not look
        path = path.parent
    return path


def clock_finding(synchronised: Callable[[], bool | None] | None = None) -> Finding:
    """Return whether the kernel holds its clock for synchronised (NTP, chrony, systemd-timesyncd)."""
    found = (synchronised or _kernel_says)()
    if found is None:
        return ok("clock", "this system does not say whether its clock is synchronised")
    if found:
        return ok("clock", "synchronised")
    return warning(
        "clock",
        "nothing keeps this machine's clock right: signatures that carry a time are refused once it is minutes off",
        "run an NTP client, such as chrony or systemd-timesyncd",
    )


def _kernel_says() -> bool | None:
    if not sys.platform.startswith("linux"):
        return None
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def port_findings(
    port: int, admin_ports: Iterable[int], *, host: str = "127.0.0.1", admin_host: str = "127.0.0.1"
) -> Iterator[Finding]:
    """Yield who has the public port, and how the parts behind the admin ports are."""
    yield _public(host, port)
    for admin_port in admin_ports:
        yield _admin(admin_host, admin_port)


def _public(host: str, port: int) -> Finding:
    check = "port"
    if not _listens(host, port):
        return _bindable(check, port)
    status, text = _get(host, port, "/")
    if status and text.startswith('{"error"'):
        return ok(check, f"ingest, or what stands in front of it, answers on port {port}")
    return error(
        check,
        f"another program has port {port}",
        f"stop it (ss -ltnp 'sport = :{port}' names it), or choose another --port",
    )


def _admin(host: str, port: int) -> Finding:
    check = "admin_port"
    if not _listens(host, port):
        return _bindable(check, port)
    status, text = _get(host, port, "/readyz")
    if status == 200 and text.strip() == "ok":
        return ok(check, f"the part on admin port {port} is ready")
    if status == 503:
        return warning(
            check, f"the part on admin port {port} is not ready: {text.strip()[:200]}", "wait, or see its log"
        )
    return error(
        check,
        f"another program has admin port {port}",
        f"stop it (ss -ltnp 'sport = :{port}' names it), or choose another --admin-port",
    )


def _bindable(check: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as failure:
            name = check.replace("_", " ")
            advice = "choose a port above 1023" if failure.errno == errno.EACCES else "choose another port"
            return error(check, f"{name} {port} cannot be used: {failure.strerror}", advice)
    return ok(check, f"nobody has port {port}")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_ANSWER_S_MAX):
            return True
    except OSError:
        return False


def _get(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
