"""The only code that knows PostgreSQL: one typed module per query file; no `asyncpg.Record` leaves it."""

from forbear.store.database import Connection, Database

__all__ = ["Connection", "Database"]
