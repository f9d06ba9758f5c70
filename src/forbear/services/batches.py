"""Batches of entries: who is at one, and taking one back.

Undoing lifts an entry only if every assertion in its history belongs to the batch: whatever anybody else has
asserted, before or since, stays (P5).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from forbear.domain.errors import Busy, NotFound, NothingToUndo
from forbear.services.context import Context
from forbear.services.index_keeper import wait_for_builders
from forbear.store import Connection
from forbear.store import batch as batch_store
from forbear.store import contact_rows as contact_rows_store
from forbear.store import import_rows as import_store
from forbear.store.batch import Batch, BatchStatus

PAGE_ROWS: Final = 5000
STALE_AFTER: Final = timedelta(days=1)
"""A batch that nobody has applied by then is given up, because its rows hold sealed addresses."""

Progress = Callable[[int], None]
"""Told how much is done by now: characters read, entries written or looked at."""


@dataclass(frozen=True, slots=True)
class Held:
    """A batch that no other process works on while this is held."""

    batch: Batch
    connection: Connection


@dataclass(frozen=True, slots=True)
class Undone:
    """How many entries were lifted, over all attempts, and how many somebody else had asserted too."""

    lifted: int
    kept: int


async def list_batches(context: Context, *, limit: int = 100) -> list[Batch]:
    """The newest batches first."""
    async with context.database.connection() as connection:
        return await batch_store.list_batches(connection, limit)


async def get_batch(context: Context, batch_id: int) -> Batch:
    """One batch. Raises `NotFound`."""
    async with context.database.connection() as connection:
        return await _get(connection, batch_id)


@asynccontextmanager
async def hold_batch(context: Context, batch_id: int) -> AsyncIterator[Held]:
    """Work on a batch alone. Raises `NotFound`, and `Busy` while another process is at it."""
    async with context.database.connection() as connection:
        await _get(connection, batch_id)
        if not await batch_store.try_lock_batch(connection, batch_id):
            raise Busy(f"another process is at batch {batch_id}")
        # The lock goes when the pool takes the connection back.
        yield Held(await _get(connection, batch_id), connection)


async def undo_batch(context: Context, batch_id: int, *, actor: str, on_progress: Progress | None = None) -> Undone:
    """Take a batch back; one that was never applied is discarded. After a crash, the same call goes on.

    Erasures stay: what identified the person is gone already. Raises `NothingToUndo`, `NotFound` or `Busy`.
    """
    async with hold_batch(context, batch_id) as held:
        status, connection = held.batch.status, held.connection
        if status in {BatchStatus.UNDONE, BatchStatus.DISCARDED}:
            raise NothingToUndo(f"batch {batch_id} is {status} already")
        if status in {BatchStatus.STAGING, BatchStatus.STAGED}:
            await discard_held(held)
            return Undone(0, 0)
        await batch_store.set_batch_status(connection, batch_id, BatchStatus.UNDOING)
        await _delete_rows(held)
        kept = await _undo_entries(held, actor, on_progress)
        await batch_store.set_batch_status(connection, batch_id, BatchStatus.UNDONE)
        batch = await _get(connection, batch_id)
    return Undone(batch.count("lifted"), kept + batch.count("already"))


async def discard_stale(context: Context) -> int:
    """Give up batches that were read and never applied for a day; how many there were."""
    async with context.database.connection() as connection:
        stale = await batch_store.list_stale_batches(connection, context.now() - STALE_AFTER)
    discarded = 0
    for batch_id in stale:
        try:
            async with hold_batch(context, batch_id) as held:
                discarded += await discard_held(held)
        except Busy:
            continue
    return discarded


async def discard_held(held: Held) -> bool:
    """Give up a held batch that was not applied; False when it has gone further meanwhile."""
    if held.batch.status not in {BatchStatus.STAGING, BatchStatus.STAGED, BatchStatus.DISCARDED}:
        return False
    # The status comes first: a batch of which only a part is left must not be applied.
    await batch_store.set_batch_status(held.connection, held.batch.id, BatchStatus.DISCARDED)
    await _delete_rows(held)
    return True


async def _get(connection: Connection, batch_id: int) -> Batch:
    batch = await batch_store.find_batch(connection, batch_id)
    if batch is None:
        raise NotFound(f"there is no batch {batch_id}")
    return batch


async def _delete_rows(held: Held) -> None:
    for delete in (import_store.delete_rows, contact_rows_store.delete_contact_rows):
        while await delete(held.connection, held.batch.id, PAGE_ROWS):
            pass


async def _undo_entries(held: Held, actor: str, on_progress: Progress | None) -> int:
    """Go once through all entries of the batch; how many stay."""
    connection, batch_id = held.connection, held.batch.id
    above = seen = lifted = 0
    while page := await batch_store.list_standing_entries(connection, batch_id, above=above, limit=PAGE_ROWS):
        await wait_for_builders(connection)
        async with connection.transaction():
            undone = await batch_store.undo_entries(connection, batch_id, page, actor=actor)
            await batch_store.add_batch_counts(connection, batch_id, {"lifted": undone})
        above, seen, lifted = page[-1], seen + len(page), lifted + undone
        if on_progress:
            on_progress(seen)
    return seen - lifted
