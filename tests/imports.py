"""Suppression files for tests: samples of what providers export, and reading one without a list."""

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

from forbear.domain.export_form import COLUMNS
from forbear.domain.import_formats import Refusal
from forbear.domain.suppression import Reason
from forbear.services.context import Context
from forbear.services.import_file import ImportFile, RowMaker, RowRules, Staged
from forbear.services.key_file import make_keyring

SAMPLES = Path(__file__).parent / "samples" / "imports"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RING = make_keyring(NOW)
OWN_HEADER = ",".join(COLUMNS)


def open_file(data: bytes, name: str = "list.csv", characters_max: int = 10_000) -> ImportFile:
    """A file as an import opens it."""
    return ImportFile(io.BytesIO(data), name, characters_max)


def read_given(data: bytes, name: str = "list.csv") -> list[tuple | Refusal]:
    """What each row of a file says: address, reason and moment, or why it says nothing."""
    file = open_file(data, name)
    rows = [file.layout.read(record.cells) for record in file.read(1000)]
    return [row if isinstance(row, Refusal) else tuple(row)[:3] for row in rows]


def stage(
    data: bytes, *, reason: Reason | None = Reason.UNSUBSCRIBE, scope: str | None = "*", ring=RING, key: str = "key.1"
) -> Staged:
    """Read, fingerprint and seal all rows of a file at once."""
    file = open_file(data)
    rules = RowRules(reason, scope, NOW, wide_matching=True, key=key)
    return RowMaker(file.layout, rules, ring, 1).make(file.read(1_000_000))


async def wait_for_lock(context: Context) -> None:
    """Wait until some statement on this list waits for another's lock."""
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with context.database.connection() as connection, asyncio.timeout(60):
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
