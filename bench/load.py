"""Posts signed GitHub events over kept-alive connections as fast as they are answered; prints one line of JSON.

    python -m bench.load PORT REQUESTS CONNECTIONS JSON_BYTES

A body of more than a few KB is gzipped, so that it costs the server far more than this process. What is answered 503
counts as a status alone, and its connection posts again at once. The requests are made and signed before the clock
starts, so that the figures are the server's.
"""

from __future__ import annotations

import asyncio
import gzip
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

GZIP_BYTES_MIN = 4096


def signed_request(json_bytes: int) -> bytes:
    """Return a whole HTTP request."""
    item = {"name": "some name", "number": 12.5, "flags": [True, False, None]}
    items = [item] * (json_bytes // len(json.dumps(item)))
    body = json.dumps({"id": uuid.uuid4().hex, "action": "opened", "items": items}).encode()
    gzipped = json_bytes >= GZIP_BYTES_MIN
    if gzipped:
        body = gzip.compress(body, 1)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        "POST /webhook/github HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/1\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {uuid.uuid4()}\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n"
        f"{'Content-Encoding: gzip' if gzipped else 'Accept-Language: en'}\r\n\r\n"
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
        if status != 503:  # a refusal is quick: it must not make the answers look so
            latencies_s.append(time.perf_counter() - started_s)
    writer.close()


async def main(port: int, count: int, connections: int, json_bytes: int) -> None:
    """Post, and print the figures."""
    allow_connections()
    shares = [[signed_request(json_bytes) for _ in range(count // connections)] for _ in range(connections)]
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
    uvloop.run(main(*(int(argument) for argument in sys.argv[1:5])))
