"""Adopting a list on the server it is on now.

Transaction ids mean nothing to another server. After a restore or a failover nobody follows the list (and so nobody
decides) until its `changed_xid` values are below what this server will give out next, and the server is on record.
"""

from __future__ import annotations

from typing import Final

import structlog

from forbear.store import Connection
from forbear.store import feed as feed_store

PAGE_ROWS: Final = 10_000
"""Rows renewed in one transaction."""

_log = structlog.get_logger()


async def adopt_list(connection: Connection) -> bool:
    """Make the list valid on the server that answers; False when another process is at it, or a restore still runs.

    Where it was adopted already nothing happens. A restore of a list onto a server that has given out fewer transaction
    ids rewrites its rows once, page by page; interrupted, the next call goes on.
    """
    adopter = await feed_store.find_adopter(connection)
    if adopter == await feed_store.read_identity(connection):
        return True
    renewed = 0
    while True:
        async with connection.transaction():
            if not await feed_store.is_restored(connection) or not await feed_store.try_adoption_lock(connection):
                return False
            page = await feed_store.renew_changes(connection, PAGE_ROWS)
            if page == 0:
                await feed_store.set_identity(connection)
                break
            renewed += page
    if adopter is not None:
        _log.warning("list_adopted", renewed_rows=renewed)
    return True
