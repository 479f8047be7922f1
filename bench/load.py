"""Posts signed GitHub events over kept-alive connections as fast as they are answered; prints one line of JSON.

    python -m bench.load PORT REQUESTS CONNECTIONS

What is answered 503 counts as a status alone, and its connection pauses for 100 ms. The requests are made and signed
before the clock starts, so that the figures are the server's.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
import uuid
from collections import Counter

import uvloop

from bench.stand import SECRET
from headrace.process import allow_connections

PADDING = "x" * 1100
RETRY_S = 0.1


def signed_request() -> bytes:
    """Return a whole HTTP request of about 1.2 KB."""
    body = json.dumps({"id": uuid.uuid4().hex, "action": "opened", "text": PADDING}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        "POST /webhook/github HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/1\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {uuid.uuid4()}\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def post_all(port: int, requests: list[bytes], latencies_s: list[float], statuses: Counter[int]) -> None:
    """Post one after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        started_s = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        status = int(head[9:12])
        statuses[status] += 1
        if status == 503:
            await asyncio.sleep(RETRY_S)  # a refusal is quick: it must not make the answers look so
        else:
            latencies_s.append(time.perf_counter() - started_s)
    writer.close()


async def main(port: int, count: int, connections: int) -> None:
    """Post, and print the figures."""
    allow_connections()
    shares = [[signed_request() for _ in range(count // connections)] for _ in range(connections)]
    latencies_s: list[float] = []
    statuses: Counter[int] = Counter()
    started_s = time.perf_counter()
    await asyncio.gather(*(post_all(port, share, latencies_s, statuses) for share in shares))
    seconds = time.perf_counter() - started_s
    latencies_s.sort()
    figures = {
        "per_s": len(latencies_s) / seconds,
        "p50_ms": latencies_s[len(latencies_s) // 2] * 1000,
        "p99_ms": latencies_s[int(len(latencies_s) * 0.99)] * 1000,
        "statuses": statuses,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    uvloop.run(main(*(int(argument) for argument in sys.argv[1:4])))
