"""A list on a PostgreSQL that a test may kill, served by as many web processes as it likes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from forbear import bootstrap
from forbear.config import Settings
from forbear.services.api_keys import Permission, add_api_key
from forbear.services.context import Context
from forbear.services.scopes import add_scope
from tests.doors.callers import Client
from tests.folders import make_home
from tests.webs import Web, running_cluster, running_web

PATIENCE_SECONDS = 60
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MARKETING = {"purpose": "marketing", "scope": "maison/newsletter"}


class Place:
    """A list on a PostgreSQL of its own, and what is needed to serve it."""

    def __init__(self, cluster, settings: Settings, folder: Path, context: Context, key: str):
        self.cluster, self.settings, self.folder, self.context, self.key = cluster, settings, folder, context, key

    @asynccontextmanager
    async def serve(self, **environment: str) -> AsyncIterator[tuple[Web, Client]]:
        """Serve it by one more web process."""
        async with (
            running_web(self.settings, self.folder, **environment) as web,
            aiohttp.ClientSession(web.url, cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            yield web, Client(self.context, session, int(web.url.rpartition(":")[2]), self.key)

    async def kill_postgresql(self) -> None:
        os.kill(self.cluster.pid, signal.SIGKILL)
        await self.cluster.wait()
        # Its children end when they find it gone; nobody may be asked any more.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    async with self.context.database.connection() as connection:
                        await connection.fetchval("SELECT 1")


@asynccontextmanager
async def make_place(folder: Path) -> AsyncIterator[Place]:
    with make_home(is_fast=True) as home:
        async with running_cluster(home) as (cluster, settings), bootstrap.open_context(settings) as context:
            for scope in ("maison/newsletter", "maison/events", "atelier"):
                await add_scope(context, scope, {})
            _, key = await add_api_key(context, "administrator", permissions=Permission)
            yield Place(cluster, settings, folder, context, key)


async def make_link(client: Client, address: str) -> str:
    """The path of somebody's unsubscribe link."""
    answer = await client.post("/v1/links", **MARKETING, campaign="spring", addresses=[address])
    return "/u/" + answer.json["results"][0]["unsubscribe_url"].rpartition("/")[2]


async def click(client: Client, path: str, fields: Mapping[str, str] = ONE_CLICK) -> int:
    async with client.session.post(path, data=fields) as answer:
        await answer.read()
        return answer.status


def find_metrics(web: Web) -> str:
    """Where the metrics are: they have a port of their own, which nothing announces."""
    table = Path(f"/proc/{web.pid}/net/tcp").read_text().splitlines()[1:]
    own = {str(link.readlink()) for link in Path(f"/proc/{web.pid}/fd").iterdir()}
    for line in table:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
            port = int(fields[1].rpartition(":")[2], 16)
            if not web.url.endswith(f":{port}"):
                return f"http://127.0.0.1:{port}/metrics"
    raise AssertionError("the metrics listen nowhere")
