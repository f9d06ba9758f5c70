"""Writers of a list whose transactions end when a test says so, and a follower that keeps what it was told."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from forbear.config import Settings
from forbear.domain.address import parse_intake
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel, Entry, Grant, Reason, RuleSet, Source
from forbear.services.context import Context
from forbear.services.suppression import Assertion, fingerprint_keys, make_draft
from forbear.store import Connection
from forbear.store import feed as feed_store
from forbear.store import suppression as suppression_store
from forbear.store.database import open_owner_connection
from forbear.store.feed import NOTHING_SEEN, Place
from forbear.store.suppression import Written


@asynccontextmanager
async def open_writers(settings: Settings, count: int) -> AsyncIterator[list[Connection]]:
    """Connections of the service's role, each with transactions of its own."""
    if count == 0:
        yield []
        return
    async with open_owner_connection(settings.database_url) as first, open_writers(settings, count - 1) as others:
        yield [first, *others]


async def write(
    context: Context, connection: Connection, *addresses: str, reason: str = "unsubscribe", scope: str = "*", **how
) -> list[Written]:
    """Assert entries in whatever transaction the connection is in."""
    drafts = [
        make_draft(context, Assertion(parse_intake(address), Reason(reason), scope, Source.API, **how))
        for address in addresses
    ]
    return await suppression_store.add_entries(connection, drafts, actor="test")


async def grant(context: Context, connection: Connection, address: str, scope: str) -> int:
    """Record an opt-in."""
    key = key_of(context, address)
    return await suppression_store.add_grant(connection, key, Channel.EMAIL, scope, Source.PREFERENCES, "test")


async def lift(connection: Connection, entry_id: int) -> None:
    """Lift an entry."""
    assert await suppression_store.lift_entry(
        connection, entry_id, source=Source.OPERATOR, actor="test", sealed_evidence=b""
    )


def key_of(context: Context, address: str) -> Fingerprint:
    """The fingerprint of the match form."""
    return fingerprint_keys(context, parse_intake(address)).match


class Follower:
    """Follows a list by its feed alone; without the cap it remembers each snapshot as it is."""

    def __init__(self, *, is_capped: bool = True, page_rows: int = 1000):
        self.position = NOTHING_SEEN
        self.rules: dict[Fingerprint, RuleSet] = {}
        self.pages = 0
        self._is_capped = is_capped
        self._page_rows = page_rows

    async def catch_up(self, connection: Connection) -> bool:
        """Take in what is new; whether anything was."""
        barrier = await feed_store.ask_barrier(connection, self.position)
        assert barrier.is_adopted
        if not barrier.is_behind:
            self._move(barrier.snapshot, self.position.highest)
            return False
        until, entries, grants, is_last = None, Place(), Place(), False
        while not is_last:
            page = await feed_store.read_changes(
                connection, self.position, until, entries, grants, limit=self._page_rows
            )
            self.rules.update(page.keys)
            self.pages += 1
            until, entries, grants, is_last = until or page.snapshot, page.entries, page.grants, page.is_last
        self._move(until, max(self.position.highest, entries.xid, grants.xid))
        return True

    def _move(self, snapshot, highest):
        self.position = snapshot.cap(highest) if self._is_capped else snapshot

    @property
    def standing(self) -> dict[Fingerprint, RuleSet]:
        """What it holds about those of whom anything stands."""
        return {key: rules for key, rules in self.rules.items() if rules}


async def read_standing(connection: Connection) -> dict[Fingerprint, RuleSet]:
    """What stands, read from the tables from end to end."""
    found = defaultdict(list)
    entries = await connection.fetch("SELECT *, reason::text AS word FROM entries WHERE lifted_at IS NULL")
    for row in entries:
        rule = (row["asserted_at"], True, row["word"], Entry(Reason(row["word"]), row["scope"]))
        found[row["fingerprint"]].append(rule)
        if row["wide_fingerprint"]:
            found[row["wide_fingerprint"]].append(rule)
    for row in await connection.fetch("SELECT * FROM grants WHERE lifted_at IS NULL"):
        found[row["fingerprint"]].append((row["granted_at"], False, "", Grant(row["scope"])))
    return {key: tuple(rule[-1] for rule in sorted(rules, key=lambda rule: rule[:3])) for key, rules in found.items()}
