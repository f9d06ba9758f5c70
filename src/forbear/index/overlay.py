"""What has changed since the mapped table was built: a small table in memory that is asked first.

One task writes while threads search. A search that began before a write may miss it, which is right: whoever must
not miss it began after the write had ended (see `forbear.services.standings`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from forbear.index.kernels.blake2s import Words
from forbear.index.kernels.table import SLOT_WORDS, put

_SLOTS_AT_FIRST: Final = 1024
_LOAD_MAX: Final = 0.5
SPARE_SLOTS: Final = 256
"""Slots behind the last home, at first, for keys that are pushed beyond it; the very last one is never filled."""


class Overlay:
    """Numbers of rule sets by fingerprint. A key whose number is 0 says that nothing stands."""

    def __init__(self) -> None:
        """Begin empty."""
        table = np.zeros((_SLOTS_AT_FIRST + SPARE_SLOTS, SLOT_WORDS), dtype=np.uint32)
        self._state = table, _SLOTS_AT_FIRST
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def memory_bytes(self) -> int:
        """What the table takes."""
        return self._state[0].nbytes

    def view(self) -> tuple[Words, int]:
        """The table, and how many of its slots are homes; both of one moment."""
        return self._state

    def put(self, keys: Words, numbers: Words) -> None:
        """Write or overwrite: `keys` is uint32[n, 4], `numbers` uint32[n]."""
        table, slots = self._state
        needed = int((self._size + len(keys)) / _LOAD_MAX)
        if needed > slots:
            table, slots = self._grow(max(needed, slots * 2))
        stored = (numbers + np.uint32(1)).astype(np.uint32)
        keys = np.ascontiguousarray(keys)
        while (new := put(table, slots, keys, stored)) < 0:
            # Too many keys are pushed beyond the last home; those that found room are counted by growing.
            table, slots = self._grow(slots, spare=2 * (len(table) - slots))
        self._size += new

    def _grow(self, slots: int, spare: int = SPARE_SLOTS) -> tuple[Words, int]:
        old, _ = self._state
        filled = np.ascontiguousarray(old[old[:, 4] != 0])
        keys, stored = np.ascontiguousarray(filled[:, :4]), np.ascontiguousarray(filled[:, 4])
        while True:
            table = np.zeros((slots + spare, SLOT_WORDS), dtype=np.uint32)
            if put(table, slots, keys, stored) >= 0:
                # Searches under way go on in the old table.
                self._state, self._size = (table, slots), len(filled)
                return self._state
            spare *= 2
