"""The scrub: a whole send list in, the rows that may be mailed out.

A list of any size passes in constant memory (but for some 25 bytes a row, to find duplicates), in batches that
overlap: while one is written, the next ones are read and decided. Every batch catches up with the list before it is
decided. A row is never dropped in silence: rows = deliver + sum(suppress) + invalid + duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import structlog

from forbear.domain.contact_point import Given
from forbear.domain.errors import ForbearError, InvalidInput, InvalidList, ListUnavailable, NotFound
from forbear.domain.suppression import Channel
from forbear.index.addresses import Keys
from forbear.index.fingerprint_set import FingerprintSet
from forbear.index.kernels.addresses import INVALID
from forbear.index.list_file import ListFile
from forbear.index.list_formats import Rows, SendList, open_list
from forbear.index.list_layout import ListOptions
from forbear.index.list_rows import Rows as ByteRows
from forbear.index.postal_rows import PostalReader
from forbear.index.rules import DUPLICATE_CODE
from forbear.services.context import Context
from forbear.services.decision import Coded, decide_rows, fingerprint_points, make_reader, require_question
from forbear.services.links import open_link_maker
from forbear.services.scrub_rows import Counts, Output, RowChoice, RowWriter, ScrubOptions
from forbear.store import scrub as scrub_store
from forbear.store.scrub import ScrubRow

BATCH_BYTES: Final = 1024 * 1024
BATCHES_AHEAD: Final = 3
"""Batches decided ahead of the one that is written; what a scrub holds in memory is bounded by both."""
_FRESH_SECONDS: Final = 0.1
"""A batch that waited longer than this for its turn catches up once more, and is decided anew."""
_RECORD_EVERY_SECONDS: Final = 2.0
"""How often a record is written; one that is silent for a minute is taken for that of a process that died."""
_log = structlog.get_logger()

Sink = Callable[[Output], Awaitable[None]]


@dataclass(slots=True)
class _Batch:
    """Records with their fingerprints, and the verdicts that were asked for at `decided_at` (the loop's clock)."""

    rows: Rows
    keys: Keys
    verdicts: Coded = field(init=False)
    decided_at: float = field(init=False)


@dataclass(slots=True)
class Scrub:
    """One run. `counts` and `as_of` grow while it runs; `as_of` is the oldest moment a batch was decided at.

    `file` takes a list that must be whole before it can be read, or is that list already; it is closed at the end.
    """

    context: Context
    id: UUID
    options: ScrubOptions
    actor: str
    file: ListFile = field(default_factory=ListFile)
    counts: Counts = field(default_factory=Counts)
    as_of: datetime | None = None
    status: str = "running"
    is_recorded: bool = True
    """Whether the record, if there is one, says how the run ended; see `record_end`."""
    _failure: Mapping[str, object] | None = field(init=False, default=None)
    _list: SendList[Any] = field(init=False)
    _seen: FingerprintSet = field(init=False, default_factory=FingerprintSet)
    _writer: RowWriter = field(init=False)
    _postal: PostalReader | None = field(init=False, default=None)

    async def run(self, source: AsyncIterator[bytes], sink: Sink) -> None:
        """Filter a list from its first byte to its last.

        Raises `InvalidList` naming row and column, `ListUnavailable`, or whatever source and sink raise; the record
        of the scrub then says `failed`, and how far it came.
        """
        await self._open()
        try:
            self.as_of = await self.context.standings.catch_up()
            await self._pass_all(source, sink)
            self.status = "done"
            await self._record()
        except BaseException as error:
            self.status = "failed"
            await self._record_failure(error)
            raise
        finally:
            self.file.close()

    async def record_end(self) -> None:
        """Write how the run ended, where that could not be written at the time. Raises `ListUnavailable`."""
        await self._record(self._failure)
        self.is_recorded = True

    async def _open(self) -> None:
        question = self.options.question
        await require_question(self.context, question)
        self._postal = PostalReader(self.options.columns) if question.channel is Channel.POST else None
        links = None
        if self.options.links:
            links = await open_link_maker(self.context, question.scope, self.options.campaign)
        # In a thread, because the first list in a format may have to load what reads it.
        self._list = await asyncio.to_thread(self._open_list)
        self._writer = RowWriter(self.options, links, self._list)
        async with self.context.database.connection() as connection:
            await scrub_store.add_scrub(
                connection,
                self.id,
                actor=self.actor,
                channel=question.channel,
                purpose=question.purpose.value,
                scope=question.scope,
                campaign=self.options.campaign or None,
            )

    def _open_list(self) -> SendList[Any]:
        options = ListOptions(
            column=self.options.address_column,
            header=self.options.has_header,
            added_columns=self.options.added_columns,
            record_bytes_max=self.context.options.record_bytes_max,
        )
        return open_list(self.options.format, options, self.file)

    async def _pass_all(self, source: AsyncIterator[bytes], sink: Sink) -> None:
        """Read and decide ahead in other tasks, write in this one, in the order of the list."""
        waiting: asyncio.Queue[asyncio.Task[_Batch] | None] = asyncio.Queue(BATCHES_AHEAD)
        async with _failing_together() as tasks:
            recorder = tasks.create_task(self._record_now_and_then())
            tasks.create_task(self._read_all(source, waiting, tasks))
            while (task := await waiting.get()) is not None:
                await sink(await self._pass(await task))
            await sink(await asyncio.to_thread(self._writer.finish))
            recorder.cancel()

    async def _read_all(
        self,
        source: AsyncIterator[bytes],
        waiting: asyncio.Queue[asyncio.Task[_Batch] | None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        async for chunk in _join_chunks(source):
            await self._put(await asyncio.to_thread(self._list.feed, chunk), waiting, tasks)
        rest = self._list.finish()
        while (rows := await asyncio.to_thread(next, rest, None)) is not None:
            await self._put(rows, waiting, tasks)
        await waiting.put(None)

    async def _put(
        self, rows: Rows | None, waiting: asyncio.Queue[asyncio.Task[_Batch] | None], tasks: asyncio.TaskGroup
    ) -> None:
        if rows is not None and len(rows):
            await waiting.put(tasks.create_task(self._prepare(rows)))

    async def _prepare(self, rows: Rows) -> _Batch:
        """Fingerprint a batch, catch up on its behalf, and decide about it."""
        batch = _Batch(rows, await asyncio.to_thread(self._make_keys, rows))
        await self._decide(batch)
        return batch

    def _make_keys(self, rows: Rows) -> Keys:
        channel = self.options.question.channel
        if channel is Channel.EMAIL:
            return rows.make_keys(self.context.standings.fingerprinter)
        given: Iterable[Given | None] = map(_read_cell, map(rows.cell, range(len(rows))))
        if self._postal is not None and isinstance(rows, ByteRows):
            given = self._postal.read(self._list, rows)
        reader = make_reader(channel, self.options.region)
        return fingerprint_points(self.context, channel, [None if one is None else reader(one) for one in given])

    async def _decide(self, batch: _Batch) -> None:
        batch.decided_at = asyncio.get_running_loop().time()
        batch.verdicts = await decide_rows(self.context, batch.keys, self.options.question)

    async def _pass(self, batch: _Batch) -> Output:
        """The rows of a batch on their way out."""
        if asyncio.get_running_loop().time() - batch.decided_at > _FRESH_SECONDS:
            await self._decide(batch)
        self.as_of = min(self.as_of or batch.verdicts.as_of, batch.verdicts.as_of)
        return await asyncio.to_thread(self._write, batch)

    def _write(self, batch: _Batch) -> Output:
        """Find duplicates, count verdicts, and write the rows that are wanted. Runs in a thread, a batch at a time."""
        codes, is_valid = batch.verdicts.codes, batch.keys.state != INVALID
        is_new = self._seen.add_rows(batch.keys.match, is_valid.astype(np.uint8))
        codes[(is_new == 0) & is_valid] = DUPLICATE_CODE
        self.counts.add(codes)
        return self._writer.write(batch.rows, batch.keys, codes)

    async def _record_now_and_then(self) -> None:
        """Go on recording, also while a slow sender keeps everybody waiting."""
        while True:
            await asyncio.sleep(_RECORD_EVERY_SECONDS)
            with suppress(ListUnavailable):
                await self._record()

    async def _record(self, error: Mapping[str, object] | None = None) -> None:
        self.counts.blank_lines = self._list.blank_lines
        async with self.context.database.connection() as connection:
            await scrub_store.update_scrub(
                connection,
                self.id,
                status=self.status,
                as_of=self.as_of,
                counts=self.counts.as_json(),
                error=error,
            )

    async def _record_failure(self, error: BaseException) -> None:
        self._failure, self.is_recorded = _describe(error), False
        try:
            await asyncio.shield(self.record_end())
        except (ListUnavailable, asyncio.CancelledError):
            # Whoever runs the scrub may try again later; until then the record says `running`, and reads as failed
            # once it has been silent for a while.
            _log.warning("scrub_record_lost", scrub=str(self.id))


async def get_scrub(context: Context, scrub_id: UUID, *, actor: str | None) -> ScrubRow:
    """The record of a scrub; `actor` limits it to one's own. Raises `NotFound`."""
    async with context.database.connection() as connection:
        row = await scrub_store.find_scrub(connection, scrub_id)
    if row is None or (actor is not None and row.actor != actor):
        raise NotFound("there is no such scrub, or it is not yours to see")
    return row


def choose_rows(text: str) -> RowChoice:
    """Read which rows are wanted. Raises `InvalidInput`."""
    try:
        return RowChoice(text)
    except ValueError as error:
        raise InvalidInput("rows is one of: deliver, refused, all") from error


@asynccontextmanager
async def _failing_together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that ends with its first failure itself, not with a group around it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise _first_leaf(group) from group


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


def _read_cell(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _describe(error: BaseException) -> dict[str, object]:
    if isinstance(error, InvalidList):
        return {"row": error.row, "column": error.column, "detail": error.detail}
    if isinstance(error, ForbearError):
        return {"detail": error.detail}
    if isinstance(error, (ConnectionError, asyncio.CancelledError)):
        return {"detail": "it was broken off: whoever asked went away, or the process was ended"}
    if isinstance(error, TimeoutError):
        return {"detail": "it was broken off: no more of the list came"}
    return {"detail": f"it ended by an unexpected error ({type(error).__name__})"}


async def _join_chunks(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks of a size worth a batch."""
    pending: list[bytes] = []
    size = 0
    async for chunk in source:
        pending.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)
