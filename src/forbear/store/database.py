"""The pool, and the one place where PostgreSQL's errors become ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
import structlog

from forbear.domain.errors import Busy, InvalidInput, ListUnavailable, Misconfigured

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"

_log = structlog.get_logger()
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,  # the driver's word for a server that died in the middle of an answer
)
_BUSY = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
CONNECT_TIMEOUT_SECONDS = 5
POSTGRES_VERSION_MIN = 150_000


@dataclass(frozen=True)
class Database:
    """A pool of connections to the list."""

    pool: asyncpg.Pool[asyncpg.Record]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection whose statements each commit on their own. Raises `ListUnavailable` when there is none."""
        with _translated_errors():
            async with self.pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction, committed when the block ends. Raises `ListUnavailable`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        """Close the pool without waiting for a server that is away."""
        self.pool.terminate()


@asynccontextmanager
async def open_database(url: str, *, connections_max: int, statement_timeout_seconds: int) -> AsyncIterator[Database]:
    """Open a pool that may be empty for now: a server that is away makes calls fail, not the process."""
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=statement_timeout_seconds + 5,
        max_inactive_connection_lifetime=60,
        init=_prepare_connection,
        server_settings={
            "application_name": "forbear",
            "statement_timeout": f"{statement_timeout_seconds}s",
            "idle_in_transaction_session_timeout": "60s",
            "timezone": "UTC",
        },
    )
    await pool
    database = Database(pool)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_owner_connection(url: str) -> AsyncIterator[Connection]:
    """One connection of the owner's role, for migrations. Raises `ListUnavailable`."""
    with _translated_errors():
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            await _prepare_connection(connection)
            yield connection
        finally:
            await connection.close()


async def _prepare_connection(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


class _translated_errors:  # noqa: N801 - reads as the context manager it is
    """Turn the errors of a lost or refusing server into `ListUnavailable`, and of values into `InvalidInput`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # Text of the server and of the driver may quote a value, so only the kind of error is written down.
        if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
            raise Misconfigured("the database URL cannot be used") from error
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise Misconfigured(
                "PostgreSQL does not let this role do that: run forbear migrate, with FORBEAR_MIGRATE_URL for the role "
                "that owns the tables"
            ) from error
        # The driver's InterfaceError is a lost connection, unless it is a ValueError: what it could not encode.
        if isinstance(error, asyncpg.DataError) or (
            isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
        ):
            _log.warning("value_refused", error=type(error).__name__)
            raise InvalidInput("a value cannot be stored: out of range, or with NUL or broken characters") from error
        if isinstance(error, _BUSY):
            raise Busy("others are writing the same rows at this moment") from error
        if isinstance(error, _UNAVAILABLE):
            _log.warning("list_unavailable", error=type(error).__name__)
            raise ListUnavailable from error
