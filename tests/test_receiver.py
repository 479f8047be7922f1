"""What the tests themselves stand on."""

from __future__ import annotations

from tests.receiver import free_port, free_ports


def test_no_port_is_given_twice() -> None:
    given = [free_port() for _ in range(200)]
    for _ in range(20):
        first = free_ports(10)
        given += range(first, first + 10)
    assert len(set(given)) == len(given)
