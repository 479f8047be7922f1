"""What every long-running process of Headrace asks of its interpreter and its operating system."""

from __future__ import annotations

import contextlib
import gc
import resource

OPEN_FILES_MAX = 65_536


def allow_connections() -> None:
    """Raise the limit of open files: each connection is one, and the default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune_garbage_collection() -> None:
    """Requests and deliveries leave few cycles: look less often, and never among what was loaded at the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
