"""A send list as JSON lines: one object a line (RFC 8259), by line feeds; lines come out byte for byte as they came in.

A line is read by orjson, which takes the last of several equal keys and says nothing. Whoever mails may take the first;
so a line that could hold the address twice is read once more, with all its keys, and is refused if it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import orjson

from forbear.domain.errors import InvalidList
from forbear.index.kernels.blake2s import Bytes
from forbear.index.kernels.records import MISSING_COLUMN, NO_FAULT
from forbear.index.list_columns import find_named_column, refuse_added_columns
from forbear.index.list_layout import UTF8_BOM, ListOptions, check_format
from forbear.index.list_rows import NOT_TEXT, REPEATED_KEY, Rows

SAMPLE_ROWS: Final = 100
"""Rows from which the address column is found: many programs leave a key out where there is no value."""
_SAMPLE_RECORDS: Final = 2
"""In bytes: so many records of the greatest length."""
_KNOWN_NAMES_MAX: Final = 10_000
_SPACE: Final = b" \t\r\n"
"""White space of JSON, and so all that a blank line may hold."""
_BEGINNING_BYTES: Final = 4

_Pairs = list[tuple[str, Any]]


class NdjsonList:
    """Reads one list. After an InvalidList it is of no further use."""

    def __init__(self, options: ListOptions) -> None:
        self.blank_lines = 0
        """Lines so far that are no rows."""
        self._options = options
        self._column: _Column | None = None
        self._rows = 0
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._byte_order_mark: bytes | None = None
        # Names that were found to be none of those that will be added.
        self._known_names: set[str] = set()

    def feed(self, data: bytes) -> Rows | None:
        """Take the next bytes and return the rows that they complete. Raises InvalidList."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        if b"\n" not in data and self._held_bytes <= self._options.record_bytes_max:
            return None
        return self._read(is_end=False)

    def finish(self) -> Iterator[Rows]:
        """Give the last rows; the last line may lack its end. Raises InvalidList, also for an empty list."""
        rows = self._read(is_end=True)
        if not self._rows:
            raise InvalidList("the list is empty")
        if rows is not None:
            yield rows

    def open_writer(self, names: Sequence[str]) -> NdjsonWriter:
        """Write rows of this list, with columns added."""
        return NdjsonWriter(names)

    def _read(self, *, is_end: bool) -> Rows | None:
        block = self._begin(b"".join(self._pieces), is_end=is_end)
        end = len(block) if is_end else block.rfind(b"\n") + 1
        lines = _split(block[:end])
        wanted = [line for line in lines if line.strip(_SPACE)]
        if self._column is None:
            if not is_end and len(wanted) < SAMPLE_ROWS and len(block) <= self._sample_bytes_max:
                self._hold(block)
                return None
            self._column = self._find_column(wanted)
        self._hold(block[end:])
        self.blank_lines += len(lines) - len(wanted)
        rows = self._read_lines(wanted, self._column) if wanted and self._column else None
        self._check_length(self._held_bytes, self._rows + 1)
        return rows

    @property
    def _sample_bytes_max(self) -> int:
        return _SAMPLE_RECORDS * self._options.record_bytes_max

    def _begin(self, block: bytes, *, is_end: bool) -> bytes:
        """Look at the first bytes, and take a byte order mark away: it goes with the first row, but is not read."""
        if self._byte_order_mark is None and (len(block) >= _BEGINNING_BYTES or is_end):
            check_format(block)
            self._byte_order_mark = UTF8_BOM if block.startswith(UTF8_BOM) else b""
            return block.removeprefix(UTF8_BOM)
        return block

    def _hold(self, rest: bytes) -> None:
        self._pieces, self._held_bytes = [rest], len(rest)

    def _find_column(self, lines: Sequence[bytes]) -> _Column | None:
        """Find the key of the address in the first rows, however many have been seen; None where there are no rows."""
        size_bytes, sample = 0, list[dict[str, Any]]()
        for row, line in enumerate(lines[:SAMPLE_ROWS], 1):
            size_bytes += len(line)
            if sample and size_bytes > self._sample_bytes_max:
                break
            self._check_length(len(line), row)
            sample.append(_read_object(line, row))
        if not sample:
            return None
        names = tuple(dict.fromkeys(name for found in sample for name in found))
        rows = [[text if isinstance(text := found.get(name), str) else "" for name in names] for found in sample]
        first_row = next((row for row in rows if any("@" in cell for cell in row)), ())
        return _Column.make(names[find_named_column(names, first_row, self._options.column)])

    def _read_lines(self, lines: list[bytes], column: _Column) -> Rows:
        first_row = self._rows + 1
        cells: list[bytes | None] = []
        faults = bytearray(len(lines))
        for place, line in enumerate(lines):
            self._check_length(len(line), first_row + place)
            found = _read_object(line, first_row + place)
            if self._options.added_columns:
                self._check_names(found, first_row + place)
            cell, faults[place] = column.pick(found, line, first_row + place)
            cells.append(cell)
        if first_row == 1:
            lines[0] = (self._byte_order_mark or b"") + lines[0]
        self._rows += len(lines)
        return _make_rows(first_row, lines, cells, np.frombuffer(faults, dtype=np.uint8))

    def _check_length(self, size_bytes: int, row: int) -> None:
        if size_bytes > self._options.record_bytes_max:
            raise InvalidList(f"row {row} is longer than {self._options.record_bytes_max} bytes", row=row)

    def _check_names(self, found: dict[str, Any], row: int) -> None:
        if new := found.keys() - self._known_names:
            refuse_added_columns(new, self._options.added_columns, row)
            if len(self._known_names) < _KNOWN_NAMES_MAX:
                self._known_names |= new


