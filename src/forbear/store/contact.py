"""Contacts, where they can be reached, and what they may be known by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from forbear.domain.contact_point import FORM_VERSIONS
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel, Reason
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("contact")


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact as it is kept; its name is sealed, bound to its external id."""

    id: int
    external_id: str
    language: str | None
    country: str | None
    notice_channel: Channel
    sealed_name: bytes | None
    created_at: datetime
    changed_at: datetime


class PointRow(NamedTuple):
    """A contact point; `sealed` is bound to its fingerprint, and None where the plain form was erased."""

    contact_id: int
    channel: Channel
    fingerprint: Fingerprint
    sealed: bytes | None


class HintRow(NamedTuple):
    """What a contact may be known by."""

    contact_id: int
    kind: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Inherited:
    """An opt-out that stands on every point a contact had, and so is said about a new one too."""

    fingerprint: Fingerprint
    channel: Channel
    scope: str
    reason: Reason
    said_at: datetime


async def put_contact(
    connection: Connection,
    external_id: str,
    *,
    language: str | None,
    country: str | None,
    notice_channel: Channel | None,
    sealed_name: bytes | None,
    given: Collection[str],
) -> tuple[int, bool]:
    """Write a contact, or the `given` fields of one that is there; its id, and whether it is new."""
    row = await connection.fetchrow(
        _SQL["put_contact"],
        external_id,
        language,
        country,
        None if notice_channel is None else notice_channel.value,
        sealed_name,
        list(given),
    )
    if row is None:
        raise AssertionError("an upsert gives one row")
    return row["id"], row["is_new"]


async def find_contact(connection: Connection, external_id: str) -> ContactRow | None:
    """A contact by the organisation's own id."""
    row = await connection.fetchrow(_SQL["find_contact"], external_id)
    return None if row is None else _contact(row)


async def list_contacts_of(connection: Connection, keys: Collection[Fingerprint], limit: int) -> list[ContactRow]:
    """The contacts that have any of these points."""
    return [_contact(row) for row in await connection.fetch(_SQL["list_contacts_of"], list(keys), limit)]


async def list_contacts_like(connection: Connection, hints: Collection[Fingerprint], limit: int) -> list[ContactRow]:
    """The contacts whom any of these hints may mean."""
    return [_contact(row) for row in await connection.fetch(_SQL["list_contacts_like"], list(hints), limit)]


async def list_points(connection: Connection, contact_ids: Collection[int]) -> list[PointRow]:
    """The points of contacts, by contact and channel, the one to be used first."""
    return [
        PointRow(row["contact_id"], Channel(row["channel"]), Fingerprint(row["fingerprint"]), row["sealed"])
        for row in await connection.fetch(_SQL["list_points"], list(contact_ids))
    ]


async def put_points(connection: Connection, points: Sequence[PointRow]) -> None:
    """Give contacts points, in the order in which they are to be used."""
    await connection.execute(
        _SQL["put_points"],
        *_columns(points),
        [FORM_VERSIONS[point.channel] for point in points],
        list(range(len(points))),
        [point.sealed for point in points],
    )


async def delete_other_points(
    connection: Connection, contact_id: int, channel: Channel, keep: Collection[Fingerprint]
) -> None:
    """Take the points of a channel from a contact, but those to keep."""
    await connection.execute(_SQL["delete_other_points"], contact_id, channel.value, list(keep))


async def list_inherited(connection: Connection, points: Sequence[PointRow]) -> list[Inherited]:
    """What has to be said about points that their contacts do not have yet. Ask before they are given."""
    return [
        Inherited(
            Fingerprint(row["fingerprint"]),
            Channel(row["channel"]),
            row["scope"],
            Reason(row["reason"]),
            row["said_at"],
        )
        for row in await connection.fetch(_SQL["list_inherited"], *_columns(points))
    ]


async def put_hints(connection: Connection, contact_ids: Collection[int], hints: Sequence[HintRow]) -> None:
    """Replace what contacts may be known by."""
    await connection.execute(_SQL["delete_hints"], list(contact_ids))
    await add_hints(connection, hints)


async def add_hints(connection: Connection, hints: Sequence[HintRow]) -> None:
    """Add to what contacts may be known by."""
    columns = [list(column) for column in zip(*hints, strict=True)] or [[], [], []]
    await connection.execute(_SQL["add_hints"], *columns)


async def erase_points(connection: Connection, keys: Collection[Fingerprint]) -> int:
    """Forget whose points these are; how many there were."""
    return int(await connection.fetchval(_SQL["erase_points"], list(keys)))


async def delete_contact(connection: Connection, contact_id: int) -> None:
    """Forget a contact, if it is still there."""
    await connection.execute(_SQL["delete_contact"], contact_id)


async def delete_erased_points(connection: Connection) -> int:
    """Delete plain forms written beside an erasure under way; how many there were."""
    return int((await connection.execute(_SQL["delete_erased_points"])).rpartition(" ")[2])


def _columns(points: Sequence[PointRow]) -> tuple[list[int], list[str], list[Fingerprint]]:
    return (
        [point.contact_id for point in points],
        [point.channel.value for point in points],
        [point.fingerprint for point in points],
    )


def _contact(row: object) -> ContactRow:
    values = dict(row)  # type: ignore[call-overload]  # a Record maps names to values
    return ContactRow(**{**values, "notice_channel": Channel(values["notice_channel"])})
