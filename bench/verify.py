"""How long the verification of a wrong signature takes, by the place where it differs from the right one.

    bench/verify [--rounds 20000]

The medians of a scheme should be the same within the noise of the machine, wherever the signature differs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

from ingest.signature import InvalidSignature
from tests.ingest.conftest import NOW_S, make_source, signed_request
from tests.ingest.test_verification_time import BODY, SCHEMES, signature_of, with_flipped


def main(rounds: int) -> None:
    """Measure and print; the places take turns, so that what the machine does meanwhile hits them alike."""
    print(f"{'scheme':20} {'place':8} {'p10 us':>8} {'p50 us':>8} {'p90 us':>8}")
    for scheme in SCHEMES:
        source, request, found = make_source(scheme), signed_request(make_source(scheme), BODY), signature_of(scheme)
        assert found is not None
        header, places = found
        wrong = {
            name: with_flipped(request, header, place)
            for name, place in (("first", places[0]), ("middle", places[len(places) // 2]), ("last", places[-2]))
        }
        took_us: dict[str, list[float]] = {name: [] for name in wrong}
        for _ in range(rounds):
            for name in random.sample(list(wrong), len(wrong)):
                started_ns = time.perf_counter_ns()
                try:
                    source.verify(wrong[name], now_s=NOW_S)
                except InvalidSignature:
                    took_us[name].append((time.perf_counter_ns() - started_ns) / 1000)
        for name, times in took_us.items():
            tenths = statistics.quantiles(times, n=10)
            print(f"{scheme:20} {name:8} {tenths[0]:8.2f} {tenths[4]:8.2f} {tenths[8]:8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20_000)
    main(parser.parse_args().rounds)