@dataclass(frozen=True, slots=True)
class _Column:
    """The key of the address, and by what it can be seen that a line may hold it twice."""

    name: str
    written: bytes
    """How it is written where nothing is escaped."""
    escape: re.Pattern[bytes]
    """What is in every line that has it in another spelling."""

    @classmethod
    def make(cls, name: str) -> _Column:
        return cls(name, json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass"), _escape_of(name))

    def pick(self, found: dict[str, Any], line: bytes, row: int) -> tuple[bytes | None, int]:
        """The address of a line, or why there is none that can be used."""
        may_repeat = line.count(self.written) > 1 or (b"\\" in line and self.escape.search(line))
        if may_repeat and sum(name == self.name for name, _ in _read_pairs(line, row)) > 1:
            return None, REPEATED_KEY
        value = found.get(self.name)
        if value is None:
            return None, MISSING_COLUMN
        if not isinstance(value, str):
            return None, NOT_TEXT
        # Half of a surrogate pair may stand in JSON; it is no text, and so no address.
        return value.encode("utf-8", "surrogatepass"), NO_FAULT


class NdjsonWriter:
    """Writes rows byte for byte as they came in, unless columns are added: those become the last keys."""

    def __init__(self, names: Sequence[str]) -> None:
        self._keys = [orjson.dumps(name) + b":" for name in names]

    def write(self, rows: Rows, wanted: npt.NDArray[np.bool_], added: Sequence[Sequence[str]]) -> bytes:
        """The wanted rows."""
        if not self._keys:
            return rows.copy(wanted)
        places = np.flatnonzero(wanted).tolist()
        return b"".join([self._extend(rows.record(place), values) for place, values in zip(places, added, strict=True)])

    def finish(self) -> bytes:
        """Nothing."""
        return b""

    def _extend(self, record: bytes, values: Sequence[str]) -> bytes:
        body = record.rstrip(_SPACE)
        # What ends in a bracket before the last one is an object without any key.
        comma = b"" if body[:-1].rstrip(_SPACE).endswith(b"{") else b","
        members = b",".join([key + orjson.dumps(value) for key, value in zip(self._keys, values, strict=True)])
        return body[:-1] + comma + members + b"}" + record[len(body) :]


def _escape_of(name: str) -> re.Pattern[bytes]:
    # Of ASCII, only these have short escapes; all others are escaped by their number, below 0x80.
    is_plain = name.isascii() and name.isprintable() and not set(name) & set('"\\/')
    return re.compile(rb"\\u00[2-7]" if is_plain else rb"\\")


def _split(block: bytes) -> list[bytes]:
    """Lines, each with its line feed; the last may have none."""
    lines = block.split(b"\n")
    last = lines.pop()
    return [*(line + b"\n" for line in lines), *([last] if last else [])]


def _read_object(line: bytes, row: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        # It reads no number beyond a double and no half of a surrogate pair, both of which are JSON.
        found = dict(_read_pairs(line, row))
    if not isinstance(found, dict):
        raise InvalidList(f"row {row} is no JSON object: this format has one a line", row=row)
    return found


def _read_pairs(line: bytes, row: int) -> _Pairs:
    """The keys and values of one line as they stand there, equal keys too. Objects within come as lists."""
    try:
        found: _Pairs = json.loads(
            line.decode(), object_pairs_hook=list, parse_constant=_refuse, parse_int=_Number, parse_float=_Number
        )
    except UnicodeDecodeError as error:
        raise InvalidList(f"row {row} is not UTF-8", row=row) from error
    except (ValueError, RecursionError) as error:
        raise InvalidList(f"row {row} is not valid JSON", row=row) from error
    if not line.lstrip(_SPACE).startswith(b"{"):
        raise InvalidList(f"row {row} is no JSON object: this format has one a line", row=row)
    return found


class _Number:
    """A number of any size, which nobody looks at."""

    def __init__(self, text: str) -> None:
        pass


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _make_rows(first_row: int, lines: Sequence[bytes], cells: Sequence[bytes | None], faults: Bytes) -> Rows:
    ends, cell_ends = (np.cumsum([len(part or b"") for part in parts], dtype=np.int64) for parts in (lines, cells))
    starts, cell_starts = ends.copy(), cell_ends.copy()
    starts[1:], cell_starts[1:] = ends[:-1], cell_ends[:-1]
    starts[:1] = cell_starts[:1] = 0
    cell_starts[faults != NO_FAULT] = -1
    data, cell_data = (np.frombuffer(b"".join(filter(None, parts)), dtype=np.uint8) for parts in (lines, cells))
    return Rows(first_row, data, starts, ends, cell_data, cell_starts, cell_ends, faults)
