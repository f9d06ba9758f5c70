"""The whole list, row by row."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from forbear.domain.fingerprint import Fingerprint
from forbear.store.database import Connection, Database
from forbear.store.queries import load_queries

_SQL = load_queries("export")
PAGE_ROWS: Final = 5000


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One entry, or one grant (its kind is `grant` and its reason empty), as it stands in the list."""

    fingerprint: Fingerprint
    wide_fingerprint: Fingerprint | None
    kind: str
    channel: str
    scope: str
    reason: str
    source: str
    canon_version: int
    since: datetime
    asserted_at: datetime
    lifted_at: datetime | None
    sealed_address: bytes | None


Pages = AsyncGenerator[list[ExportRow], None]


@asynccontextmanager
async def open_snapshot(database: Database) -> AsyncIterator[Connection]:
    """A connection that sees the list of one moment for as long as the block runs. Raises `ListUnavailable`."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_SQL["set_export_plan"])
        yield connection


def list_entries(connection: Connection, *, with_lifted: bool, with_addresses: bool) -> Pages:
    """Every entry in pages, in the order of ids."""
    return _pages(connection, _SQL["list_entries"], with_lifted, with_addresses)


def list_grants(connection: Connection, *, with_lifted: bool, with_addresses: bool) -> Pages:
    """Every grant in pages."""
    return _pages(connection, _SQL["list_grants"], with_lifted, with_addresses)


async def _pages(connection: Connection, query: str, *arguments: object) -> Pages:
    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(PAGE_ROWS):
        yield [_export_row(dict(row)) for row in rows]


def _export_row(values: dict[str, Any]) -> ExportRow:
    return ExportRow(
        fingerprint=values["fingerprint"],
        wide_fingerprint=values["wide_fingerprint"],
        kind=values["kind"],
        channel=values["channel"],
        scope=values["scope"],
        reason=values["reason"],
        source=values["source"],
        canon_version=values["canon_version"],
        since=values["since"],
        asserted_at=values["asserted_at"],
        lifted_at=values["lifted_at"],
        sealed_address=values["sealed"],
    )
