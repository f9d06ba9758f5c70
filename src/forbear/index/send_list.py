"""Reading a CSV send list as it arrives, in chunks of bytes cut anywhere; rows come out byte for byte as they came in.

Kernels cut the chunks; the few records that they leave unread go through the csv module, one by one. Held at any time:
a chunk and the record that it cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forbear.domain.errors import InvalidList
from forbear.index.kernels.blake2s import Bytes, Indexes
from forbear.index.kernels.blocks import BLOCK_BYTES
from forbear.index.kernels.records import (
    MISSING_COLUMN,
    NO_FAULT,
    TOO_MANY_FIELDS,
    UNREAD,
    count_marks,
    find_marks,
    read_records,
)
from forbear.index.list_layout import SAMPLE_RECORDS, UTF8_BOM, ListLayout, ListOptions, check_format, detect_layout
from forbear.index.list_records import LINE_ENDS, find_lines_end, find_open_quote, is_well_formed, split_fields
from forbear.index.list_rows import FAULT_WORDS, Rows

__all__ = [
    "FAULT_WORDS",
    "MISSING_COLUMN",
    "NO_FAULT",
    "TOO_MANY_FIELDS",
    "ListLayout",
    "ListOptions",
    "ListReader",
    "Rows",
]

# Up to this size the beginning of a record is looked at again with every chunk, however small; a longer one when it
# has grown by a quarter, so that a long record in small chunks costs a few passes over it and no more.
_EAGER_BYTES = 4096

# Enough to know a byte order mark, or that a file is not text.
_BEGINNING_BYTES = 4

# Enough for the first two records of most lists.
_HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """What was cut out of whole lines; arrays as in `Rows`."""

    record_starts: Indexes
    record_ends: Indexes
    cell_data: Bytes
    cell_starts: Indexes
    cell_ends: Indexes
    faults: Bytes
    end: int
    """Where a last record begins whose quote is still open, or where the lines end."""
    lines: int
    blank_lines: int
    """Before that place; `lines` counts blank ones too."""


class ListReader:
    """Reads one list. After an InvalidList it is of no further use."""

    def __init__(self, options: ListOptions) -> None:
        self.layout: ListLayout | None = None
        """Known once the first two records have been seen, or the end."""
        self.rows = 0
        """Data rows so far."""
        self.blank_lines = 0
        self._options = options
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._look_at_bytes = 0
        self._byte_order_mark: bytes | None = None
        self._records = 0
        self._lines = 0
        self._marks = np.empty(0, dtype=np.int64)

    def feed(self, data: bytes) -> Rows | None:
        """Take the next bytes and return the rows that they complete, None when there are none.

        Raises InvalidList.
        """
        self._pieces.append(data)
        self._held_bytes += len(data)
        return self._read(is_end=False) if self._held_bytes >= self._look_at_bytes else None

    def finish(self) -> Rows | None:
        """Return the rows that only the end completes: the last record may lack its line end.

        Raises InvalidList, also for an empty list and for a quote that is never closed.
        """
        rows = self._read(is_end=True)
        if self.layout is None:
            raise InvalidList("the list is empty")
        return rows

    def _read(self, *, is_end: bool) -> Rows | None:
        block = b"".join(self._pieces)
        if self.layout is None:
            block = self._begin(block, is_end=is_end)
        if self.layout is None:
            self._hold(block)
            return None
        first_row, start = self._records + 1, 0
        if first_row == 1 and not self.layout.has_header and self._byte_order_mark:
            # It belongs to the first record, but not to its first cell.
            block, start = self._byte_order_mark + block, len(self._byte_order_mark)
        end = len(block) if is_end else find_lines_end(block)
        data = np.frombuffer(block, dtype=np.uint8)
        cut = self._cut(data, start, max(start, end), self.layout, first_row)
        rest = block[cut.end :]
        self._hold(rest)
        self._records += len(cut.faults)
        self._lines += cut.lines
        self.blank_lines += cut.blank_lines
        self._check_lengths(cut, first_row)
        if len(rest) > self._options.record_bytes_max or (rest and is_end):
            raise self._refuse_open(rest, self.layout, is_end=is_end)
        return self._give(data, cut, first_row, self.layout)

    def _cut(self, data: Bytes, start: int, end: int, layout: ListLayout, first_row: int) -> _Cut:
        """Cut the whole lines of `data` from `start` to `end`."""
        delimiter = ord(layout.delimiter)
        marks_count, breaks_count = map(int, count_marks(data, end, delimiter))
        if len(self._marks) < marks_count + BLOCK_BYTES:
            # Kept, because fresh pages from the system cost more than what is done with them.
            self._marks = np.empty(marks_count + marks_count // 4 + BLOCK_BYTES, dtype=np.int64)
        find_marks(data, end, delimiter, self._marks)
        places = np.empty((4, breaks_count + 1), dtype=np.int64)
        record_starts, record_ends, cell_starts, cell_ends = places
        faults = np.empty(breaks_count + 1, dtype=np.uint8)
        count, stop, lines, blank_lines, unread = read_records(
            data, start, end, self._marks, marks_count, delimiter, layout.width, layout.column_index,
            record_starts, record_ends, cell_starts, cell_ends, faults,
        )  # fmt: skip
        record_starts, record_ends, cell_starts, cell_ends = places[:, :count]
        cut = _Cut(record_starts, record_ends, data, cell_starts, cell_ends, faults[:count], stop, lines, blank_lines)
        return _read_exactly(cut, layout, first_row) if unread else cut

    def _hold(self, rest: bytes) -> None:
        self._pieces = [rest]
        self._held_bytes = len(rest)
        self._look_at_bytes = len(rest) * 5 // 4 if len(rest) > _EAGER_BYTES else 0

    def _begin(self, block: bytes, *, is_end: bool) -> bytes:
        """Find the layout in the first bytes, if they suffice; return them without what precedes the records."""
        if self._byte_order_mark is None:
            if len(block) < _BEGINNING_BYTES and not is_end:
                return block
            check_format(block)
            self._byte_order_mark = UTF8_BOM if block.startswith(UTF8_BOM) else b""
            block = block.removeprefix(UTF8_BOM)
        block = self._skip_blank_lines(block, is_end=is_end)
        for size in (_HEAD_BYTES, len(block)):
            # Two records are enough, and mostly short; a whole chunk need not be looked at for them.
            if self.layout is None:
                is_whole = is_end and size >= len(block)
                self.layout = detect_layout(block[:size], self._options, is_whole=is_whole)
        if self.layout is None:
            if len(block) > SAMPLE_RECORDS * self._options.record_bytes_max:
                raise InvalidList(self._describe_length(1), row=1)
        elif self.layout.header_record is not None:
            marked = self._byte_order_mark + self.layout.header_record
            self.layout = replace(self.layout, header_record=marked)
        return block

    def _skip_blank_lines(self, block: bytes, *, is_end: bool) -> bytes:
        rest = block.lstrip(LINE_ENDS)
        end = len(block) - len(rest)
        if not rest and not is_end and block.endswith(b"\r"):
            end -= 1  # It may be half of a CRLF.
        skipped = len(block[:end].splitlines())
        self.blank_lines += skipped
        self._lines += skipped
        return block[end:]

    def _check_lengths(self, cut: _Cut, first_row: int) -> None:
        too_long = (cut.record_ends - cut.record_starts) > self._options.record_bytes_max
        if too_long.any():
            row = first_row + int(too_long.argmax())
            raise InvalidList(self._describe_length(row), row=row)

    def _refuse_open(self, record: bytes, layout: ListLayout, *, is_end: bool) -> InvalidList:
        """Say what is wrong with the beginning of a record, and where its quote opens if that is the reason."""
        row = self._records + 1
        quote = find_open_quote(record, layout.delimiter)
        if quote is None:
            return InvalidList(self._describe_length(row), row=row)
        column = layout.label_field(quote.field_number)
        opened = f"a quote opens in column {column} of row {row} (line {self._lines + quote.lines_before + 1})"
        if is_end:
            return InvalidList(f"{opened} and is never closed", row=row, column=column)
        return InvalidList(f"{self._describe_length(row)}: {opened} and is still open there", row=row, column=column)

    def _describe_length(self, row: int) -> str:
        return f"row {row} is longer than {self._options.record_bytes_max} bytes"

    def _give(self, data: Bytes, cut: _Cut, first_row: int, layout: ListLayout) -> Rows | None:
        hidden = 1 if first_row == 1 and layout.has_header else 0
        if first_row == 1 and not hidden:
            # With the byte order mark, where there is one.
            cut.record_starts[:1] = 0
        count = len(cut.faults) - hidden
        if count <= 0:
            return None
        self.rows += count
        return Rows(
            first_row + hidden,
            data,
            cut.record_starts[hidden:],
            cut.record_ends[hidden:],
            cut.cell_data,
            cut.cell_starts[hidden:],
            cut.cell_ends[hidden:],
            cut.faults[hidden:],
        )


def _read_exactly(cut: _Cut, layout: ListLayout, first_row: int) -> _Cut:
    """Settle what the kernel has left unread, by the csv module."""
    cells, size = [cut.cell_data], len(cut.cell_data)
    for place in np.flatnonzero(cut.faults == UNREAD).tolist():
        record = cut.cell_data[cut.record_starts[place] : cut.record_ends[place]].tobytes()
        _check_lines_within(record, layout, first_row + place)
        cell, cut.faults[place] = _pick_cell(split_fields(record, layout.delimiter), layout)
        if cell is None:
            cut.cell_starts[place] = -1
            continue
        cells.append(np.frombuffer(cell, dtype=np.uint8))
        cut.cell_starts[place], cut.cell_ends[place] = size, size + len(cell)
        size += len(cell)
    cell_data = np.concatenate(cells)
    # Like every array over bytes: kernels are compiled for one kind.
    cell_data.flags.writeable = False
    return replace(cut, cell_data=cell_data)


def _check_lines_within(record: bytes, layout: ListLayout, row: int) -> None:
    # A quote that somebody forgot to close runs on to the next quote, rows later, and text follows that one. Other
    # readers would see rows of their own there, addresses included, that nobody has filtered.
    if len(record.splitlines()) > 1 and not is_well_formed(record, layout.delimiter):
        raise InvalidList(
            f"row {row} holds line breaks in quotes, and text after a closing quote: is a quote left open?", row=row
        )


def _pick_cell(fields: list[str], layout: ListLayout) -> tuple[bytes | None, int]:
    """The address cell among the fields of a record, or why there is none that can be used."""
    if len(fields) > layout.width:
        return None, TOO_MANY_FIELDS
    if len(fields) <= layout.column_index:
        return None, MISSING_COLUMN
    return fields[layout.column_index].encode("latin-1"), NO_FAULT
