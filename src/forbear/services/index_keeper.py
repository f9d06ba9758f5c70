"""Looking after the list and its index file: when to build, what others may know of it, and who waits for whom."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from forbear.domain.errors import ListUnavailable
from forbear.services.adoption import adopt_list
from forbear.services.index_build import build_index
from forbear.services.list_copy import ListCopy
from forbear.services.standings import Standings
from forbear.store import Connection, Database
from forbear.store import index_build as build_store

CHANGES_MIN: Final = 100_000
"""Changed keys from which a new file is worth its reading of the whole list, however small that is..."""
CHANGES_SHARE: Final = 0.05
"""...or, in a larger list, this share of its keys: a look-up asks the changes first, and they are in every process."""
AGE_MAX: Final = timedelta(days=1)
"""A file with changes is built anew by then, so that a restart has little to catch up with."""

PACE_CHANGES_MIN: Final = 500_000
PACE_CHANGES_SHARE: Final = 0.15
"""So many changes, counted as above, and imports wait for the builder: they bound the memory of every process."""

PATIENCE_WITHOUT_BUILDER: Final = 3
"""A process that is no builder waits until this many times the changes have come: perhaps its machine has no worker."""

ROUND_SECONDS: Final = 2.0
RECORD_SECONDS: Final = 10.0
"""How often a builder says that it is alive while there is little to say."""
ALIVE_WITHIN: Final = timedelta(seconds=30)
FAILED_SECONDS: Final = 60.0
"""How long a build that failed is not tried again: the reason may be a full disk."""
WAIT_SECONDS: Final = 1.0

_log = structlog.get_logger()


class IndexKeeper:
    """One for each process that serves. Only builders adopt the list, and are waited for by imports."""

    def __init__(self, database: Database, standings: Standings, *, is_builder: bool) -> None:
        """Nothing is done before `run` or `look`."""
        self._database = database
        self._standings = standings
        self._is_builder = is_builder
        self._building: asyncio.Task[None] | None = None
        self._not_before = self._recorded_at = -FAILED_SECONDS

    async def run(self) -> None:
        """Look again and again, until this is cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except ListUnavailable:
                    pass  # whoever asks the list says so
                except Exception as error:  # noqa: BLE001 - the edge of a task that must go on
                    _log.warning("index_not_looked_after", error=type(error).__name__)
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            if self._building is not None:
                self._building.cancel()
                await asyncio.gather(self._building, return_exceptions=True)

    async def look(self) -> None:
        """Adopt the list where needed, say how far its file is behind, and begin to build when that is due."""
        if self._is_builder:
            async with self._database.connection() as connection:
                await adopt_list(connection)
        await self._standings.take_newer_file()
        await self._standings.catch_up()
        copy = self._standings.nearest_copy
        if self._is_builder:
            await self._record(copy)
        is_idle = self._building is None and time.monotonic() >= self._not_before
        if is_idle and is_build_due(copy, datetime.now(UTC), patience=self._patience):
            # Beside the rounds: who builds for minutes must go on saying that it is alive.
            self._building = asyncio.create_task(self._build())

    async def finish(self) -> None:
        """Wait for the build under way, if any."""
        if self._building is not None:
            await self._building

    @property
    def _patience(self) -> int:
        return 1 if self._is_builder else PATIENCE_WITHOUT_BUILDER

    async def _build(self) -> None:
        try:
            await build_index(self._database, self._standings.folder)
        except ListUnavailable:
            self._not_before = time.monotonic() + ROUND_SECONDS
        except Exception as error:  # noqa: BLE001 - the edge of a task
            # No room, or no right to write: decisions go on with the file there is, or ask PostgreSQL itself.
            _log.warning("index_not_built", error=type(error).__name__, detail=getattr(error, "strerror", None))
            self._not_before = time.monotonic() + FAILED_SECONDS
        finally:
            self._building = None

    async def _record(self, copy: ListCopy | None) -> None:
        if copy is None:
            # What comes while the first file is built may make it one that lacks too much to be used.
            changes, changes_max = int(self._building is not None), 0
        else:
            changes, changes_max = len(copy.engine.overlay), _limit(copy, PACE_CHANGES_MIN, PACE_CHANGES_SHARE)
        if time.monotonic() - self._recorded_at < RECORD_SECONDS and 2 * changes < changes_max:
            return
        async with self._database.connection() as connection:
            await build_store.record_builder(
                connection, self._standings.folder.builder, changes=changes, changes_max=changes_max
            )
        # What was above the limit is said anew as soon as it is not.
        self._recorded_at = time.monotonic() if 2 * changes < changes_max else -RECORD_SECONDS


def is_build_due(copy: ListCopy | None, now: datetime, *, patience: int = 1) -> bool:
    """Whether a new file is wanted; no copy means that a large list has no file that can be used."""
    if copy is None:
        return True
    changes = len(copy.engine.overlay)
    if changes > patience * _limit(copy, CHANGES_MIN, CHANGES_SHARE):
        return True
    if copy.engine.table is None or changes == 0:
        return False
    return now - datetime.fromisoformat(copy.engine.table.header.built_at) > patience * AGE_MAX


async def wait_for_builders(connection: Connection) -> None:
    """Wait while a builder that is alive has more changes to take in than it may; one that is dead holds up nobody."""
    while await build_store.is_builder_behind(connection, ALIVE_WITHIN):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(WAIT_SECONDS)


def _limit(copy: ListCopy, least: int, share: float) -> int:
    return max(least, int(share * copy.keys))
