"""A time and signatures in one header, as ``t=1700000000,v1=<hex>``: how Stripe and many after it sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.signature import (
    InvalidSignature,
    SignedRequest,
    hmac_sha256_hex,
    require_any_equal,
    require_fresh,
    require_fresh_ms,
)

ELEMENTS_MAX = 50  # a provider sends one signature for each live secret


@dataclass(frozen=True, slots=True)
class TimedHeader:
    """Where the time and the signatures stand, and what stands between the time and the raw body in the signed text.

    ``unit`` is that of the time. Elements of other names are passed over: other versions prove nothing.
    """

    name: str
    time: bytes = b"t"
    signature: bytes = b"v1"
    separator: bytes = b","
    joint: bytes = b"."
    unit: str = "s"
    digest: Callable[[bytes, bytes], bytes] = hmac_sha256_hex

    def verify(self, request: SignedRequest, *, secret: bytes, now_s: float, age_s_max: float) -> None:
        """Return only if one of the signatures is that of time and body, and the time is within ``age_s_max`` of now.

        Raises:
            InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
        """
        header = request.header(self.name.lower())
        elements = [element.partition(b"=") for element in header.split(self.separator)]
        if len(elements) > ELEMENTS_MAX:
            raise InvalidSignature(f"the header {self.name} has too many elements")
        times = [value for name, _, value in elements if name.strip() == self.time]
        if len(times) != 1:
            raise InvalidSignature(f"the header {self.name} does not have one timestamp")
        require = require_fresh if self.unit == "s" else require_fresh_ms
        require(times[0], now_s=now_s, age_s_max=age_s_max)
        expected = self.digest(secret, times[0] + self.joint + request.body)
        require_any_equal(expected, [value for name, _, value in elements if name.strip() == self.signature])

    def sign(self, body: bytes, *, secret: bytes, now_s: float) -> dict[str, str]:
        """Return the header that signs ``body`` at ``now_s``."""
        time = b"%d" % int(now_s if self.unit == "s" else now_s * 1000)
        signature = self.digest(secret, time + self.joint + body)
        header = self.time + b"=" + time + self.separator + self.signature + b"=" + signature
        return {self.name: header.decode()}
