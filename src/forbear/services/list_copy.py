"""A copy of the list in this process: an engine, and the position up to which it has seen everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from forbear.index.engine import Engine
from forbear.index.rules import RuleBook
from forbear.store import Connection
from forbear.store import feed as feed_store
from forbear.store.feed import NOTHING_SEEN, Barrier, Changes, Place, Position, ServerIdentity

PAGE_ROWS: Final = 1000
"""Rows taken in at a time; the event loop is held no longer than such a page takes (some milliseconds)."""

FOLLOWED_MIN: Final = 1_000_000
FOLLOWED_SHARE: Final = 0.25
"""From so many missing changes on, counted as in `index_keeper`, a new file is built sooner than they are read."""

PROGRESS_SECONDS: Final = 5.0

_log = structlog.get_logger()


@dataclass(slots=True)
class ListCopy:
    """One task brings it up to date; threads may decide meanwhile."""

    engine: Engine
    identity: ServerIdentity
    position: Position
    path: Path | None

    @classmethod
    def begin(cls, identity: ServerIdentity) -> ListCopy:
        """A copy without a file: the whole list comes as changes."""
        return cls(Engine(None, RuleBook()), identity, NOTHING_SEEN, None)

    @property
    def keys(self) -> int:
        """How many keys its file holds."""
        return 0 if self.engine.table is None else len(self.engine.table)

    @property
    def followed_max(self) -> int:
        """How many changes may be missing for it to be worth bringing up to date."""
        return max(FOLLOWED_MIN, int(FOLLOWED_SHARE * self.keys))

    def is_of(self, barrier: Barrier) -> bool:
        """Whether the server that answered is the one this was read from, and was not put back to an earlier time."""
        return barrier.identity == self.identity and barrier.snapshot.xmax >= self.position.xmax

    async def catch_up(self, connection: Connection, barrier: Barrier, most: int) -> bool:
        """Take in whatever the barrier's snapshot holds, and perhaps more; nothing and False, if over `most` changes.

        The barrier was asked at this position.
        """
        if not barrier.is_behind:
            self.position = barrier.snapshot.cap(self.position.highest)
            return True
        page = await self._read_page(connection, None, Place(), Place())
        if not page.is_last:
            missing = await feed_store.count_unseen(connection, self.position, most)
            if missing > most:
                return False
            page = await self._read_pages(connection, missing)
        # Interrupted before these lines, the same changes are read again, which does no harm.
        self.position = page.snapshot.cap(max(self.position.highest, page.entries.xid, page.grants.xid))
        self.engine.show()
        return True

    async def _read_pages(self, connection: Connection, missing: int) -> Changes:
        """All pages, at one moment: those of several would be a state of the list that never was. The last of them."""
        said_at, read = time.monotonic(), PAGE_ROWS
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            page = await self._read_page(connection, None, Place(), Place())
            while not page.is_last:
                if time.monotonic() - said_at > PROGRESS_SECONDS:
                    said_at = time.monotonic()
                    _log.info("catching_up", read=read, changes=missing)
                page = await self._read_page(connection, page.snapshot, page.entries, page.grants)
                read += PAGE_ROWS
        return page

    async def _read_page(
        self, connection: Connection, until: Position | None, entries: Place, grants: Place
    ) -> Changes:
        page = await feed_store.read_changes(connection, self.position, until, entries, grants, limit=PAGE_ROWS)
        self.engine.put(page.keys, with_domains=page.has_domains)
        return page
