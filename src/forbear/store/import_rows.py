"""Rows of an import between the file and the list, by ranges of fingerprints.

Fingerprints are evenly spread, so a range is a page: it needs no cursor, and after a crash the same ranges hold
what is left. All rows of one fingerprint lie in one range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from forbear.domain.address import CANON_VERSION
from forbear.domain.fingerprint import FINGERPRINT_BYTES, Fingerprint
from forbear.domain.suppression import Reason
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("import_rows")
_PREFIX_BYTES: Final = 6
_ABOVE_ALL: Final = b"\xff" * (FINGERPRINT_BYTES + 1)


class StagedRow(NamedTuple):
    """One row on its way into the list; kind, channel, reason and source are their values."""

    batch_id: int
    fingerprint: Fingerprint
    wide_fingerprint: Fingerprint | None
    kind: str
    channel: str
    scope: str
    reason: str
    source: str
    since: datetime | None
    asserted_at: datetime | None
    """None where the row says no date: it then counts as said when it is applied."""
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Fingerprints from `first` up to, and without, `end`."""

    first: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class PageCount:
    """How many entries of a reason and scope are new to the list, revived, or there already."""

    reason: Reason
    scope: str
    state: str
    entries: int
    copies: int


@dataclass(frozen=True, slots=True)
class AppliedPage:
    """What became of a page; entries that met another writer are staged again and not counted."""

    added: int
    revived: int
    already: int
    copies: int


def split_keys(pages: int) -> list[KeyRange]:
    """Cut all fingerprints into ranges of equal size."""
    space = 256**_PREFIX_BYTES
    starts = [(space * number // pages).to_bytes(_PREFIX_BYTES) for number in range(pages)]
    return [KeyRange(first, end) for first, end in zip(starts, [*starts[1:], _ABOVE_ALL], strict=True)]


async def set_page_plan(connection: Connection) -> None:
    """Prepare the transaction for statements about pages."""
    await connection.execute(_SQL["set_page_plan"])


async def add_rows(connection: Connection, rows: Sequence[StagedRow]) -> None:
    """Stage rows by COPY, in a transaction of their own unless there is one."""
    await connection.copy_records_to_table("import_rows", records=rows, columns=list(StagedRow._fields))


async def has_rows(connection: Connection, batch_id: int) -> bool:
    """Whether a batch has staged rows left."""
    return bool(await connection.fetchval(_SQL["has_rows"], batch_id))


async def count_page(connection: Connection, batch_id: int, keys: KeyRange) -> list[PageCount]:
    """What applying a page would do now."""
    return [
        PageCount(Reason(row["reason"]), row["scope"], row["state"], row["entries"], row["copies"])
        for row in await connection.fetch(_SQL["count_page"], batch_id, keys.first, keys.end)
    ]


async def apply_page(connection: Connection, batch_id: int, keys: KeyRange, *, actor: str) -> AppliedPage:
    """Assert a page of rows and take them off the stage. Needs a transaction."""
    await connection.execute(_SQL["erase_page"], batch_id, keys.first, keys.end)
    row = await connection.fetchrow(_SQL["apply_page"], batch_id, keys.first, keys.end, CANON_VERSION, actor)
    if row is None:
        raise AssertionError("an aggregate gives one row")
    return AppliedPage(row["added"], row["revived"], row["already"], row["copies"])


async def delete_rows(connection: Connection, batch_id: int, limit: int) -> int:
    """Delete up to `limit` staged rows; how many there were."""
    status = await connection.execute(_SQL["delete_rows"], batch_id, limit)
    return int(status.rpartition(" ")[2])
