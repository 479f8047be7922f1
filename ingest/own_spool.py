"""The spool that a process puts events into: that of the first free place whose spool can be opened."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from ingest.spool import Bounds, Spool, SpoolBroken
from ingest.spool_place import Claim, claim_first

log = structlog.get_logger("ingest")


@contextlib.asynccontextmanager
async def own_spool(place: Path, bounds: Bounds) -> AsyncIterator[Spool]:
    """Give this process's spool, open if the disk lets it; what it has no place for is answered 503.

    A damaged spool must not keep new events out, nor be lost: it stays where it is, `Drain` tries it again, and the
    next place is taken. A disk that refuses a new spool too refuses what is put into it, until it can be used.

    Raises:
        NoPlace: the directory cannot be written, or every place is taken.
    """
    damaged: list[Claim] = []  # kept until there is another, or they would be found free again
    try:
        while True:
            claim = claim_first(place)
            found = claim.occupied
            spool = Spool(claim.path, bounds)
            if await _opens(spool) or not found:
                break
            log.error("spool_set_aside", path=str(claim.path), reason="it cannot be opened; its events wait there")
            await spool.close()
            damaged.append(claim)
    finally:
        for one in damaged:
            one.release()
    try:
        yield spool
    finally:
        await spool.close()
        claim.release()


async def _opens(spool: Spool) -> bool:
    try:
        await spool.open()
    except SpoolBroken:
        return False  # logged
    return True
