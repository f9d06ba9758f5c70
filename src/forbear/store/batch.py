"""Batches: entries that were made together, and can be undone together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("batch")


class BatchStatus(StrEnum):
    """How far a batch has come."""

    STAGING = "staging"
    STAGED = "staged"
    APPLYING = "applying"
    APPLIED = "applied"
    UNDOING = "undoing"
    UNDONE = "undone"
    DISCARDED = "discarded"


_UNDER_WAY = frozenset({BatchStatus.STAGING, BatchStatus.APPLYING, BatchStatus.UNDOING})


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch; `is_running` says that a process is at it now."""

    id: int
    name: str
    status: BatchStatus
    actor: str
    facts: Mapping[str, Any]
    """Counts and what else was found in the file: see `services.imports`."""
    created_at: datetime
    ended_at: datetime | None
    is_running: bool

    @property
    def is_interrupted(self) -> bool:
        """Whether its process died in the middle."""
        return self.status in _UNDER_WAY and not self.is_running

    def count(self, name: str) -> int:
        """One of its counts."""
        return int(self.facts.get(name, 0))


async def add_batch(connection: Connection, name: str, actor: str) -> int:
    """Open a batch that is being staged; its id."""
    batch_id: int = await connection.fetchval(_SQL["add_batch"], name, actor)
    return batch_id


async def take_batch(connection: Connection, name: str, actor: str) -> int:
    """The batch of this name that is applied as it grows, opened at its first entry; its id."""
    batch_id: int = await connection.fetchval(_SQL["take_batch"], name, actor)
    return batch_id


async def find_batch(connection: Connection, batch_id: int) -> Batch | None:
    """One batch by id."""
    row = await connection.fetchrow(_SQL["find_batch"], batch_id)
    return None if row is None else _batch(dict(row))


async def list_batches(connection: Connection, limit: int) -> list[Batch]:
    """The newest batches first."""
    return [_batch(dict(row)) for row in await connection.fetch(_SQL["list_batches"], limit)]


async def list_stale_batches(connection: Connection, before: datetime) -> list[int]:
    """Batches that were opened before a moment and never applied, and what is left of others given up."""
    return [row["id"] for row in await connection.fetch(_SQL["list_stale_batches"], before)]


async def try_lock_batch(connection: Connection, batch_id: int) -> bool:
    """Take a batch for this connection; False when another has it."""
    return bool(await connection.fetchval(_SQL["try_lock_batch"], batch_id))


async def set_batch_status(connection: Connection, batch_id: int, status: BatchStatus) -> None:
    """Move a batch on. The caller holds it."""
    await connection.execute(_SQL["set_batch_status"], batch_id, status.value)


async def set_batch_facts(connection: Connection, batch_id: int, facts: Mapping[str, object]) -> None:
    """Write down what was found while its rows were staged."""
    await connection.execute(_SQL["set_batch_facts"], batch_id, dict(facts))


async def add_batch_counts(connection: Connection, batch_id: int, counts: Mapping[str, int]) -> None:
    """Add to its counts, in the transaction that did what they count."""
    await connection.execute(_SQL["add_batch_counts"], batch_id, dict(counts))


async def list_standing_entries(connection: Connection, batch_id: int, *, above: int, limit: int) -> list[int]:
    """Ids of entries that the batch made or revived and that stand, erasures left out."""
    rows = await connection.fetch(_SQL["list_standing_entries"], batch_id, above, limit)
    return [row["id"] for row in rows]


async def undo_entries(connection: Connection, batch_id: int, entry_ids: Sequence[int], *, actor: str) -> int:
    """Lift those of the entries that only this batch asserted; how many. Needs a transaction at READ COMMITTED.

    Every assertion locks its entry first. So once all are locked, a new statement sees whatever was asserted
    before, and whoever comes later finds the entry lifted and revives it.
    """
    await connection.execute(_SQL["lock_batch_entries"], entry_ids)
    status = await connection.execute(_SQL["undo_entries"], entry_ids, batch_id, actor)
    return int(status.rpartition(" ")[2])


def _batch(values: Mapping[str, Any]) -> Batch:
    return Batch(
        id=values["id"],
        name=values["name"],
        status=BatchStatus(values["status"]),
        actor=values["actor"],
        facts=values["row_counts"],
        created_at=values["created_at"],
        ended_at=values["ended_at"],
        is_running=values["is_running"],
    )
