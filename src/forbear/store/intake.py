"""Requests that came by phone, letter, e-mail or in person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from forbear.domain.legal_clock import Jurisdiction, Request
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("intake")


class IntakeChannel(StrEnum):
    """How a request came."""

    PHONE = "phone"
    LETTER = "letter"
    EMAIL = "email"
    IN_PERSON = "in_person"


class Decision(StrEnum):
    """What was decided, about a contact or about the whole."""

    APPLIED = "applied"
    REJECTED = "rejected"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class IntakeDraft:
    """A request as it is written down; `sealed` is what the person gave."""

    channel: IntakeChannel
    request: Request
    scopes: tuple[str, ...]
    jurisdiction: Jurisdiction
    taken_by: str
    reference: str
    received_on: date
    due_on: date
    actor: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class IntakeRow(IntakeDraft):
    """The same with its number, when it was written down, and when nothing of it was left to do."""

    id: int
    taken_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class MatchRow:
    """A contact that may be meant, and what was decided about it."""

    contact_id: int
    external_id: str
    is_certain: bool
    decision: Decision | None = None
    actor: str | None = None
    why: str | None = None
    at: datetime | None = None


async def add_intake(connection: Connection, draft: IntakeDraft) -> int:
    """Write a request down; its number."""
    number: int = await connection.fetchval(
        _SQL["add_intake"],
        draft.channel.value,
        draft.request.value,
        draft.scopes,
        draft.jurisdiction.value,
        draft.taken_by,
        draft.reference,
        draft.received_on,
        draft.due_on,
        draft.actor,
        draft.sealed,
    )
    return number


async def add_matches(connection: Connection, intake_id: int, matches: Sequence[MatchRow]) -> None:
    """Write down which contacts may be meant."""
    columns = zip(*((row.contact_id, row.external_id, row.is_certain) for row in matches), strict=True)
    if matches:
        await connection.execute(_SQL["add_intake_matches"], intake_id, *map(list, columns))


async def add_decision(
    connection: Connection, intake_id: int, contact_id: int | None, decision: Decision, *, actor: str, why: str
) -> bool:
    """Write down a decision; False where one was taken before."""
    values = (intake_id, contact_id, decision.value, actor, why)
    return await connection.fetchval(_SQL["add_intake_decision"], *values) is not None


async def lock_intake(connection: Connection, intake_id: int) -> bool:
    """Keep a request for this transaction; False where there is none."""
    return await connection.fetchval(_SQL["lock_intake"], intake_id) is not None


async def close_intake(connection: Connection, intake_id: int) -> bool:
    """End a request where nothing of it is left to do; whether it ended now."""
    return await connection.fetchval(_SQL["close_intake"], intake_id) is not None


async def find_intake(connection: Connection, intake_id: int) -> IntakeRow | None:
    """One request by number."""
    row = await connection.fetchrow(_SQL["find_intake"], intake_id)
    return None if row is None else _intake(dict(row))


async def list_due_intakes(connection: Connection, after: tuple[date, int], limit: int) -> list[IntakeRow]:
    """Requests of which something is left to do, what is due first first."""
    return [_intake(dict(row)) for row in await connection.fetch(_SQL["list_due_intakes"], *after, limit)]


async def list_intakes(connection: Connection, below: int, limit: int) -> list[IntakeRow]:
    """All requests, the newest first."""
    return [_intake(dict(row)) for row in await connection.fetch(_SQL["list_intakes"], below, limit)]


async def list_matches(connection: Connection, intake_id: int) -> list[MatchRow]:
    """The contacts that may be meant, certain ones first."""
    return [
        MatchRow(
            row["contact_id"],
            row["external_id"],
            row["is_certain"],
            None if row["decision"] is None else Decision(row["decision"]),
            row["actor"],
            row["why"],
            row["at"],
        )
        for row in await connection.fetch(_SQL["list_intake_matches"], intake_id)
    ]


async def delete_old_intakes(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` requests that ended before a moment; how many there were."""
    return int((await connection.execute(_SQL["delete_old_intakes"], before, limit)).rpartition(" ")[2])


def _intake(values: Mapping[str, Any]) -> IntakeRow:
    return IntakeRow(
        channel=IntakeChannel(values["channel"]),
        request=Request(values["request"]),
        scopes=tuple(values["scopes"]),
        jurisdiction=Jurisdiction(values["jurisdiction"]),
        taken_by=values["taken_by"],
        reference=values["reference"],
        received_on=values["received_on"],
        due_on=values["due_on"],
        actor=values["actor"],
        sealed=values["sealed"],
        id=values["id"],
        taken_at=values["taken_at"],
        done_at=values["done_at"],
    )
