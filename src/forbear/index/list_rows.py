"""Rows of a send list as bytes: where each record lies, and where its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.kernels.blake2s import Bytes, Indexes
from forbear.index.kernels.records import MISSING_COLUMN, TOO_MANY_FIELDS, copy_records, count_wanted_bytes

NOT_TEXT: Final = 101
REPEATED_KEY: Final = 102
"""More reasons why a record has no usable cell. The kernels do not know them: their numbers keep away from theirs."""

FAULT_WORDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        MISSING_COLUMN: "missing_column",
        TOO_MANY_FIELDS: "too_many_fields",
        NOT_TEXT: "not_text",
        REPEATED_KEY: "repeated_key",
    }
)
"""Why a record has no usable cell, as the outside calls it."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A batch of n consecutive records. No array of it is ever written to again."""

    first_row: int
    """Row number of the first: rows count from 1, the header is row 1 where there is one, blank lines are none."""
    data: Bytes = field(repr=False)
    """The records as they came, one after another; blank lines may lie between them."""
    record_starts: Indexes = field(repr=False)
    record_ends: Indexes = field(repr=False)
    """int64[n] into `data`: where each record lies, its own line end included."""
    cell_data: Bytes = field(repr=False)
    """`data`, and behind it the address cells that do not stand there as they read."""
    cell_starts: Indexes = field(repr=False)
    cell_ends: Indexes = field(repr=False)
    """int64[n] into `cell_data`: the address cell of each, out of its quotes. A negative start where none is usable."""
    faults: Bytes = field(repr=False)
    """uint8[n]: why there is none, see `FAULT_WORDS`; else `NO_FAULT`."""

    def __len__(self) -> int:
        return len(self.faults)

    def record(self, place: int) -> bytes:
        """One record, byte for byte."""
        return self.data[self.record_starts[place] : self.record_ends[place]].tobytes()

    def cell(self, place: int) -> bytes | None:
        """The address cell of one record."""
        start = self.cell_starts[place]
        return None if start < 0 else self.cell_data[start : self.cell_ends[place]].tobytes()

    def copy(self, wanted: Bytes | npt.NDArray[np.bool_]) -> bytes:
        """The records for which `wanted` (n of them) is not 0, one after another, byte for byte."""
        wanted = np.ascontiguousarray(wanted).view(np.uint8)
        out = np.empty(count_wanted_bytes(self.record_starts, self.record_ends, wanted), dtype=np.uint8)
        copy_records(self.data, self.record_starts, self.record_ends, wanted, out)
        return out.tobytes()

    def make_keys(self, fingerprinter: RowFingerprinter) -> Keys:
        """Fingerprint the addresses."""
        return fingerprinter.make(self.cell_data, self.cell_starts, self.cell_ends)
