"""What a send list looks like: its delimiter, its header, the column that holds the addresses.

Decided from its first two records alone, so that the answer does not depend on how the bytes arrive.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from forbear.domain.errors import InvalidList
from forbear.index.list_columns import (
    NAMES_SHOWN,
    find_named_column,
    is_email_name,
    label_column,
    refuse_added_columns,
    show_name,
)
from forbear.index.list_records import (
    BLANK_LINES,
    LINE_ENDS,
    count_fields,
    find_lines_end,
    join_fields,
    parse_lines,
)

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 2
UTF8_BOM = b"\xef\xbb\xbf"

_POSITION_DIGITS_MAX = 6
_UTF16 = "this is UTF-16; save it as UTF-8"

# What a cell looks like that is an address for certain, under the delimiter that is being tried.
_ADDRESS = re.compile(r"[^\s@,;]+@[^\s@,;|]+")

# Files that are not text, by how they begin.
_FORMATS = (
    (b"PK\x03\x04", "this is a spreadsheet or ZIP file; save it as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "this is a spreadsheet; save it as CSV in UTF-8"),
    (b"\x1f\x8b", "this is a gzip file; unpack it first"),
    (b"PAR1", "this is a Parquet file; send it as one, by its type or format"),
    (b"\xff\xfe\x00\x00", "this is UTF-32; save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "this is UTF-32; save it as UTF-8"),
    (b"\xff\xfe", _UTF16),
    (b"\xfe\xff", _UTF16),
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What the sender of a list may say about it."""

    column: str | None = None
    """Name of the address column; its position from 1 where the list has no header. None: the one that fits."""
    header: bool | None = None
    """Whether the first record is a header. None: it is one when none of its cells holds an @."""
    added_columns: tuple[str, ...] = ()
    """Names of columns that will be added; the list may not have such a column already."""
    record_bytes_max: int = 2 * 1024 * 1024
    """Longest record, line end included; an unclosed quote must not swallow the whole list."""


