"""One destination dead, one that hangs, one slow, one at its limit, and one healthy that must not notice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import Answer, HeadraceProcess, Received, Receiver, eventually
from tests.ledger import Ledger, System, while_loading

# Each event goes to one destination, by the last digit of its id.
DIGITS = {"healthy": "0123", "dead": "456", "hangs": "789", "slow": "abc", "limited": "def"}
TROUBLED = [name for name in DIGITS if name != "healthy"]
PROBE_S = 1


@dataclass
class Isolated:
    """What the healthy destination saw, alone and beside the others, and what the worker took."""

    alone_p99_s: float = 0.0
    beside_p99_s: float = 0.0
    resident_mib: list[float] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)

    def report(self) -> None:
        """Print the figures."""
        print(
            f"p99 age of the healthy one: {self.alone_p99_s * 1000:.0f} ms alone,"
            f" {self.beside_p99_s * 1000:.0f} ms beside the others; waiting at the end: {self.waiting};"
            f" resident MiB by sixths: {[round(one) for one in self.resident_mib]}"
        )


def troubled_destinations(nobody: Receiver, *, rate: int, slots: int) -> dict[str, dict[str, Any]]:
    """Return the settings of the five; ``nobody`` is not started."""
    return {
        "healthy": {},
        "dead": {"base_url": nobody.url, "circuit": {"failures": 5, "open_s": PROBE_S}},
        "hangs": {"timeout_s": 2, "circuit": {"failures": 5, "open_s": PROBE_S}},
        "slow": {"concurrency": slots},
        "limited": {"rate": f"{rate}/s"},
    }


async def isolate(system: System, nobody: Receiver, *, rate: float, alone_s: float, beside_s: float) -> Isolated:
    """Load the healthy one alone, then all five; then mend the others, and assert that nothing was lost.

    ``rate`` is that of the events, of which the healthy one gets a quarter, both times. With ``alone_s`` 0 the first
    part is left out.
    """
    found, ledger, receiver = Isolated(), Ledger(system), system.receiver
    routes = {route["to"]: route for route in system.table["routes"]}
    for name, route in routes.items():
        route["when"] = f"event.id[-1] in '{DIGITS[name]}'"
    system.table["routes"] = [routes["healthy"]]
    system.write_table()
    await system.start_ingest()
    receiver.answers = {"/hangs": Answer(hang=True), "/slow": Answer(delay_s=1)}

    async def load(worker: HeadraceProcess, seconds: float) -> None:
        for _ in range(6):
            await asyncio.sleep(seconds / 6)
            found.resident_mib.append(resident_mib(worker.pid))

    if alone_s:
        worker = await system.worker()
        await while_loading(ledger, lambda: load(worker, alone_s), connections=32, rate=rate, steady=True)
        await system.idle()
        found.alone_p99_s = age_p99_s(ledger, since_s=0)
        assert await worker.terminate(60) == 0
    unrouted = set(ledger.accepted)  # but those of the healthy one
    system.table["routes"] = list(routes.values())
    system.write_table()
    worker = await system.worker()
    found.resident_mib.clear()
    since_s = max(ledger.posted_at_s.values(), default=0.0)
    await while_loading(ledger, lambda: load(worker, beside_s), connections=32, rate=rate, steady=True)
    healthy = wanted(ledger, "healthy", set())
    await eventually(lambda: healthy <= {call.path for call in receiver.calls("/healthy")}, 60)
    found.beside_p99_s = age_p99_s(ledger, since_s=since_s)
    # Those in trouble do have something waiting: else this would say nothing.
    waiting = dict.fromkeys(DIGITS, 0)
    for part, (offset, end) in (await system.queues()).items():
        for name in DIGITS:
            waiting[name] += (end - offset) * (part.topic == system.names.deliveries(name))
    found.waiting = waiting
    receiver.answers.clear()
    nobody.start()
    await system.idle(300)
    calls = [call.path for call in (*receiver.calls(), *nobody.calls())]
    letters = {f"/{one.header('headrace-destination')}/{one.header('ce_id')}" for one in await system.letters()}
    for name in DIGITS:
        lost = wanted(ledger, name, set() if name == "healthy" else unrouted) - set(calls) - letters
        assert not lost, f"{name}: {len(lost)} lost, such as {sorted(lost)[:3]}"
    assert not {letter for letter in letters if letter.startswith(("/healthy", "/slow", "/limited"))}
    assert worker.running
    return found


def wanted(ledger: Ledger, name: str, without: set[str]) -> set[str]:
    """Return the paths that the accepted events lead to at a destination."""
    return {f"/{name}/{one}" for one in ledger.accepted if one[-1] in DIGITS[name] and one not in without}


def age_p99_s(ledger: Ledger, *, since_s: float) -> float:
    """Return the p99 of the time from accepted to called, of the healthy one's events accepted after a moment."""
    called: dict[str, Received] = {}
    for call in ledger.system.receiver.calls("/healthy"):
        called.setdefault(call.path.removeprefix("/healthy/"), call)
    ages_s = sorted(
        call.at_s - ledger.posted_at_s[one] for one, call in called.items() if ledger.posted_at_s[one] > since_s
    )
    return ages_s[len(ages_s) * 99 // 100]


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
