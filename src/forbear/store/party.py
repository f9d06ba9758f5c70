"""Parties: to whom data may be disclosed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from forbear.domain.party import PartyKind
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("party")


@dataclass(frozen=True, slots=True)
class PartyRow:
    """A party as it is told to whoever asks what was disclosed."""

    id: int
    name: str
    kind: PartyKind
    title: str
    postal_address: str
    products: str
    """Examples of what it sells, where its name does not say."""
    created_at: datetime
    ended_at: datetime | None


async def put_party(
    connection: Connection, name: str, kind: PartyKind, *, title: str, postal_address: str, products: str
) -> tuple[PartyRow, bool] | None:
    """Register or change a party, and whether it is new; None where it has ended or is of another kind."""
    row = await connection.fetchrow(_SQL["put_party"], name, kind.value, title, postal_address, products)
    return None if row is None else (_party(row), row["is_new"])


async def find_party(connection: Connection, name: str) -> PartyRow | None:
    """A party by name, ended or not."""
    row = await connection.fetchrow(_SQL["find_party"], name)
    return None if row is None else _party(row)


async def list_parties(connection: Connection) -> list[PartyRow]:
    """Every party by name, ended ones too."""
    return [_party(row) for row in await connection.fetch(_SQL["list_parties"])]


async def end_party(connection: Connection, name: str) -> bool:
    """End a party; False when none of this name is there that has not ended."""
    return await connection.fetchval(_SQL["end_party"], name) is not None


def _party(row: object) -> PartyRow:
    values = dict(row)  # type: ignore[call-overload]  # a Record maps names to values
    return PartyRow(
        id=values["id"],
        name=values["name"],
        kind=PartyKind(values["kind"]),
        title=values["title"],
        postal_address=values["postal_address"],
        products=values["products"],
        created_at=values["created_at"],
        ended_at=values["ended_at"],
    )
