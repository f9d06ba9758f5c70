"""The recipients' pages behind real HTTP, links to them, and what a click has done to the list."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import date

from aiohttp import ClientSession, DummyCookieJar, web

from forbear import bootstrap
from forbear.config import Settings
from forbear.domain.address import parse_address
from forbear.domain.suppression import Purpose
from forbear.domain.tokens import LinkToken, write_link_token
from forbear.services import decision, suppression
from forbear.services.context import Context, ScopeBook
from forbear.services.decision import Question
from forbear.services.explain import explain
from forbear.store.database import open_database
from forbear.store.suppression import EntryFilter
from forbear.web.app import make_app

ADDRESS = "camille@example.com"
MASKED = "c...@example.com"
PUBLIC_URL = "https://mail.example.com"
CONTACT = "privacy@maison.example"
ONE_CLICK = b"List-Unsubscribe=One-Click"
_ALL_ROWS = """
SELECT xmin || ' entry ' || entries::text AS line FROM entries
UNION ALL SELECT xmin || ' grant ' || grants::text FROM grants
UNION ALL SELECT xmin || ' event ' || events::text FROM events
UNION ALL SELECT xmin || ' evidence ' || evidence::text FROM evidence
UNION ALL SELECT xmin || ' address ' || addresses::text FROM addresses
UNION ALL SELECT xmin || ' scope ' || scopes::text FROM scopes
UNION ALL SELECT xmin || ' contact ' || contact_points::text FROM contact_points
UNION ALL SELECT xmin || ' consent ' || consents::text FROM consents
UNION ALL SELECT xmin || ' confirmation ' || confirmations::text FROM confirmations
UNION ALL SELECT xmin || ' message ' || outbox::text FROM outbox
ORDER BY line
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return " ".join(self.body.decode().split())


@dataclass(frozen=True)
class Door:
    """The pages of one list."""

    context: Context
    session: ClientSession
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, address: str = ADDRESS, scope: str = "maison/newsletter") -> str:
        link = LinkToken(address, scope, "spring", date(2026, 3, 1))
        return write_link_token(self.context.keyring, link)

    async def ask(self, method: str, path: str, **how) -> Answer:
        async with self.session.request(method, path, allow_redirects=False, **how) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **how) -> Answer:
        return await self.ask("GET", path, **how)

    async def post(self, path: str, fields: Mapping[str, str] | bytes = b"", **how) -> Answer:
        return await self.ask("POST", path, data=fields, **how)

    async def send_raw(self, request: bytes) -> bytes:
        """Send bytes over a connection of their own and read one whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        answer = head + await reader.readexactly(int(length[1]) if length else 0)
        writer.close()
        return answer

    async def send_and_leave(self, request: bytes) -> None:
        """Send bytes and hang up without waiting for an answer."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def verdict(self, scope: str = "maison/newsletter", purpose=Purpose.MARKETING, address: str = ADDRESS) -> str:
        checked = await decision.check(self.context, [address], Question(purpose, scope))
        return checked.verdicts[0].outcome.value

    async def wait_until_suppressed(self, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while await self.verdict() != "suppress":  # noqa: ASYNC110 - the list gives no signal to wait for
                await asyncio.sleep(0.02)

    async def list_entries(self) -> list[tuple[str, str, str]]:
        """Reason, scope and source of each standing entry, oldest first."""
        found = await suppression.search(self.context, EntryFilter(), limit=100)
        return [(line.row.reason.value, line.row.scope, line.row.source.value) for line in reversed(found)]

    async def list_actions(self) -> list[str]:
        """What the history says, oldest first."""
        async with self.context.database.connection() as connection:
            return [row["action"] for row in await connection.fetch("SELECT action::text FROM events ORDER BY id")]

    async def read_evidence(self) -> dict[str, object]:
        """The evidence of the one click there was."""
        told = await explain(self.context, parse_address(ADDRESS), Question(Purpose.MARKETING, "maison/newsletter"))
        return dict(told.entries[0].history[0].evidence)

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """The statements that connections which are open already run meanwhile."""
        seen: list[str] = []

        def note(query) -> None:
            seen.append(query.query)

        connections = [holder._con for holder in self.context.database.pool._holders if holder._con is not None]
        for connection in connections:
            connection.add_query_logger(note)
        try:
            yield seen
        finally:
            for connection in connections:
                connection.remove_query_logger(note)

    async def photograph(self) -> list[str]:
        """Every row that a click could touch, with the transaction that wrote it."""
        async with self.context.database.connection() as connection:
            return [row["line"] for row in await connection.fetch(_ALL_ROWS)]


@asynccontextmanager
async def open_door(context: Context, *, public_url: str = PUBLIC_URL, **chosen) -> AsyncIterator[Door]:
    """Serve the pages of a list as the web process does; `chosen` are settings."""
    options = bootstrap._make_web_options(Settings(**{"contact": CONTACT, **chosen}))
    opened = replace(context, options=replace(context.options, public_url=public_url))
    # aiohttp's own test server cancels a handler when its client hangs up; the real one does not.
    runner = web.AppRunner(make_app(opened, options), access_log=None, max_line_size=16384, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession(f"http://127.0.0.1:{port}", cookie_jar=DummyCookieJar()) as session:
        yield Door(opened, session, port)
    await runner.cleanup()


@asynccontextmanager
async def without_postgresql(door: Door) -> AsyncIterator[Door]:
    """The same pages, whose PostgreSQL is away."""
    url = "postgresql://x@127.0.0.1:1/x"
    async with (
        open_database(url, connections_max=2, statement_timeout_seconds=1) as away,
        open_door(replace(door.context, database=away, scope_book=ScopeBook())) as opened,
    ):
        yield opened
