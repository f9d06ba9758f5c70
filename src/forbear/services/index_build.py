"""Building the index file: an ordered read of one moment of the list, in constant memory, by one process at a time.

Whoever dies in the middle leaves a file aside that the next build removes, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from forbear.index.kernels.blake2s import Words
from forbear.index.rule_rows import KeyRuns, RowReader
from forbear.index.rules import RuleBook
from forbear.index.table import Header, TableWriter
from forbear.services.index_folder import IndexFolder
from forbear.store import Database
from forbear.store import index_build as build_store

PROGRESS_SECONDS: Final = 10.0
"""How often a build says how far it is; before its first key PostgreSQL sorts, which takes about half of the time."""
_SORT_MEMORY: Final = "128MB"
_PIECE_BYTES: Final = 4 * 1024 * 1024
_XIPS_MAX: Final = 64
"""Open transactions that the header of a file has room for."""
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


async def _write_file(database: Database, folder: IndexFolder, path: Path) -> int:
    async with build_store.open_build(database, _SORT_MEMORY) as connection:
        point = await build_store.read_build_point(connection)
        counts = await build_store.count_rules(connection)
        _log.info("index_building", file=path.name, keys=0, keys_max=counts.keys_max)
        mark = uuid4()
        header = Header(
            folder.origin(point.identity),
            str(point.position.shorten(_XIPS_MAX)),
            mark.hex,
            datetime.now(UTC).isoformat(),
            counts.has_domains,
        )
        writer = _FileWriter(TableWriter(path, header, counts.keys_max), counts.scopes, path.name)
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

    def __init__(self, table: TableWriter, scopes: list[str], name: str) -> None:
        self._name = name
        self._said_at = time.monotonic()
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
        if time.monotonic() - self._said_at > PROGRESS_SECONDS:
            self._said_at = time.monotonic()
            _log.info("index_building", file=self._name, keys=self._keys)

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
