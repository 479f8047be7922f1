"""Names lead to public addresses alone, unless the destination says otherwise; a number is its operator's decision."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.addresses import AddressRefused, is_public, numeric_address
from connectors.endpoint import read_base_url
from connectors.errors import Unreachable
from connectors.resolver import PublicResolver


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "not one", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_addresses_that_are_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_within_an_ipv6_one_is_what_it_is_itself(address):
    number = int(address)
    for text in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"):
        assert is_public(text) == is_public(str(address))
    assert is_public(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1") == is_public(str(address))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "127.0.0.1"])
def test_the_old_spellings_of_a_number_are_read_as_one(host):
    assert numeric_address(host) == "127.0.0.1"
    assert read_base_url(f"http://{host}:8000/x") == "http://127.0.0.1:8000/x"


@pytest.mark.parametrize("host", ["localhost", "1.2.3.4.5", "1.2.3.256", "0x", "1e3", "127.0.0.1.example", "", "a"])
def test_what_is_a_name_stays_one(host):
    assert numeric_address(host) is None


@given(st.text())
def test_any_host_is_a_number_or_none(host):
    found = numeric_address(host)
    assert found is None or socket.inet_aton(found)


class Names:
    """A resolver whose names have other addresses each time: what DNS rebinding does."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
        addresses = self.answers.pop(0)
        return [
            {"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0}
            for each in addresses
        ]

    async def close(self):
        pass


async def test_a_name_is_judged_by_the_addresses_that_are_connected_to():
    resolver = PublicResolver(allow_private=False, resolver=Names(["1.1.1.1"], ["127.0.0.1"], ["10.0.0.1", "1.1.1.1"]))
    assert [found["host"] for found in await resolver.resolve("shop.example", 443)] == ["1.1.1.1"]
    with pytest.raises(AddressRefused, match=r"shop\.example has the address 127\.0\.0\.1.*allow_private: true"):
        await resolver.resolve("shop.example", 443)
    assert [found["host"] for found in await resolver.resolve("shop.example", 443)] == ["1.1.1.1"]


async def test_a_name_may_lead_anywhere_if_the_destination_says_so():
    resolver = PublicResolver(allow_private=True, resolver=Names(["10.0.0.1"]))
    assert [found["host"] for found in await resolver.resolve("db", 443)] == ["10.0.0.1"]


async def send(destination):
    async def go():
        pass

    return await destination.call("request", {}, idempotency_key="5f" * 32, before_attempt=go)


async def test_a_destination_by_a_private_name_is_refused_before_anything_is_sent(service, open_destination):
    base_url = service.base_url.replace("127.0.0.1", "localhost")
    refused = await open_destination("http", {"base_url": base_url, "retry": {"attempts": 1}})
    with pytest.raises(Unreachable, match=r"localhost has the address .* allow_private: true"):
        await send(refused)
    assert service.received == []
    allowed = await open_destination("http", {"base_url": base_url, "allow_private": True})
    assert (await send(allowed)).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1"])
async def test_a_destination_by_a_number_is_its_operators_decision(service, open_destination, host):
    base_url = service.base_url.replace("127.0.0.1", host)
    assert (await send(await open_destination("http", {"base_url": base_url}))).status == 200
