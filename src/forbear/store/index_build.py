"""What an index is built from, and the record of builds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from forbear.domain.errors import ListUnavailable
from forbear.domain.suppression import Reason
from forbear.store.database import Connection, Database
from forbear.store.feed import Position, ServerIdentity
from forbear.store.queries import load_queries

_SQL = load_queries("index_build")
_REASONS: Final = [reason.value for reason in Reason]
_COPY_TIMEOUT_SECONDS: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class BuildPoint:
    """The moment of the list that a build reads: `position` has seen all of it."""

    position: Position
    identity: ServerIdentity


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """The scopes that stand in the list, and at most how many keys do."""

    scopes: list[str]
    keys_max: int
    has_domains: bool


@asynccontextmanager
async def open_build(database: Database, sort_memory: str) -> AsyncIterator[Connection]:
    """A connection that sees one moment of the list for as long as it takes. Raises `ListUnavailable`."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_SQL["prepare_build"], sort_memory)
        yield connection


async def read_build_point(connection: Connection) -> BuildPoint:
    """Which moment and which server this is. Raises `ListUnavailable` at a standby."""
    values: Mapping[str, Any] = dict(await connection.fetchrow(_SQL["read_build_point"]) or {})
    if values["timeline"] is None:
        raise ListUnavailable("PostgreSQL is a standby: decisions ask the primary")
    identity = ServerIdentity(values["system_identifier"], values["timeline"], values["storage"])
    return BuildPoint(Position.parse(values["snapshot"]).cap(values["highest"]), identity)


async def count_rules(connection: Connection) -> RuleCounts:
    """What `copy_rules` will give, at most."""
    rows = await connection.fetch(_SQL["count_rules"])
    return RuleCounts(
        [row["scope"] for row in rows], sum(row["keys"] for row in rows), any(row["has_domains"] for row in rows)
    )


async def copy_rules(
    connection: Connection, scopes: Sequence[str], sink: Callable[[bytes], Coroutine[Any, Any, None]]
) -> None:
    """Send everything that stands to `sink` in PostgreSQL's binary COPY format, in pieces that may split a row.

    A row has three fields: the key (16 bytes), the place of the reason in `Reason` counted from 1, or 0 for a grant
    (int16), and the place of the scope in `scopes` counted from 1 (int32). They come in the order of keys, and
    within a key in that of `RuleSet`.
    """
    await connection.copy_from_query(
        _SQL["copy_rules"].rstrip(";"), _REASONS, scopes, output=sink, format="binary", timeout=_COPY_TIMEOUT_SECONDS
    )


async def has_entries_beyond(connection: Connection, number: int) -> bool:
    """Whether the list holds more entries than a number."""
    return bool(await connection.fetchval(_SQL["has_entries_beyond"], number))


async def add_build(connection: Connection, builder: str, mark: UUID, keys: int) -> None:
    """Put a finished file on record, and forget builders that are long gone."""
    await connection.execute(_SQL["add_build"], builder, mark, keys)
    await connection.execute(_SQL["delete_old_builders"])


async def has_build(connection: Connection, mark: UUID) -> bool:
    """Whether this server remembers a file; one that was put back to an earlier time does not."""
    return bool(await connection.fetchval(_SQL["has_build"], mark))


async def record_builder(connection: Connection, builder: str, *, changes: int, changes_max: int) -> None:
    """Say that a builder is alive, how much has changed since its file, and how much may."""
    await connection.execute(_SQL["record_builder"], builder, changes, changes_max)


async def is_builder_behind(connection: Connection, alive_within: timedelta) -> bool:
    """Whether a builder that was seen lately has more changes to take in than it may."""
    return bool(await connection.fetchval(_SQL["is_builder_behind"], alive_within))
