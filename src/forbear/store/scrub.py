"""The records of scrubs: what was asked, how far it came, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from forbear.domain.suppression import Channel
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("scrub")


@dataclass(frozen=True, slots=True)
class ScrubRow:
    """One scrub; counts and error as the service wrote them."""

    id: UUID
    status: str
    actor: str
    channel: Channel
    purpose: str
    scope: str
    campaign: str | None
    as_of: datetime | None
    counts: Mapping[str, object]
    error: Mapping[str, object] | None
    duration_seconds: float


async def add_scrub(
    connection: Connection,
    scrub_id: UUID,
    *,
    actor: str,
    channel: Channel,
    purpose: str,
    scope: str,
    campaign: str | None,
) -> None:
    """Open the record of a scrub."""
    await connection.execute(_SQL["add_scrub"], scrub_id, actor, channel.value, purpose, scope, campaign)


async def update_scrub(
    connection: Connection,
    scrub_id: UUID,
    *,
    status: str,
    as_of: datetime | None,
    counts: Mapping[str, object],
    error: Mapping[str, object] | None,
) -> None:
    """Write how far a scrub has come, or how it ended."""
    await connection.execute(_SQL["update_scrub"], scrub_id, status, as_of, dict(counts), error and dict(error))


async def find_scrub(connection: Connection, scrub_id: UUID) -> ScrubRow | None:
    """One scrub by id."""
    row = await connection.fetchrow(_SQL["find_scrub"], scrub_id)
    if row is None:
        return None
    return ScrubRow(
        id=row["id"],
        status=row["status"],
        actor=row["actor"],
        channel=Channel(row["channel"]),
        purpose=row["purpose"],
        scope=row["scope"],
        campaign=row["campaign"],
        as_of=row["as_of"],
        counts=row["row_counts"],
        error=row["error"],
        duration_seconds=row["duration_seconds"],
    )


async def delete_old_scrubs(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` records that began before a moment; how many there were."""
    status = await connection.execute(_SQL["delete_old_scrubs"], before, limit)
    return int(status.rpartition(" ")[2])
