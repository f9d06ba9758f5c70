"""Contacts of a file between the file and the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from forbear.domain.fingerprint import Fingerprint
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("contact_rows")


class StagedContact(NamedTuple):
    """One row on its way in: the points and hints in columns of their own, the consents as JSON."""

    batch_id: int
    place: int
    external_id: str
    language: str | None
    country: str | None
    sealed_name: bytes | None
    channels: Sequence[str]
    fingerprints: Sequence[Fingerprint]
    sealed_points: Sequence[bytes]
    hint_kinds: Sequence[str]
    hints: Sequence[Fingerprint]
    consents: str


class ContactPut(NamedTuple):
    """A contact to be written; None leaves what is there."""

    external_id: str
    language: str | None
    country: str | None
    sealed_name: bytes | None


async def add_contact_rows(connection: Connection, rows: Sequence[StagedContact]) -> None:
    """Stage rows by COPY, in a transaction of their own unless there is one."""
    await connection.copy_records_to_table("contact_rows", records=rows, columns=list(StagedContact._fields))


async def take_contact_rows(connection: Connection, batch_id: int, first: int, end: int) -> list[StagedContact]:
    """Take rows off the stage, in their order. Needs a transaction."""
    rows = await connection.fetch(_SQL["take_contact_rows"], batch_id, first, end)
    return sorted((StagedContact(batch_id, *row.values()) for row in rows), key=lambda row: row.place)


async def count_contact_rows(connection: Connection, batch_id: int) -> tuple[int, int]:
    """How many staged contacts are new, and how many are known."""
    row = await connection.fetchrow(_SQL["count_contact_rows"], batch_id)
    return (0, 0) if row is None else (row["added"], row["changed"])


async def find_last_place(connection: Connection, batch_id: int) -> int | None:
    """The last place that is still staged, or None."""
    place: int | None = await connection.fetchval(_SQL["find_last_place"], batch_id)
    return place


async def put_contacts(connection: Connection, contacts: Sequence[ContactPut]) -> tuple[dict[str, int], int]:
    """Write contacts down, each external id once; their ids, and how many are new."""
    columns = [list(column) for column in zip(*contacts, strict=True)]
    rows = await connection.fetch(_SQL["put_contacts"], *columns)
    return {row["external_id"]: row["id"] for row in rows}, sum(row["is_new"] for row in rows)


async def delete_contact_rows(connection: Connection, batch_id: int, limit: int) -> int:
    """Delete up to `limit` staged rows; how many there were."""
    return int((await connection.execute(_SQL["delete_contact_rows"], batch_id, limit)).rpartition(" ")[2])