@dataclass(frozen=True, slots=True)
class ListLayout:
    """How the records of one list are to be read, and written with more columns."""

    delimiter: str
    has_header: bool
    column_names: tuple[str, ...] = field(repr=False)
    """As in the header; none without one."""
    column_index: int
    column_label: str
    """How a message calls the address column: its name, else its position from 1."""
    width: int
    """Fields of the header; without one, of the wider of the first two records."""
    newline: bytes
    header_record: bytes | None = field(repr=False)
    """The header as it came, byte order mark and line end included."""

    def header_with(self, names: Sequence[str]) -> bytes:
        """Write the header with more columns; nothing where there is no header."""
        return _extend(self.header_record, 0, names, self.delimiter) if self.header_record is not None else b""

    def record_with(self, record: bytes, values: Sequence[str]) -> bytes:
        """Write a record with more fields, after filling it up to the header's width; its line end stays as it is."""
        # Without a header it is the first row that carries the byte order mark, before a quote perhaps.
        plain = record if self.has_header else record.removeprefix(UTF8_BOM)
        missing = self.width - count_fields(plain.rstrip(LINE_ENDS), self.delimiter)
        return _extend(record, max(missing, 0), values, self.delimiter)

    def label_field(self, number: int) -> str:
        """Call a field, counted from 1, as a message should."""
        return label_column(self.column_names, number - 1)


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first two records, as one delimiter cuts them."""

    delimiter: str
    rows: list[list[str]]
    first_record: bytes
    is_complete: bool

    @property
    def width(self) -> int:
        return max(map(len, self.rows), default=0)


def check_format(beginning: bytes) -> None:
    """Refuse what is not text, or not in an encoding that keeps ASCII, by the first four bytes of a list."""
    for mark, detail in _FORMATS:
        if beginning.startswith(mark):
            raise InvalidList(detail, row=1)


def detect_layout(head: bytes, options: ListOptions, *, is_whole: bool) -> ListLayout | None:
    """Find out the layout from the beginning of a list, its byte order mark left out.

    None while more has to be seen, at most two records of the greatest length, or when the list has no record.
    Raises InvalidList where the columns do not allow a clear answer.
    """
    enough_bytes = SAMPLE_RECORDS * options.record_bytes_max
    is_enough = is_whole or len(head) > enough_bytes
    end = len(head) if is_whole else find_lines_end(head[:enough_bytes])
    lines = head[:end].splitlines(keepends=True)
    if lines or is_enough:
        _refuse_nuls(lines[0] if lines else head[:enough_bytes])
    samples = [_take_sample(lines, delimiter, is_whole=is_whole) for delimiter in DELIMITERS]
    if not is_enough and not all(sample.is_complete for sample in samples):
        return None
    samples = [sample for sample in samples if sample.rows]
    if not samples:
        return None
    # The first of equals wins: DELIMITERS is in the order of preference.
    best = max(samples, key=lambda sample: (_count_signs(sample, options.column), sample.width))
    return _describe(best, options)


def _refuse_nuls(line: bytes) -> None:
    # Without a byte order mark, half of UTF-16 is NULs all the same where it is used for Latin letters.
    if line.count(0) * 4 > len(line):
        raise InvalidList(_UTF16, row=1)


def _take_sample(lines: list[bytes], delimiter: str, *, is_whole: bool) -> _Sample:
    rows: list[list[str]] = []
    first_record = b""
    line_before = 0
    for line_number, fields, is_open in parse_lines(lines, delimiter):
        if is_open and not is_whole:
            break
        if fields:
            first_record = first_record or b"".join(lines[line_before:line_number])
            rows.append([_decode_cell(cell) for cell in fields])
        if len(rows) == SAMPLE_RECORDS:
            break
        line_before = line_number
    return _Sample(delimiter, rows, first_record, is_whole or len(rows) == SAMPLE_RECORDS)


def _count_signs(sample: _Sample, wanted: str | None) -> int:
    """Count the records that speak for a delimiter: the most cells of one column that name or hold an address."""
    columns = range(sample.width)
    return max(sum(len(row) > index and _is_sign(row[index], wanted) for row in sample.rows) for index in columns)


def _is_sign(cell: str, wanted: str | None) -> bool:
    return cell == wanted or is_email_name(cell) or _ADDRESS.fullmatch(cell.strip()) is not None


def _describe(sample: _Sample, options: ListOptions) -> ListLayout:
    first = sample.rows[0]
    has_header = not any("@" in cell for cell in first) if options.header is None else options.header
    names = tuple(first) if has_header else ()
    if has_header:
        refuse_added_columns(names, options.added_columns)
        index = find_named_column(names, sample.rows[1] if len(sample.rows) > 1 else (), options.column)
    else:
        index = _find_numbered_column(sample, options.column)
    line_end = sample.first_record[len(sample.first_record.rstrip(LINE_ENDS)) :]
    return ListLayout(
        delimiter=sample.delimiter,
        has_header=has_header,
        column_names=names,
        column_index=index,
        column_label=label_column(names, index),
        width=len(first) if has_header else sample.width,
        newline=line_end if line_end in BLANK_LINES else b"\n",
        header_record=sample.first_record if has_header else None,
    )


def _find_numbered_column(sample: _Sample, wanted: str | None) -> int:
    positions = f"its {sample.width} columns go by position, 1 to {sample.width}"
    if wanted is not None:
        is_position = wanted.isascii() and wanted.isdecimal() and len(wanted) <= _POSITION_DIGITS_MAX
        if not is_position or not 1 <= int(wanted) <= sample.width:
            shown = show_name(wanted)
            raise InvalidList(f"the list has no header, and no column {shown}: {positions}", row=1, column=shown)
        return int(wanted) - 1
    found = [index for index, cell in enumerate(sample.rows[0]) if "@" in cell]
    if len(found) != 1:
        which = ", ".join(str(index + 1) for index in found[:NAMES_SHOWN])
        which = f"columns {which} may each hold the address" if found else "no column can be told to hold the address"
        raise InvalidList(f"the list has no header, and {which}: {positions}; name the one", row=1)
    return found[0]


def _decode_cell(cell: str) -> str:
    try:
        return cell.encode("latin-1").decode()
    except UnicodeDecodeError:
        return cell


def _extend(record: bytes, missing: int, values: Sequence[str], delimiter: str) -> bytes:
    body = record.rstrip(LINE_ENDS)
    return body + (delimiter * (missing + 1) + join_fields(values, delimiter)).encode() + record[len(body) :]
