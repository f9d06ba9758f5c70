"""Records of a suppression file, one at a time and in constant memory.

CSV as RFC 4180 has it, read the way Python's csv module reads it; CR, LF and CRLF each end a line. A quote that
somebody forgot to close must not swallow the opt-outs after it: it is known by never being closed, or by text that
follows its closing quote lines later, and then these lines are read again one by one. Bytes that are not UTF-8 come
in as surrogates (PEP 383), so that a record can be written out again as it was.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol


class Fault(Enum):
    """Why a record could not be read at all; the value says so to its owner."""

    OPEN_QUOTE = "a quote opens here and is never closed"
    TOO_LONG = "the record is too long"
    NOT_JSON = "this is not one JSON object"


class Record(NamedTuple):
    """One record: the line it begins on, counted from 1; its cells, none where it could not be read; its own text."""

    line: int
    cells: list[str]
    raw: str
    fault: Fault | None = None


class Text(Protocol):
    """A text file whose line ends come as they are."""

    def readline(self, size: int = -1, /) -> str:
        """The next line with its end, but not more than `size` characters of it."""


class _Lines:
    """Numbered lines, and what was read of the record under way."""

    def __init__(self, text: Text, characters_max: int) -> None:
        self._text = text
        self._characters_max = characters_max
        self.number = 0
        self.characters = 0
        self.pending: list[str] = []
        self.is_over = False
        """Whether the last of the pending lines is one too many, or too long by itself."""
        self.is_at_end = False

    def feed(self) -> Iterator[str]:
        """Lines for one csv reader, until the file or its patience ends."""
        size = 0
        while line := self._text.readline(self._characters_max + 1):
            self.number += 1
            self.characters += len(line)
            size = size + len(line) if self.pending else len(line)
            self.pending.append(line)
            if size > self._characters_max:
                self.is_over = True
                if len(line) > self._characters_max:
                    self._skip_line()
                return
            yield line
        self.is_at_end = True

    def is_too_long(self, line: str) -> bool:
        """Whether this is but the beginning of a line."""
        return len(line) > self._characters_max

    def _skip_line(self) -> None:
        while (line := self._text.readline(self._characters_max)) and not line.endswith(("\n", "\r")):
            self.characters += len(line)


class CsvReader:
    """Reads records of CSV; blank lines are none."""

    def __init__(self, text: Text, delimiter: str, characters_max: int) -> None:
        """`characters_max` bounds a record: an unclosed quote must not swallow the whole file."""
        self._lines = _Lines(text, characters_max)
        self._delimiter = delimiter
        allow_fields(2 * characters_max)

    @property
    def characters(self) -> int:
        """How much of the file was read."""
        return self._lines.characters

    def __iter__(self) -> Iterator[Record]:
        """Records in the order of the file."""
        lines = self._lines
        while not lines.is_at_end:
            lines.is_over = False
            yield from self._read_until_stopped()
            yield from self._read_singly(lines.pending)

    def _read_until_stopped(self) -> Iterator[Record]:
        lines = self._lines
        first_line = lines.number + 1
        for cells in csv.reader(lines.feed(), delimiter=self._delimiter):
            # The csv reader asks for a line beyond those it got only while a quote is open.
            if lines.is_over or lines.is_at_end:
                return
            pending = lines.pending
            raw = pending[0] if len(pending) == 1 else "".join(pending)
            if len(pending) > 1 and not self._is_well_formed(pending):
                yield from self._read_singly(pending)
            elif cells:
                yield Record(first_line, cells, raw)
            pending.clear()
            first_line = lines.number + 1

    def _is_well_formed(self, pending: list[str]) -> bool:
        try:
            return len(list(csv.reader(pending, delimiter=self._delimiter, strict=True))) == 1
        except csv.Error:
            return False

    def _read_singly(self, pending: list[str]) -> Iterator[Record]:
        first_line = self._lines.number - len(pending) + 1
        singles, pending[:] = pending[:], []
        for line, text in enumerate(singles, first_line):
            if self._lines.is_too_long(text):
                yield Record(line, [], text, Fault.TOO_LONG)
                continue
            cells, is_open = read_line(text, self._delimiter)
            if is_open:
                yield Record(line, [], text, Fault.OPEN_QUOTE)
            elif cells:
                yield Record(line, cells, text)


class JsonLinesReader:
    """Reads one JSON object a line; its cells are the values of the wanted names, "" where it has none."""

    def __init__(self, text: Text, names: list[str], characters_max: int) -> None:
        """`names` are the keys wanted, in the order of the cells."""
        self._lines = _Lines(text, characters_max)
        self._names = names

    @property
    def characters(self) -> int:
        """How much of the file was read."""
        return self._lines.characters

    def __iter__(self) -> Iterator[Record]:
        """Records in the order of the file."""
        lines = self._lines
        while not lines.is_at_end:
            lines.is_over = False
            for text in lines.feed():
                lines.pending.clear()
                if text.strip():
                    yield self._read(lines.number, text)
            if lines.is_over:
                yield Record(lines.number, [], lines.pending.pop(), Fault.TOO_LONG)

    def _read(self, line: int, text: str) -> Record:
        found = read_object(text)
        if found is None:
            return Record(line, [], text, Fault.NOT_JSON)
        return Record(line, [_cell(found.get(name)) for name in self._names], text)


def allow_fields(characters: int) -> None:
    """Let the csv module read fields of this size: its own limit is one for the whole process.

    What protects the memory here is the limit on a record.
    """
    if csv.field_size_limit() < characters:
        csv.field_size_limit(characters)


def read_line(text: str, delimiter: str) -> tuple[list[str], bool]:
    """The cells of one line, and whether a quote is still open at its end."""
    is_open = False

    def feed() -> Iterator[str]:
        nonlocal is_open
        yield text
        is_open = True

    return next(csv.reader(feed(), delimiter=delimiter), []), is_open


def read_object(text: str) -> dict[str, object] | None:
    """One JSON object, or None where the text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
