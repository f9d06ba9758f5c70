"""Counters: how often something was done since a window began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("counter")


@dataclass(frozen=True, slots=True)
class Count:
    """How often by now, this time included, and how long the window still lasts."""

    number: int
    remaining_seconds: float


async def count_up(connection: Connection, key: bytes, window: timedelta) -> Count:
    """Count once more under a key of 16 bytes."""
    values: Mapping[str, Any] = dict(await connection.fetchrow(_SQL["count_up"], key, window) or {})
    return Count(values["number"], values["remaining_seconds"])


async def delete_old_counters(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` counters that began before a moment; how many there were."""
    return int((await connection.execute(_SQL["delete_old_counters"], before, limit)).rpartition(" ")[2])
