"""A set of fingerprints that only grows: which rows of a send list have been seen before.

One sorted table with gaps (see `kernels.fingerprint_set`). When it gets too full its memory is made longer where it
lies and the values are spread anew, so no second table ever exists.
"""

from __future__ import annotations

import mmap
from typing import Final

import numpy as np
import numpy.typing as npt

from forbear.index.kernels.blake2s import Bytes, Words
from forbear.index.kernels.fingerprint_set import add_values, find_end, spread_values

_SLOT_BYTES: Final = 16
_HOMES_AT_FIRST: Final = 1024
_LOAD_MAX: Final = 0.75
_GROWTH: Final = 1.4
_SPARE_SLOTS: Final = 256
"""Slots behind the last home, for values that are pushed beyond it. At least five, as `add_values` looks ahead."""


class FingerprintSet:
    """A set of 128-bit values, compared in full, in at most 30 bytes each once they are many.

    It is quick for values that are spread evenly, as the output of a keyed hash is, and exact for all.
    """

    def __init__(self) -> None:
        self._size = 0
        self._homes = _HOMES_AT_FIRST
        # Pages of their own go back to the system at once when the set goes.
        self._memory = mmap.mmap(-1, (_HOMES_AT_FIRST + _SPARE_SLOTS) * _SLOT_BYTES, mmap.MAP_PRIVATE)
        self._has_zero = np.zeros(1, dtype=np.uint8)

    def __len__(self) -> int:
        return self._size

    @property
    def memory_bytes(self) -> int:
        """What the table takes."""
        return len(self._memory)

    def add_rows(self, keys: Words, wanted: Bytes) -> Bytes:
        """Add the rows of `keys` (uint32[n, 4]) where `wanted` (uint8[n]) is not 0.

        Says with 1 which of them are new (uint8[n]). Of equal ones in a batch the first alone is.
        """
        values = np.ascontiguousarray(keys).view(np.uint64)
        needed = self._size + int(np.count_nonzero(wanted))
        if needed > self._homes * _LOAD_MAX:
            self._grow(max(int(self._homes * _GROWTH), int(needed / _LOAD_MAX) + 1))
        is_new = np.zeros(len(values), dtype=np.uint8)
        row = 0
        while True:
            row, added, _ = add_values(self._view(), self._homes, values, wanted, row, self._has_zero, is_new)
            self._size += added
            if row == len(values):
                return is_new
            # Too many values are pushed beyond the last home.
            self._memory.resize(self.memory_bytes * 2)

    def _grow(self, homes: int) -> None:
        end = find_end(self._view())
        spare = max(_SPARE_SLOTS, end * homes // self._homes + _SPARE_SLOTS - homes)
        self._memory.resize((homes + spare) * _SLOT_BYTES)
        spread_values(self._view(), end, self._homes, homes)
        self._homes = homes

    def _view(self) -> npt.NDArray[np.uint64]:
        """The slots. No view may outlive the call it is made for: the memory could not be made longer."""
        return np.frombuffer(self._memory, dtype=np.uint64).reshape(-1, 2)
