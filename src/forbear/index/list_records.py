"""CSV records as raw bytes: where each begins and ends, and its fields.

RFC 4180, read the way Python's csv module reads it (not strict): a quote is special only at the start of a field,
and CR, LF and CRLF each end a record outside quotes. Fields come out of that very module, so the two cannot differ.
Text here is Latin-1, one character a byte, whatever the list's encoding: every delimiter and quote is ASCII, and
in UTF-8 no other character holds such a byte.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

QUOTE = b'"'
LINE_ENDS = b"\r\n"
BLANK_LINES = frozenset((b"\n", b"\r\n", b"\r"))


@dataclass(frozen=True, slots=True)
class OpenQuote:
    """Where the quote stands that a record leaves open: its field from 1, and line breaks of the record before it."""

    field_number: int
    lines_before: int


def find_lines_end(block: bytes) -> int:
    """Find the offset after the last certain line end: a CR as the very last byte may be half of a CRLF."""
    after_line_feed = block.rfind(b"\n") + 1
    return max(after_line_feed, block.rfind(b"\r", after_line_feed, -1) + 1)


def parse_lines(lines: Sequence[bytes], delimiter: str) -> Iterator[tuple[int, list[str], bool]]:
    """Parse whole lines (their ends included) into records.

    Yields the number of lines read so far, the record's fields (Latin-1, none for a blank line), and whether its
    quote was still open when the lines ran out, which can only be so for the last one.
    """
    has_run_out = False

    def decode() -> Iterator[str]:
        nonlocal has_run_out
        yield from map(bytes.decode, lines, repeat("latin-1"))
        has_run_out = True

    _allow_fields(sum(map(len, lines)))
    reader = csv.reader(decode(), delimiter=delimiter)
    for fields in reader:
        # The reader asks for a line beyond the last only while a quote is open.
        yield reader.line_num, fields, has_run_out


def split_fields(record: bytes, delimiter: str) -> list[str]:
    """Split one whole record into its fields (Latin-1)."""
    lines = record.splitlines(keepends=True)
    return next((fields for _, fields, _ in parse_lines(lines, delimiter)), [])


def count_fields(record: bytes, delimiter: str) -> int:
    """Count the fields of one whole record."""
    if QUOTE in record:
        return len(split_fields(record, delimiter))
    return record.count(delimiter.encode()) + 1


def find_open_quote(record: bytes, delimiter: str) -> OpenQuote | None:
    """Find the quote that the beginning of a record leaves open, if one is."""
    for _, fields, is_open in parse_lines(record.splitlines(keepends=True), delimiter):
        if is_open:
            # Line breaks before it can only stand inside earlier quoted fields.
            before = sum(len(f"{field}.".encode("latin-1").splitlines()) - 1 for field in fields[:-1])
            return OpenQuote(len(fields), before)
    return None


def is_well_formed(record: bytes, delimiter: str) -> bool:
    """Whether every quoted field of a record ends at its closing quote, as RFC 4180 wants."""
    _allow_fields(len(record))
    try:
        next(csv.reader([record.decode("latin-1")], delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


def join_fields(values: Sequence[str], delimiter: str) -> str:
    """Write values as the fields of a record, in quotes where they need them."""
    joined = delimiter.join(values)
    # Most of what is added are links, in which nothing is special: one look at all of them is enough.
    if joined.count(delimiter) >= len(values) or _find_quotable(joined):
        return delimiter.join([_quote(value, delimiter) for value in values])
    return joined


_find_quotable = re.compile('["\r\n]').search


def _quote(value: str, delimiter: str) -> str:
    if delimiter in value or _find_quotable(value):
        return '"' + value.replace('"', '""') + '"'
    return value


def _allow_fields(size_bytes: int) -> None:
    # The csv module's own limit (131,072 by default, one for the whole process) is smaller than a field may be;
    # what protects the memory here is the limit on a record.
    if csv.field_size_limit() < size_bytes:
        csv.field_size_limit(size_bytes)
