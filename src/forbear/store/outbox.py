"""The outbox: messages on their way out, emptied once they have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from forbear.domain.fingerprint import Fingerprint
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("outbox")


class MessageStatus(StrEnum):
    """How far a message has come; all but the first two are ends."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    REFUSED = "refused"
    WITHHELD = "withheld"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that this worker holds; `is_offered` says that an earlier attempt may have delivered it."""

    id: int
    mark: UUID
    kind: str
    sealed: bytes
    queued_at: datetime
    attempts: int
    is_offered: bool


async def add_message(
    connection: Connection, mark: UUID, *, kind: str, fingerprint: Fingerprint, sealed: bytes, lifetime: timedelta
) -> int:
    """Put a message into the outbox; its number."""
    number: int = await connection.fetchval(_SQL["add_message"], mark, kind, fingerprint, sealed, lifetime)
    return number


async def claim_messages(connection: Connection, holder: UUID, hold: timedelta, limit: int) -> list[ClaimedMessage]:
    """Take up to `limit` messages that are due; they are this holder's for `hold`."""
    rows = await connection.fetch(_SQL["claim_messages"], holder, hold, limit)
    return [
        ClaimedMessage(
            row["id"], row["mark"], row["kind"], row["sealed"], row["queued_at"], row["attempts"], row["is_offered"]
        )
        for row in rows
    ]


async def offer_message(connection: Connection, number: int, holder: UUID, hold: timedelta) -> bool:
    """Say that a message is about to be handed over; False where it is no longer this holder's."""
    return await connection.fetchval(_SQL["offer_message"], number, holder, hold) is not None


async def end_message(
    connection: Connection, number: int, holder: UUID, status: MessageStatus, code: int | None
) -> None:
    """Write down how a message ended, and empty it; nothing where it is no longer this holder's."""
    await connection.execute(_SQL["end_message"], number, holder, status.value, code)


async def postpone_message(
    connection: Connection, number: int, holder: UUID, *, code: int | None, delay: timedelta, is_offered: bool
) -> None:
    """Give a message back, to be tried again after a while."""
    await connection.execute(_SQL["postpone_message"], number, holder, code, delay, is_offered)


async def give_up_messages(connection: Connection, limit: int) -> int:
    """End up to `limit` messages whose time is over; how many there were."""
    return _count(await connection.execute(_SQL["give_up_messages"], limit))


async def withhold_messages(connection: Connection, fingerprint: Fingerprint) -> int:
    """End and empty all messages to one recipient; how many there were."""
    return _count(await connection.execute(_SQL["withhold_messages"], fingerprint))


async def count_messages(connection: Connection) -> Mapping[MessageStatus, int]:
    """How many messages there are of each status, those of none left out."""
    rows = await connection.fetch(_SQL["count_messages"])
    return {MessageStatus(row["status"]): row["number"] for row in rows}


async def find_oldest_waiting(connection: Connection) -> datetime | None:
    """Since when the oldest message that is due waits."""
    found: datetime | None = await connection.fetchval(_SQL["find_oldest_waiting"])
    return found


async def delete_old_messages(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` records of messages that ended before a moment; how many there were."""
    return _count(await connection.execute(_SQL["delete_old_messages"], before, limit))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
