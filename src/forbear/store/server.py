"""The server: what it must promise, and the migrations that make its tables."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import asyncpg

from forbear.domain.errors import Busy, Misconfigured
from forbear.store.database import POSTGRES_VERSION_MIN, Connection
from forbear.store.queries import load_queries, sql_folder

_SQL = load_queries("server")
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK_WAIT_SECONDS: Final = 60
LOCK_TIMEOUT: Final = "2s"
"""How long a migration may stand in the queue for a table, and everybody who comes later behind it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of sql/migrations."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the file's text."""
        return sha256(self.text.encode()).digest()


def read_migrations() -> list[Migration]:
    """The migrations that this program knows, in order."""
    found = []
    for path in sorted((sql_folder() / "migrations").glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise Misconfigured(f"{path.name} is not named like a migration")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return found


async def check_server(connection: Connection) -> None:
    """Refuse a server on which an answered opt-out could be lost."""
    row = await connection.fetchrow(_SQL["read_settings"])
    if row is None or row["version"] < POSTGRES_VERSION_MIN:
        raise Misconfigured("PostgreSQL 15 or newer is needed")
    if row["fsync"] != "on":
        raise Misconfigured("PostgreSQL runs with fsync = off: an answered opt-out could be lost")
    if row["synchronous_commit"] not in {"on", "remote_apply"}:
        raise Misconfigured("PostgreSQL must run with synchronous_commit = on or stricter")
    if row["forbidden"]:
        # Everybody may call them in PostgreSQL 15 to 18; a provider may have taken that away.
        raise Misconfigured(
            f"PostgreSQL does not let the role {row['role']} tell this server from another: in this database, as a "
            f"superuser, GRANT EXECUTE ON FUNCTION {', '.join(row['forbidden'])} TO {row['role']}"
        )


async def migrate(connection: Connection, service_role: str) -> list[str]:
    """Bring the owner's database to this program's schema; the names of what was applied now.

    Raises `Busy` when another migration runs or a table stays in use, `Misconfigured` when an applied file has changed
    since.
    """
    await _take_lock(connection)
    try:
        await connection.execute(_SQL["create_migrations_table"])
        applied = await _applied(connection)
        new = []
        for migration in read_migrations():
            if migration.number not in applied:
                await _apply(connection, migration)
                new.append(f"{migration.number:04d}_{migration.name}")
            elif applied[migration.number] != migration.checksum:
                raise Misconfigured(f"migration {migration.number:04d} was changed after it was applied")
        await connection.execute(_SQL["set_service_role"], service_role)
        await connection.execute((sql_folder() / "grants.sql").read_text(encoding="utf-8"))
        return new
    finally:
        await connection.execute(_SQL["release_migration_lock"])


async def check_migrated(connection: Connection) -> None:
    """Refuse a database that lacks a migration of this program's; later ones are tolerated during an upgrade."""
    has_table = await connection.fetchval(_SQL["has_migrations_table"])
    applied = await _applied(connection) if has_table else {}
    missing = [migration for migration in read_migrations() if migration.number not in applied]
    if missing:
        raise Misconfigured(f"the database lacks migration {missing[0].number:04d}: run forbear migrate")


async def _applied(connection: Connection) -> dict[int, bytes]:
    return {row["number"]: row["checksum"] for row in await connection.fetch(_SQL["list_migrations"])}


async def _apply(connection: Connection, migration: Migration) -> None:
    """Apply a migration whole or not at all, without making anybody wait long behind its locks."""
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
    while True:
        try:
            async with connection.transaction():
                await connection.execute(_SQL["set_lock_timeout"], LOCK_TIMEOUT)
                await connection.execute(migration.text)
                await connection.execute(_SQL["add_migration"], migration.number, migration.name, migration.checksum)
        except asyncpg.LockNotAvailableError as error:
            # Whoever asks for the table while we wait would queue behind us, so we step back now and then.
            if asyncio.get_running_loop().time() > deadline:
                raise Busy(f"migration {migration.number:04d} cannot have a table that others use") from error
            await asyncio.sleep(0.2)
        else:
            return


async def _take_lock(connection: Connection) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
    while not await connection.fetchval(_SQL["try_migration_lock"]):
        if asyncio.get_running_loop().time() > deadline:
            raise Busy("another migration is running")
        await asyncio.sleep(0.2)
