"""Reading a CSV send list as it arrives, in chunks of bytes cut anywhere; rows come out byte for byte as they came in.

A chunk without a quote is split by lines and delimiters; one with quotes goes through the csv module record by
record. Held at any time: a chunk and the record that it cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from forbear.domain.errors import InvalidList
from forbear.index.list_layout import SAMPLE_RECORDS, UTF8_BOM, ListLayout, ListOptions, check_format, detect_layout
from forbear.index.list_records import (
    BLANK_LINES,
    LINE_ENDS,
    QUOTE,
    find_lines_end,
    find_open_quote,
    is_well_formed,
    parse_lines,
)

__all__ = ["MISSING_COLUMN", "TOO_MANY_FIELDS", "ListLayout", "ListOptions", "ListReader", "Rows"]

MISSING_COLUMN = "missing_column"
TOO_MANY_FIELDS = "too_many_fields"

# Up to this size the beginning of a record is looked at again with every chunk, however small; a longer one when it
# has grown by a quarter, so that a long record in small chunks costs a few passes over it and no more.
_EAGER_BYTES = 4096

# Enough to know a byte order mark, or that a file is not text.
_BEGINNING_BYTES = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of consecutive records."""

    first_row: int
    """Row number of the first: rows count from 1, the header is row 1 where there is one, blank lines are none."""
    records: list[bytes] = field(repr=False)
    """As they came, each with its own line end."""
    cells: list[bytes | None] = field(repr=False)
    """The address cell of each, out of its quotes; None where there is no usable one."""
    faults: list[str | None]
    """Why there is none: `missing_column` or `too_many_fields`."""


@dataclass(slots=True)
class _Batch:
    """What was cut out of whole lines."""

    records: list[bytes] = field(default_factory=list)
    cells: list[bytes | None] = field(default_factory=list)
    faults: list[str | None] = field(default_factory=list)
    lines: int = 0
    blank_lines: int = 0
    open_record: bytes = b""
    """The beginning of a last record whose quote is still open; its lines are not counted."""


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
        end = len(block) if is_end else find_lines_end(block)
        body = block[:end]
        first_row = self._records + 1
        batch = _cut_quoted(body, self.layout, first_row) if QUOTE in body else _cut_plain(body, self.layout)
        rest = batch.open_record + block[end:]
        self._hold(rest)
        self._records += len(batch.records)
        self._lines += batch.lines
        self.blank_lines += batch.blank_lines
        self._check_lengths(batch.records, first_row)
        if len(rest) > self._options.record_bytes_max or (rest and is_end):
            raise self._refuse_open(rest, self.layout, is_end=is_end)
        return self._give(batch, first_row, self.layout)

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
        self.layout = detect_layout(block, self._options, is_whole=is_end)
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

    def _check_lengths(self, records: list[bytes], first_row: int) -> None:
        if max(map(len, records), default=0) > self._options.record_bytes_max:
            too_long = next(i for i, record in enumerate(records) if len(record) > self._options.record_bytes_max)
            raise InvalidList(self._describe_length(first_row + too_long), row=first_row + too_long)

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

    def _give(self, batch: _Batch, first_row: int, layout: ListLayout) -> Rows | None:
        records, cells, faults = batch.records, batch.cells, batch.faults
        if first_row == 1 and layout.has_header:
            records, cells, faults = records[1:], cells[1:], faults[1:]
            first_row = 2
        elif first_row == 1:
            records[0] = (self._byte_order_mark or b"") + records[0]
        self.rows += len(records)
        return Rows(first_row, records, cells, faults) if records else None


def _cut_plain(body: bytes, layout: ListLayout) -> _Batch:
    """Cut whole lines in which no quote stands."""
    lines = body.splitlines(keepends=True)
    records = lines
    if BLANK_LINES.intersection(lines):
        records = [line for line in lines if line not in BLANK_LINES]
    index, width, delimiter = layout.column_index, layout.width, layout.delimiter.encode()
    cells = [fields[index] if len(fields := record.split(delimiter)) == width else None for record in records]
    if index == width - 1:
        cells = [cell if cell is None else cell.rstrip(LINE_ENDS) for cell in cells]
    faults: list[str | None] = [None] * len(records)
    if None in cells:
        for odd, _ in filter(lambda numbered: numbered[1] is None, enumerate(cells)):
            cells[odd], faults[odd] = _pick_cell(records[odd].rstrip(LINE_ENDS).split(delimiter), layout)
    return _Batch(records, cells, faults, len(lines), len(lines) - len(records))


def _cut_quoted(body: bytes, layout: ListLayout, first_row: int) -> _Batch:
    """Cut whole lines record by record."""
    lines = body.splitlines(keepends=True)
    batch = _Batch()
    index, width = layout.column_index, layout.width
    for line_number, fields, is_open in parse_lines(lines, layout.delimiter):
        if is_open:
            batch.open_record = b"".join(lines[batch.lines :])
            break
        record = lines[batch.lines]
        if line_number > batch.lines + 1:
            record = b"".join(lines[batch.lines : line_number])
            _check_lines_within(record, layout, first_row + len(batch.records))
        batch.lines = line_number
        if not fields:
            batch.blank_lines += 1
            continue
        batch.records.append(record)
        if len(fields) == width:
            batch.cells.append(fields[index].encode("latin-1"))
            batch.faults.append(None)
        else:
            cell, fault = _pick_cell([field.encode("latin-1") for field in fields], layout)
            batch.cells.append(cell)
            batch.faults.append(fault)
    return batch


def _check_lines_within(record: bytes, layout: ListLayout, row: int) -> None:
    # A quote that somebody forgot to close runs on to the next quote, rows later, and text follows that one. Other
    # readers would see rows of their own there, addresses included, that nobody has filtered.
    if not is_well_formed(record, layout.delimiter):
        raise InvalidList(
            f"row {row} holds line breaks in quotes, and text after a closing quote: is a quote left open?", row=row
        )


def _pick_cell(fields: list[bytes], layout: ListLayout) -> tuple[bytes | None, str | None]:
    """Find the address cell among fields that are not as many as the header's."""
    if len(fields) > layout.width:
        return None, TOO_MANY_FIELDS
    if len(fields) <= layout.column_index:
        return None, MISSING_COLUMN
    return fields[layout.column_index], None
