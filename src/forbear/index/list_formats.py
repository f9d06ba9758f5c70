"""A send list in any format, as a scrub sees it: bytes in, rows with addresses, wanted rows out as bytes.

A scrub knows these shapes and no format. Each format has a module of its own, loaded when a list in it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.csv_list import CsvList
from forbear.index.kernels.blake2s import Bytes
from forbear.index.list_file import ListFile
from forbear.index.list_layout import ListOptions
from forbear.index.ndjson_list import NdjsonList


class ListFormat(StrEnum):
    """What a send list is written in; it comes out as it came in."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Rows(Protocol):
    """A batch of n consecutive rows."""

    @property
    def faults(self) -> Bytes:
        """uint8[n]: why a row has no usable address cell, see `FAULT_WORDS`."""

    def __len__(self) -> int: ...

    def cell(self, place: int) -> bytes | None:
        """The address cell of one row."""

    def make_keys(self, fingerprinter: RowFingerprinter) -> Keys:
        """Fingerprint the addresses."""


_Batch = TypeVar("_Batch", bound=Rows)
_Taken_contra = TypeVar("_Taken_contra", bound=Rows, contravariant=True)


class ListWriter(Protocol[_Taken_contra]):
    """Writes rows of one list in its format, with the columns added that it was opened for."""

    def write(self, rows: _Taken_contra, wanted: npt.NDArray[np.bool_], added: Sequence[Sequence[str]]) -> bytes:
        """The next bytes: the rows for which `wanted` (n of them) holds, and what a list begins with before the first.

        `added` has one item for each wanted row, the values of the added columns; it is empty where there are none.
        """

    def finish(self) -> bytes:
        """The last bytes."""


class SendList(Protocol[_Batch]):
    """Reads one list. After an InvalidList it is of no further use."""

    @property
    def blank_lines(self) -> int:
        """Lines so far that are no rows."""

    def feed(self, data: bytes) -> _Batch | None:
        """Take the next bytes, cut anywhere, and return the rows that they complete, if any. Raises InvalidList."""

    def finish(self) -> Iterator[_Batch]:
        """Give the rows that only the end completes. Raises InvalidList, also for an empty list."""

    def open_writer(self, names: Sequence[str]) -> ListWriter[_Batch]:
        """Write rows of this list, with columns of these names added; not before it gave rows, or was finished."""


def open_list(kind: ListFormat, options: ListOptions, file: ListFile) -> SendList[Any]:
    """Open a list; `file` is used by formats that must be whole before they can be read."""
    match kind:
        case ListFormat.CSV:
            return CsvList(options)
        case ListFormat.NDJSON:
            return NdjsonList(options)
        case ListFormat.PARQUET:
            from forbear.index.parquet_list import ParquetList  # noqa: PLC0415 - loads Arrow, a fifth of a second

            return ParquetList(options, file)
