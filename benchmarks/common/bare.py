"""aiohttp with next to nothing in it, as a process of its own: what the same server does without us.

    python -m benchmarks.common.bare [POSTGRESQL_URL]

Prints its URL once it listens. POST /empty answers nothing; /echo sends the body back; /insert makes one row durable.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from aiohttp import web

from benchmarks.common.measure import python
from benchmarks.common.service import Web, running

POOL = web.AppKey("pool", asyncpg.Pool)
CONNECTIONS = 10
"""As many as one web process of ours has."""


async def answer_nothing(_request: web.Request) -> web.Response:
    """Answer at once."""
    return web.Response()


async def echo(request: web.Request) -> web.StreamResponse:
    """Send the body back as it comes."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    while piece := await request.content.readany():
        await response.write(piece)
    await response.write_eof()
    return response


async def insert(request: web.Request) -> web.Response:
    """Write down who clicked, and answer when that has reached the disk."""
    await request.read()
    await request.app[POOL].execute("INSERT INTO clicks (token) VALUES ($1)", request.match_info["token"])
    return web.Response(text="ok")


async def hold_pool(app: web.Application, url: str) -> AsyncIterator[None]:
    """Keep connections open while the application is served."""
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute("DROP TABLE IF EXISTS clicks")
        await pool.execute("CREATE TABLE clicks (token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())")
        app[POOL] = pool
        yield


async def serve(url: str | None) -> None:
    """Listen on a free port until killed."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/empty", answer_nothing)
    app.router.add_route("*", "/echo", echo)
    if url:
        app.router.add_post("/insert/{token}", insert)
        app.cleanup_ctx.append(lambda app: hold_pool(app, url))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


@contextmanager
def serving_bare(folder: Path, url: str | None = None) -> Iterator[Web]:
    """Run it."""
    with running(python("benchmarks.common.bare", *([url] if url else [])), folder / "bare.log") as process:
        assert process.stdout
        yield Web(process.stdout.readline().decode().strip(), "", process.pid)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
