"""What people were asked to confirm, and what an answer takes away: bounces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Source
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("confirmation")


class ConfirmationKind(StrEnum):
    """What is confirmed."""

    SUBSCRIBE = "subscribe"
    RETURN = "return"
    CHANGE_EMAIL = "change_email"


@dataclass(frozen=True, slots=True)
class ConfirmationRow:
    """One confirmation; it is open while it is neither used nor closed."""

    kind: ConfirmationKind
    fingerprint: Fingerprint
    sealed: bytes
    asked_at: datetime
    is_used: bool
    is_closed: bool


async def add_confirmation(
    connection: Connection,
    confirmation_id: UUID,
    kind: ConfirmationKind,
    *,
    fingerprint: Fingerprint,
    sealed: bytes,
    lifetime: timedelta,
) -> None:
    """Open a confirmation."""
    await connection.execute(_SQL["add_confirmation"], confirmation_id, kind.value, fingerprint, sealed, lifetime)


async def find_confirmation(connection: Connection, confirmation_id: UUID) -> ConfirmationRow | None:
    """One confirmation by id."""
    row = await connection.fetchrow(_SQL["find_confirmation"], confirmation_id)
    if row is None:
        return None
    return ConfirmationRow(
        ConfirmationKind(row["kind"]),
        Fingerprint(row["fingerprint"]),
        row["sealed"],
        row["asked_at"],
        row["is_used"],
        row["is_closed"],
    )


async def use_confirmation(connection: Connection, confirmation_id: UUID) -> bool:
    """Use a confirmation up; False where it was used before, or is closed."""
    return await connection.fetchval(_SQL["use_confirmation"], confirmation_id) is not None


async def has_hard_bounced(connection: Connection, fingerprint: Fingerprint) -> bool:
    """Whether messages to an address are known to come back for good."""
    return bool(await connection.fetchval(_SQL["has_hard_bounced"], fingerprint))


async def lift_bounces(
    connection: Connection, fingerprint: Fingerprint, *, source: Source, actor: str, sealed_evidence: bytes
) -> int:
    """Lift the bounces of an address; how many there were."""
    return len(await connection.fetch(_SQL["lift_bounces"], fingerprint, source.value, actor, sealed_evidence))


async def delete_confirmations_of(connection: Connection, fingerprint: Fingerprint) -> int:
    """Delete what an address was asked to confirm; how many there were."""
    return _count(await connection.execute(_SQL["delete_confirmations_of"], fingerprint))


async def delete_old_confirmations(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` confirmations that closed before a moment; how many there were."""
    return _count(await connection.execute(_SQL["delete_old_confirmations"], before, limit))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
