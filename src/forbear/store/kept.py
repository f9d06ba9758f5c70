"""One connection for somebody who asks all the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from forbear.domain.errors import ForbearError, ListUnavailable
from forbear.store.database import Connection, Database


class KeptConnection:
    """A connection of the pool that is kept from use to use, because giving it back costs another round trip.

    One task uses it at a time. After an error it is given up, and the next use takes a new one.
    """

    def __init__(self, database: Database) -> None:
        """Take none yet."""
        self._database = database
        self._held: tuple[AsyncExitStack, Connection] | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection; its statements each commit on their own. Raises `ListUnavailable`."""
        stack, connection = self._held or await self._take()
        if _is_lost(connection):
            await self.close()
            stack, connection = await self._take()
        try:
            yield connection
        except ForbearError:
            raise
        except BaseException as error:
            self._held = None
            if not _is_lost(connection):
                connection.terminate()
            await stack.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, asyncpg.PostgresError):
                # Nothing that is asked here comes from outside, so the list itself is not as it should be: a restore,
                # perhaps, that has not come to its tables yet.
                raise ListUnavailable from error
            raise

    async def close(self) -> None:
        """Give the connection back."""
        held, self._held = self._held, None
        if held is not None:
            await held[0].aclose()

    async def _take(self) -> tuple[AsyncExitStack, Connection]:
        stack = AsyncExitStack()
        connection = await stack.enter_async_context(self._database.connection())
        self._held = stack, connection
        return self._held


def _is_lost(connection: Connection) -> bool:
    """Whether the server has ended it; the pool has taken it back then, and it refuses to say even that."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True
