"""Registered scopes, and the numbers that campaigns have inside mail tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("scope")


@dataclass(frozen=True, slots=True)
class Scope:
    """A registered scope with its titles by language tag."""

    id: int
    name: str
    titles: Mapping[str, str]


async def add_scope(connection: Connection, name: str, titles: Mapping[str, str]) -> int:
    """Register a scope or add titles to it; its number."""
    number: int = await connection.fetchval(_SQL["add_scope"], name, dict(titles))
    return number


async def list_scopes(connection: Connection) -> list[Scope]:
    """All registered scopes by name."""
    return [Scope(row["id"], row["name"], row["titles"]) for row in await connection.fetch(_SQL["list_scopes"])]


async def add_campaign(connection: Connection, name: str) -> int:
    """The number of a campaign, given at its first use."""
    number: int | None = await connection.fetchval(_SQL["add_campaign"], name)
    # Another process gave the number at this very moment: its row is visible to the next statement.
    return number if number is not None else await add_campaign(connection, name)
