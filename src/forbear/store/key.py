"""The keys that the list remembers having been written with."""

from __future__ import annotations

from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("key")


async def list_key_records(connection: Connection) -> list[tuple[str, int, bytes]]:
    """Role, id and check value of every key in use."""
    return [(row["role"], row["id"], row["check_value"]) for row in await connection.fetch(_SQL["list_key_records"])]


async def add_key_record(connection: Connection, role: str, key_id: int, check: bytes) -> None:
    """Remember a key as in use."""
    await connection.execute(_SQL["add_key_record"], role, key_id, check)


async def has_entries(connection: Connection) -> bool:
    """Whether anything was ever written to the list."""
    return bool(await connection.fetchval(_SQL["has_entries"]))
