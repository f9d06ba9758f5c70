"""Postal addresses of the rows of a send list, from several columns of each; row by row, in Python.

The first column, the name, is the address column of the list, so what is wrong with it is told as in every list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from forbear.domain.errors import InvalidInput, InvalidList
from forbear.domain.postal_address import PostalFields
from forbear.index.csv_list import CsvList
from forbear.index.kernels.records import NO_FAULT
from forbear.index.list_columns import find_named_column
from forbear.index.list_layout import UTF8_BOM, ListLayout
from forbear.index.list_records import LINE_ENDS, split_fields
from forbear.index.list_rows import Rows

COLUMNS_MIN: Final = 4
COLUMNS_MAX: Final = 13


class PostalReader:
    """Reads the addresses of one list, in CSV or JSON lines."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Take the columns in order: name, one or more lines, postcode, country. Raises `InvalidInput`."""
        if not COLUMNS_MIN <= len(columns) <= COLUMNS_MAX or len(set(columns)) < len(columns) or not all(columns):
            raise InvalidInput("the columns of a postal address are: name, one or more lines, postcode, country")
        self._columns = tuple(columns)
        self._indexes: tuple[int, ...] | None = None

    def read(self, listed: object, rows: Rows) -> list[PostalFields | None]:
        """The address of each row of the list; None where a row has none. Raises `InvalidList`."""
        found = self._read_csv(listed, rows) if isinstance(listed, CsvList) else self._read_json(rows)
        return [None if values is None else _make_fields(values) for values in found]

    def _read_csv(self, listed: CsvList, rows: Rows) -> Iterator[list[str] | None]:
        layout = listed.layout
        if self._indexes is None:
            self._indexes = tuple(_find_column(layout, name) for name in self._columns)
        for place in range(len(rows)):
            record = rows.record(place).removeprefix(UTF8_BOM).rstrip(LINE_ENDS)
            is_usable = rows.faults[place] == NO_FAULT
            yield _pick(split_fields(record, layout.delimiter), self._indexes) if is_usable else None

    def _read_json(self, rows: Rows) -> Iterator[list[str] | None]:
        for place in range(len(rows)):
            yield self._pick_values(rows.record(place)) if rows.faults[place] == NO_FAULT else None

    def _pick_values(self, line: bytes) -> list[str] | None:
        try:
            pairs: list[tuple[str, Any]] = _JSON.decode(line.decode("utf-8-sig").strip())
        except RecursionError:
            # Nested deeper than Python reads; the list itself is read by another parser.
            return None
        wanted = [(name, value) for name, value in pairs if name in self._columns]
        found = dict(wanted)
        values = [found.get(name) for name in self._columns]
        # Whoever prints may take the first of two equal keys or the last, and nobody knows which.
        is_single = len(found) == len(wanted)
        is_text = all(value is None or isinstance(value, str) for value in values)
        return [value or "" for value in values] if is_single and is_text else None


_JSON: Final = json.JSONDecoder(object_pairs_hook=lambda found: found, parse_int=float)
"""Keeps equal keys apart. Numbers are not looked at, and Python refuses long whole ones."""


def _find_column(layout: ListLayout, name: str) -> int:
    if layout.has_header:
        return find_named_column(layout.column_names, (), name)
    if not name.isascii() or not name.isdecimal() or not 1 <= int(name) <= layout.width:
        raise InvalidList("without a header, columns are named by their positions from 1", row=1)
    return int(name) - 1


def _pick(fields: list[str], indexes: Sequence[int]) -> list[str] | None:
    """The fields at these places, which were read as Latin-1; None where one is missing or is not UTF-8."""
    if max(indexes) >= len(fields):
        return None
    try:
        return [fields[index].encode("latin-1").decode() for index in indexes]
    except UnicodeDecodeError:
        return None


def _make_fields(values: Sequence[str]) -> PostalFields:
    name, *lines, postcode, country = values
    return PostalFields(name, tuple(lines), postcode, country)
