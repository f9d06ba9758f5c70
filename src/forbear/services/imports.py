"""Imports: a suppression file becomes one batch, which is looked at, applied, resumed after a crash, and undone.

An import only ever asserts (P5): it lifts nothing, narrows nothing and overrides nothing. Every row of the file is
accounted for: rows = taken + duplicates + rejected.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

from forbear.domain.address import CANON_VERSION
from forbear.domain.errors import Busy, InvalidImport, InvalidInput
from forbear.domain.export_form import name_keys
from forbear.domain.party import is_sharing_scope
from forbear.domain.suppression import Reason
from forbear.services.batches import Held, Progress, discard_held, get_batch, hold_batch
from forbear.services.contact_imports import apply_contacts
from forbear.services.context import Context
from forbear.services.import_file import ImportFile, RejectSink, RowMaker, RowRules, Staged, count_refusals
from forbear.services.index_keeper import wait_for_builders
from forbear.services.scopes import add_scope, find_unregistered, require_scopes
from forbear.store import Connection
from forbear.store import batch as batch_store
from forbear.store import import_rows as import_store
from forbear.store.batch import Batch, BatchStatus
from forbear.store.import_rows import KeyRange, PageCount, split_keys

CHUNK_ROWS: Final = 10_000
"""Rows read and staged at a time."""

PAGE_ROWS: Final = 5_000
"""Rows applied in one transaction; a click on one of them may have to wait for it."""

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller says about a file; `reason` and `scope` None mean what each row says itself."""

    name: str
    reason: Reason | None
    scope: str | None
    actor: str


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What applying a staged import would do now; the counts per reason and scope are of entries, not of rows."""

    batch: Batch
    counts: Sequence[PageCount]
    duplicates: int

    def total(self, state: str) -> int:
        """Entries of a state: `added`, `revived` or `already`."""
        return sum(count.entries for count in self.counts if count.state == state)

    @property
    def taken(self) -> int:
        """Rows that count."""
        return sum(count.entries for count in self.counts)


async def stage_import(
    context: Context,
    source: BinaryIO,
    options: ImportOptions,
    *,
    on_progress: Progress | None = None,
    rejects: RejectSink | None = None,
) -> Batch:
    """Read a file of any size and stage its rows, in constant memory; nothing is suppressed yet.

    `on_progress` is told how many characters were read. Raises `InvalidImport` or `InvalidList` where the file
    cannot be read at all, `UnknownScope`, `ListUnavailable`; whatever was staged is then discarded.
    """
    await _check(context, options)
    file = await asyncio.to_thread(ImportFile, source, options.name, context.options.record_bytes_max)
    _check_layout(file, options)
    async with context.database.connection() as connection:
        batch_id = await batch_store.add_batch(connection, options.name, options.actor)
    async with hold_batch(context, batch_id) as held:
        try:
            await _stage(context, held, file, options, on_progress, rejects)
        except BaseException:
            # Where this fails too the batch stays `staging`: it is never applied, and the worker gives it up later.
            with suppress(Exception):
                await asyncio.shield(discard_held(held))
            raise
    return await get_batch(context, batch_id)


async def preview_import(context: Context, batch_id: int) -> ImportPreview:
    """Count what applying a staged import would do."""
    async with hold_batch(context, batch_id) as held:
        _require(held.batch, BatchStatus.STAGED, BatchStatus.APPLYING)
        found: Counter[tuple[Reason, str, str]] = Counter()
        copies = 0
        for keys in _pages_of(held.batch):
            async with held.connection.transaction():
                await import_store.set_page_plan(held.connection)
                for count in await import_store.count_page(held.connection, batch_id, keys):
                    found[count.reason, count.scope, count.state] += count.entries
                    copies += count.copies
    counts = [PageCount(*key, entries, 0) for key, entries in sorted(found.items())]
    return ImportPreview(held.batch, counts, copies + held.batch.count("duplicates"))


async def apply_import(context: Context, batch_id: int, *, on_progress: Progress | None = None) -> Batch:
    """Assert the staged rows, page by page; after a crash at any point the same call goes on.

    `on_progress` is told how many rows are done. Raises `Busy` when another process is at it, and
    `InvalidInput` when the batch was not read to its end, was applied already or was given up.
    """
    async with hold_batch(context, batch_id) as held:
        _require(held.batch, BatchStatus.STAGED, BatchStatus.APPLYING)
        for scope in held.batch.facts["new_scopes"]:
            await add_scope(context, scope, {})
        await batch_store.set_batch_status(held.connection, batch_id, BatchStatus.APPLYING)
        for _ in range(_ATTEMPTS):
            if not await import_store.has_rows(held.connection, batch_id):
                break
            await _apply_pages(context, held, on_progress)
        else:
            raise Busy(f"others keep writing the same entries: resume batch {batch_id}")
        await apply_contacts(context, held, on_progress)
        await batch_store.set_batch_status(held.connection, batch_id, BatchStatus.APPLIED)
    return await get_batch(context, batch_id)


async def discard_import(context: Context, batch_id: int) -> None:
    """Give up an import that was not applied. Raises `InvalidInput` when it was."""
    async with hold_batch(context, batch_id) as held:
        if not await discard_held(held):
            raise InvalidInput(f"batch {batch_id} is {held.batch.status}: undo it instead")


async def _check(context: Context, options: ImportOptions) -> None:
    if options.reason is Reason.ERASED:
        raise InvalidInput("addresses are erased one by one, not by an import")
    if options.scope is not None:
        await require_scopes(context, {options.scope})


def _check_layout(file: ImportFile, options: ImportOptions) -> None:
    layout = file.layout
    if options.reason is None and not layout.has_reasons:
        raise InvalidImport(f"this is a {layout.format}, which says no reasons: give one for all")
    if options.scope is None and not layout.is_own:
        raise InvalidImport("say for which scope these addresses are suppressed ('*' for everything)")


async def _stage(
    context: Context,
    held: Held,
    file: ImportFile,
    options: ImportOptions,
    on_progress: Progress | None,
    rejects: RejectSink | None,
) -> None:
    rules = RowRules(
        options.reason,
        options.scope,
        context.now(),
        context.options.wide_matching,
        name_keys(context.keyring, CANON_VERSION),
    )
    maker = RowMaker(file.layout, rules, context.keyring, held.batch.id)
    counts: Counter[str] = Counter()
    rejected_by: Counter[str] = Counter()
    if rejects is not None:
        rejects.begin(file.header)
    chunk = await asyncio.to_thread(_make_chunk, file, maker)
    while chunk.records:
        # The next chunk is read and sealed while this one is on its way to PostgreSQL.
        coming = asyncio.create_task(asyncio.to_thread(_make_chunk, file, maker))
        try:
            await import_store.add_rows(held.connection, chunk.rows)
        finally:
            following = await coming
        counts.update(rows=chunk.records, staged=len(chunk.rows), duplicates=chunk.copies, rejected=len(chunk.rejected))
        rejected_by += count_refusals(chunk.rejected)
        _tell(chunk, file, on_progress, rejects)
        chunk = following
        _heed_cancellation()
    unknown = await find_unregistered(context, maker.scopes)
    # A choice about a party that is not registered here stands all the same.
    new_scopes = sorted(name for name in unknown if not is_sharing_scope(name))
    facts = {"format": file.layout.format, "rejected_by": dict(rejected_by), "new_scopes": new_scopes}
    await batch_store.set_batch_facts(held.connection, held.batch.id, {**facts, **counts})
    await batch_store.set_batch_status(held.connection, held.batch.id, BatchStatus.STAGED)


def _heed_cancellation() -> None:
    """Break off where somebody has asked to: a library that has its answer already may swallow the request."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _make_chunk(file: ImportFile, maker: RowMaker) -> Staged:
    return maker.make(file.read(CHUNK_ROWS))


