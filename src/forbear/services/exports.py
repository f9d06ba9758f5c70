"""Exports: the whole list of one moment, as CSV, in constant memory.

`plain` opens the sealed addresses; those that were erased, or never known, have an empty address and their
fingerprint. `keyed` holds no address at all. See `domain.export_form` for the columns.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from forbear.domain.errors import BrokenToken
from forbear.domain.export_form import (
    COLUMNS,
    GRANT,
    LIFTED_COLUMN,
    ExportedRow,
    ExportForm,
    name_keys,
    write_cells,
    write_moment,
)
from forbear.services.context import Context
from forbear.services.suppression import open_address
from forbear.store import export as export_store
from forbear.store.export import ExportRow

_LINE_END: Final = "\n"


@dataclass(slots=True)
class Export:
    """One export; the counts grow while it is read."""

    context: Context
    form: ExportForm = ExportForm.PLAIN
    with_lifted: bool = False
    entries: int = 0
    grants: int = 0
    unopened: int = 0
    """Addresses that are stored but whose seal is broken; their rows have the fingerprint only."""
    _key_names: dict[int, str] = field(default_factory=dict)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """The export in pieces, the header first. Raises `ListUnavailable`; what came before is then incomplete."""
        columns = (*COLUMNS, LIFTED_COLUMN) if self.with_lifted else COLUMNS
        yield _write_csv([columns])
        with_addresses = self.form is ExportForm.PLAIN
        async with export_store.open_snapshot(self.context.database) as connection:
            for list_rows in (export_store.list_entries, export_store.list_grants):
                pages = list_rows(connection, with_lifted=self.with_lifted, with_addresses=with_addresses)
                async with aclosing(pages):
                    async for page in pages:
                        yield await asyncio.to_thread(self._write, page)

    def _write(self, page: Sequence[ExportRow]) -> bytes:
        grants = sum(row.kind == GRANT for row in page)
        self.grants += grants
        self.entries += len(page) - grants
        return _write_csv(self._cells(row) for row in page)

    def _cells(self, row: ExportRow) -> list[str]:
        exported = ExportedRow(
            address=self._open(row),
            kind=row.kind,
            channel=row.channel,
            scope=row.scope,
            reason=row.reason,
            source=row.source,
            since=row.since,
            is_wide=row.wide_fingerprint is not None,
            fingerprint=row.fingerprint,
            wide_fingerprint=row.wide_fingerprint,
            asserted_at=row.asserted_at,
            key=self._key_name(row.canon_version),
        )
        cells = write_cells(exported)
        return [*cells, write_moment(row.lifted_at)] if self.with_lifted else cells

    def _open(self, row: ExportRow) -> str:
        try:
            return open_address(self.context, row.sealed_address, row.fingerprint) or ""
        except BrokenToken:
            # One damaged seal must not keep the rest of the list from coming out.
            self.unopened += 1
            return ""

    def _key_name(self, canon_version: int) -> str:
        if canon_version not in self._key_names:
            self._key_names[canon_version] = name_keys(self.context.keyring, canon_version)
        return self._key_names[canon_version]


def _write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=_LINE_END).writerows(rows)
    return text.getvalue().encode()
