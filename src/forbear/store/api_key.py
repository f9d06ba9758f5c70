"""API keys by the hash of their secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("api_key")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who asks, and what they may."""

    id: int
    name: str
    permissions: frozenset[str]
    purposes: tuple[str, ...]
    scopes: tuple[str, ...]

    @property
    def actor(self) -> str:
        """How the history names this key."""
        return f"api_key:{self.id}"


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A key as a listing shows it."""

    key: ApiKey
    created_at: datetime
    revoked_at: datetime | None


async def add_api_key(
    connection: Connection,
    *,
    name: str,
    secret_hash: bytes,
    permissions: Sequence[str],
    purposes: Sequence[str],
    scopes: Sequence[str],
) -> int:
    """Store a key; its id."""
    key_id: int = await connection.fetchval(_SQL["add_api_key"], name, secret_hash, permissions, purposes, scopes)
    return key_id


async def find_api_key(connection: Connection, secret_hash: bytes) -> ApiKey | None:
    """The key in force that this hash belongs to."""
    row = await connection.fetchrow(_SQL["find_api_key"], secret_hash)
    return None if row is None else _api_key(dict(row))


async def list_api_keys(connection: Connection) -> list[ApiKeyRow]:
    """All keys, revoked ones too."""
    return [
        ApiKeyRow(_api_key(dict(row)), row["created_at"], row["revoked_at"])
        for row in await connection.fetch(_SQL["list_api_keys"])
    ]


async def revoke_api_key(connection: Connection, key_id: int) -> bool:
    """Revoke a key; False when none is in force under this id."""
    return await connection.fetchval(_SQL["revoke_api_key"], key_id) is not None


def _api_key(values: dict[str, object]) -> ApiKey:
    return ApiKey(
        id=int(str(values["id"])),
        name=str(values["name"]),
        permissions=frozenset(_texts(values["permissions"])),
        purposes=_texts(values["purposes"]),
        scopes=_texts(values["scopes"]),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
