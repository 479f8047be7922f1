"""The trouble of one destination stays its own; tests/chaos has it in full size."""

from __future__ import annotations

from tests.harness import Receiver
from tests.integration.test_rate import most_in_a_second
from tests.isolation_moves import TROUBLED, isolate, troubled_destinations
from tests.ledger import MakeSystem

RATE = 4


async def test_four_in_trouble_hold_up_no_healthy_one_and_lose_nothing(make_system: MakeSystem) -> None:
    nobody = Receiver()
    system = make_system(destinations=troubled_destinations(nobody, rate=RATE, slots=2))
    try:
        found = await isolate(system, nobody, rate=40, alone_s=0, beside_s=9)
    finally:
        nobody.stop()
    found.report()
    # Every healthy one was called while these still waited.
    assert found.waiting["healthy"] < min(found.waiting[name] for name in TROUBLED), found.waiting
    times_s = sorted(call.at_s for call in system.receiver.calls("/limited"))
    assert most_in_a_second(times_s) <= 2 * RATE
