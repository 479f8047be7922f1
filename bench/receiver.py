"""A destination that answers 200 after a fixed delay; prints its URL."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def main(delay_s: float) -> None:
    """Serve until killed."""
    count = 0

    async def take(request: web.BaseRequest) -> web.Response:
        nonlocal count
        if request.path == "/count":
            return web.Response(text=str(count))
        await request.read()
        await asyncio.sleep(delay_s)
        count += 1
        return web.Response()

    runner = web.ServerRunner(web.Server(take, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