def _tell(chunk: Staged, file: ImportFile, on_progress: Progress | None, rejects: RejectSink | None) -> None:
    if rejects is not None:
        for row in chunk.rejected:
            rejects.add(row)
    if on_progress:
        on_progress(file.characters)


async def _apply_pages(context: Context, held: Held, on_progress: Progress | None) -> None:
    """Apply all pages over two connections, since PostgreSQL gives each but one core; no two pages share a row."""
    batch = held.batch
    pages = _pages_of(batch)
    waiting, done = iter(pages), 0

    async def work(connection: Connection) -> None:
        nonlocal done
        for keys in waiting:
            await wait_for_builders(connection)
            await _apply_page(connection, batch, keys)
            done += 1
            if on_progress:
                on_progress(batch.count("staged") * done // len(pages))

    async with context.database.connection() as second:
        workers = [asyncio.create_task(work(connection)) for connection in (held.connection, second)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _apply_page(connection: Connection, batch: Batch, keys: KeyRange) -> None:
    async with connection.transaction():
        await import_store.set_page_plan(connection)
        page = await import_store.apply_page(connection, batch.id, keys, actor=batch.actor)
        counts = {"added": page.added, "revived": page.revived, "already": page.already, "duplicates": page.copies}
        # Last, because it locks the batch's own row, for which the other connection waits.
        await batch_store.add_batch_counts(connection, batch.id, counts)


def _pages_of(batch: Batch) -> list[KeyRange]:
    return split_keys(1 + batch.count("staged") // PAGE_ROWS)


def _require(batch: Batch, *wanted: BatchStatus) -> None:
    if batch.status in wanted:
        return
    if batch.status is BatchStatus.STAGING:
        raise InvalidInput(f"the file of batch {batch.id} was not read to its end: import it again")
    raise InvalidInput(f"batch {batch.id} is {batch.status} already")
