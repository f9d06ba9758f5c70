"""Building the index file: an ordered read of one moment of the list, in constant memory, by one process at a time.

Whoever dies in the middle leaves a file aside that the next build removes, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from forbear.domain.errors import ListUnavailable
from forbear.index.kernels.blake2s import Words
from forbear.index.rule_rows import KeyRuns, RowReader
from forbear.index.rules import RuleBook
from forbear.index.table import Header, TableWriter
from forbear.services.adoption import adopt_list
from forbear.services.index_folder import IndexFolder
from forbear.services.list_copy import ListCopy
from forbear.services.standings import Standings
from forbear.store import Database
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

ROUND_SECONDS: Final = 2.0
FAILED_SECONDS: Final = 60.0

PATIENCE_WITHOUT_BUILDER: Final = 3
"""A process that is no builder waits until this many times the changes have come: perhaps its machine has no worker."""

_SORT_MEMORY: Final = "128MB"
_PIECE_BYTES: Final = 4 * 1024 * 1024
_XIPS_MAX: Final = 64
_log = structlog.get_logger()


async def build_index(database: Database, folder: IndexFolder) -> Path | None:
    """Build a file of the list as it is now, and remove the older ones; None when another process is building.

    Raises `ListUnavailable`.
    """
    with folder.lock() as is_ours:
        if not is_ours:
            return None
        began = time.monotonic()
        path = folder.begin()
        keys = await _write_file(database, folder, path)
        folder.keep_only(path)
        _log.info("index_built", file=path.name, keys=keys, seconds=round(time.monotonic() - began, 1))
        return path


def is_build_due(copy: ListCopy | None, now: datetime, *, patience: int = 1) -> bool:
    """Whether a new file is wanted; no copy means that a large list has no file that can be used."""
    if copy is None:
        return True
    changes = len(copy.engine.overlay)
    if changes > patience * _limit(copy, CHANGES_MIN, CHANGES_SHARE):
        return True
    table = copy.engine.table
    return (
        table is not None and changes > 0 and now - datetime.fromisoformat(table.header.built_at) > patience * AGE_MAX
    )


async def look_after_index(database: Database, standings: Standings, *, is_builder: bool) -> None:
    """Call `keep_index` again and again, until this is cancelled."""
    while True:
        pause = ROUND_SECONDS
        try:
            await keep_index(database, standings, is_builder=is_builder)
        except ListUnavailable:
            pass  # whoever asks the list says so
        except Exception as error:  # noqa: BLE001 - the edge of a task that must go on
            # No room, or no right to write: decisions go on with the file there is, or ask PostgreSQL itself.
            _log.warning("index_not_built", error=type(error).__name__, detail=getattr(error, "strerror", None))
            pause = FAILED_SECONDS
        await asyncio.sleep(pause)


async def keep_index(database: Database, standings: Standings, *, is_builder: bool) -> None:
    """One round of looking after the list and its index file: adopt, say how far behind it is, build where due.

    Only builders adopt and are waited for by imports; others build when nobody else has for long.
    """
    if is_builder:
        async with database.connection() as connection:
            await adopt_list(connection)
    await standings.take_newer_file()
    await standings.catch_up()
    copy = standings.copy
    if is_builder and copy is not None:
        async with database.connection() as connection:
            await build_store.record_builder(
                connection,
                standings.folder.builder,
                changes=len(copy.engine.overlay),
                changes_max=_limit(copy, PACE_CHANGES_MIN, PACE_CHANGES_SHARE),
            )
    if is_build_due(copy, datetime.now(UTC), patience=1 if is_builder else PATIENCE_WITHOUT_BUILDER):
        await build_index(database, standings.folder)


def _limit(copy: ListCopy, least: int, share: float) -> int:
    return max(least, int(share * copy.keys))


async def _write_file(database: Database, folder: IndexFolder, path: Path) -> int:
    async with build_store.open_build(database, _SORT_MEMORY) as connection:
        point = await build_store.read_build_point(connection)
        counts = await build_store.count_rules(connection)
        mark = uuid4()
        header = Header(
            folder.origin(point.identity),
            str(point.position.shorten(_XIPS_MAX)),
            mark.hex,
            datetime.now(UTC).isoformat(),
            counts.has_domains,
        )
        writer = _FileWriter(TableWriter(path, header, counts.keys_max), counts.scopes)
        try:
            await build_store.copy_rules(connection, counts.scopes, writer.take)
            keys = await writer.drain()
            # On record before it can be found; the record is later than all that is in the file.
            async with database.connection() as recorder:
                await build_store.add_build(recorder, folder.builder, mark, keys)
            await asyncio.to_thread(writer.finish)
        finally:
            writer.close()
    return keys


class _FileWriter:
    """Gathers COPY's small pieces into large ones; a thread works on one while the next comes in."""

    def __init__(self, table: TableWriter, scopes: list[str]) -> None:
        self._table = table
        self._book = RuleBook()
        self._reader = RowReader()
        self._runs = KeyRuns(self._book, scopes)
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._keys = 0
        self._work: asyncio.Task[None] | None = None

    async def take(self, data: bytes) -> None:
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= _PIECE_BYTES:
            await self._hand_over()

    async def drain(self) -> int:
        """Write what is left; how many keys there are."""
        await self._hand_over()
        await self._wait()
        await asyncio.to_thread(self._end)
        return self._keys

    def finish(self) -> None:
        self._table.finish(self._book)

    def close(self) -> None:
        self._table.close()

    async def _hand_over(self) -> None:
        await self._wait()
        data, self._pieces, self._gathered = b"".join(self._pieces), [], 0
        self._work = asyncio.create_task(asyncio.to_thread(self._write, data))

    async def _wait(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            await work

    def _write(self, data: bytes) -> None:
        self._add(*self._runs.add(self._reader.read(data)))

    def _end(self) -> None:
        self._reader.close()
        self._add(*self._runs.close())

    def _add(self, keys: Words, numbers: Words) -> None:
        self._table.add(keys, numbers)
        self._keys += len(keys)
