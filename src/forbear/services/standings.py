"""What stands, as this process knows it, and the read barrier that keeps it from being older than any question.

PostgreSQL stays the truth. Before each decision a process catches up: one question, normally answered "nothing new".
Requests that arrive while an answer is under way share the next one, because the one under way may have been read
before they asked. So PostgreSQL sees one question a round trip, whatever the load.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from forbear.domain.errors import ListUnavailable
from forbear.domain.keys import Keyring
from forbear.index.addresses import RowFingerprinter
from forbear.index.engine import Engine
from forbear.services.index_folder import IndexFolder
from forbear.services.list_copy import ListCopy
from forbear.store import Connection, Database
from forbear.store import feed as feed_store
from forbear.store import index_build as build_store
from forbear.store.feed import NOTHING_SEEN, Barrier, Position, ServerIdentity
from forbear.store.kept import KeptConnection

_log = structlog.get_logger()

POLL_SECONDS: Final = 1.0
"""How far a process that nobody asks may fall behind, and how soon it notices a new index file."""

OPEN_SECONDS_MAX: Final = 5.0
"""How long a process that begins to serve waits for its copy. Without one its decisions ask PostgreSQL itself."""

CHANGES_AT_ONCE_MAX: Final = 100_000
"""How many changes those who wait for a decision wait for, about a second or two; with more of them PostgreSQL itself
is asked, and the copy is brought up to date beside that."""

ENTRIES_WITHOUT_FILE_MAX: Final = 100_000
"""Up to this size a list is read as changes; a larger one waits for an index file."""


class Standings:
    """The list's copy in this process; one for all its decisions."""

    def __init__(self, database: Database, keyring: Keyring, folder: Path) -> None:
        """Nothing is read before the first question."""
        self.folder = IndexFolder(folder, keyring)
        self._keyring = keyring
        self._database = database
        self._kept = KeptConnection(database)
        self._copy: ListCopy | None = None
        self._next_copy: ListCopy | None = None
        self._aside: ListCopy | None = None
        self._waiting: asyncio.Future[datetime] | None = None
        self._pilot: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        self._taking = asyncio.Lock()
        self._has_looked = asyncio.Event()
        self._is_missed = False
        self._moved = asyncio.Event()

    async def start(self) -> None:
        """Stay nearly up to date from now on, and wait a little for a copy that is.

        A list that is away, or a file that is far behind it, delays nobody for longer than that.
        """
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_looked.wait(), OPEN_SECONDS_MAX)
            self._say_whether_missed()

    async def close(self) -> None:
        """Stop following; whoever still waits gets `ListUnavailable`."""
        for task in (self._poller, self._pilot):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        with suppress(ListUnavailable):
            await self._kept.close()

    @cached_property
    def fingerprinter(self) -> RowFingerprinter:
        """Makes the fingerprints that the engine is asked about."""
        return RowFingerprinter(self._keyring.fingerprints)

    @property
    def engine(self) -> Engine | None:
        """The engine as of the last catch-up; None while a list too large to do without a file has none near enough.

        Decisions then ask PostgreSQL itself.
        """
        return None if self._copy is None else self._copy.engine

    @property
    def copy(self) -> ListCopy | None:
        """The copy behind the engine."""
        return self._copy

    @property
    def nearest_copy(self) -> ListCopy | None:
        """The same, or while there is none the copy that is to be brought up to date."""
        return self._copy or self._aside

    @property
    def moved(self) -> asyncio.Event:
        """Set as soon as something is taken in that was not there when this was asked for."""
        return self._moved

    async def catch_up(self) -> datetime:
        """Wait until all is taken in that was committed before this call; a moment between this call and now.

        Raises `ListUnavailable` when PostgreSQL cannot be asked, or is another server than the list was made valid for.
        """
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._pilot is None or self._pilot.done():
                self._pilot = asyncio.create_task(self._fly())
        try:
            return await asyncio.shield(self._waiting)
        except ListUnavailable as error:
            raise ListUnavailable(error.detail) from error

    async def _fly(self) -> None:
        """One flight after another, for as long as somebody waits."""
        while (flight := self._waiting) is not None:
            self._waiting = None
            flight.add_done_callback(_look_at_error)
            try:
                flight.set_result(await self._catch_up())
            except asyncio.CancelledError:
                flight.set_exception(ListUnavailable("this process is ending"))
                raise
            except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
                flight.set_exception(error)

    async def _catch_up(self) -> datetime:
        async with self._kept.use() as connection:
            if self._poller is None and self._next_copy is None and self._copy is None:
                # Nobody else opens one.
                self._next_copy = await self._open(connection)
            while True:
                copy = self._next_copy or self._copy
                barrier = await self._ask_barrier(connection, copy)
                if copy is None:
                    break
                most = copy.followed_max if self._poller is None else CHANGES_AT_ONCE_MAX
                if await copy.catch_up(connection, barrier, most):
                    self._show(copy, has_moved=barrier.is_behind)
                    break
                self._set_aside(copy)
        return barrier.as_of

    async def _ask_barrier(self, connection: Connection, copy: ListCopy | None) -> Barrier:
        barrier = await feed_store.ask_barrier(connection, NOTHING_SEEN if copy is None else copy.position)
        if not barrier.is_adopted:
            self._forget()
            raise ListUnavailable("the list is on another server than before and is being adopted there")
        if copy is not None and not copy.is_of(barrier):
            self._forget()
            raise ListUnavailable("the list is another than before and is being read anew")
        return barrier

    def _show(self, copy: ListCopy, *, has_moved: bool) -> None:
        """Only here, at the end of a flight, does a copy become the one that decides: none is older than the last."""
        self._copy = copy
        if copy is self._next_copy:
            self._next_copy = None
        if has_moved:
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def _set_aside(self, copy: ListCopy) -> None:
        """Decide without a copy that lacks too much. The poller brings it up to date; alone, it is of no use."""
        if copy is self._next_copy:
            self._next_copy = None
        else:
            self._copy = None
        if self._poller is None:
            self._refuse(copy)
        else:
            self._aside = copy

    def _refuse(self, copy: ListCopy) -> None:
        if copy.path is not None:
            self.folder.refuse(copy.path, f"it lacks more than {copy.followed_max} changes")

    def _forget(self) -> None:
        self._copy = self._next_copy = self._aside = None

    async def _open(self, connection: Connection) -> ListCopy | None:
        """The newest index file, or a copy without one for a list that is small enough."""
        identity = await feed_store.read_identity(connection)
        copy = await self._open_newest(connection, identity)
        if copy is None and not await build_store.has_entries_beyond(connection, ENTRIES_WITHOUT_FILE_MAX):
            copy = ListCopy.begin(identity)
        return copy

    async def _open_newest(
        self, connection: Connection, identity: ServerIdentity, current: Path | None = None
    ) -> ListCopy | None:
        found = await asyncio.to_thread(self.folder.open_newest, identity, current=current)
        if found is None:
            return None
        path, table = found
        # A server that was put back to an earlier time gives out again the ids that this file has seen.
        if not await build_store.has_build(connection, UUID(table.header.mark)):
            self.folder.refuse(path, "the list has no record of it")
            return None
        return ListCopy(Engine(table, table.book), identity, Position.parse(table.header.position), path)

    async def _poll(self) -> None:
        while True:
            try:
                await self.take_newer_file()
                await self.catch_up()
            except ListUnavailable:
                pass  # whoever asks the list says so
            except Exception as error:  # noqa: BLE001 - the edge of a task that must go on
                _log.warning("list_not_followed", error=type(error).__name__)
            self._has_looked.set()
            self._say_whether_missed()
            await asyncio.sleep(POLL_SECONDS)

    def _say_whether_missed(self) -> None:
        was_missed, self._is_missed = self._is_missed, self._copy is None
        if self._is_missed and not was_missed:
            _log.warning("engine_missing")
        if was_missed and not self._is_missed:
            _log.info("engine_ready")

    async def take_newer_file(self) -> None:
        """Change over to a newer index file, or to any copy while there is none. Raises `ListUnavailable`.

        It is caught up beside the copy in use first, so that the flight that swaps it in has little left to do.
        """
        async with self._taking:
            async with self._database.connection() as connection:
                self._next_copy = await self._catch_up_beside(connection)
            if self._next_copy is not None:
                await self.catch_up()

    async def _catch_up_beside(self, connection: Connection) -> ListCopy | None:
        newer = await self._find_newer(connection)
        if newer is None:
            return None
        barrier = await feed_store.ask_barrier(connection, newer.position)
        is_followed = newer.is_of(barrier) and await newer.catch_up(connection, barrier, newer.followed_max)
        self._aside = None
        if is_followed:
            return newer
        if newer.is_of(barrier):
            self._refuse(newer)
        return None

    async def _find_newer(self, connection: Connection) -> ListCopy | None:
        """A file that is newer than the copy in use, or the copy that was set aside, or the beginning of one."""
        known = self._aside or self._copy
        if known is None:
            return await self._open(connection)
        newer = await self._open_newest(connection, known.identity, known.path)
        return newer or self._aside


def _look_at_error(flight: asyncio.Future[datetime]) -> None:
    """A flight may fail when all who waited have gone; that is no error of its own."""
    flight.exception()
