"""What has changed since the mapped table was built: a small table in memory that is asked first.

One task writes while threads search. What is written stays hidden until `show`: each slot carries the version that
wrote it, and a search for the versions until then is told of a newer slot that it is changing. So all that one search
finds was in force together, at the moment when its view was taken, however many keys it looks at and however long.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from forbear.index.kernels.blake2s import Words
from forbear.index.kernels.table import OVERLAY_WORDS, put

LongWords = npt.NDArray[np.uint64]

_SLOTS_AT_FIRST: Final = 1024
_LOAD_MAX: Final = 0.5
VERSION_MAX: Final = 2**32 - 2
"""Versions have 32 bits; those who come to the end of them begin again."""
SPARE_SLOTS: Final = 256
"""Slots behind the last home, at first, for keys that are pushed beyond it; the very last one is never filled."""


class View(NamedTuple):
    """One moment of an overlay: the table, how many of its slots are homes, and the newest version that is shown."""

    table: LongWords
    slots: int
    version: int


class Overlay:
    """Numbers of rule sets by fingerprint. A key whose number is 0 says that nothing stands."""

    def __init__(self) -> None:
        """Begin empty."""
        table = np.zeros((_SLOTS_AT_FIRST + SPARE_SLOTS, OVERLAY_WORDS), dtype=np.uint64)
        self._view = View(table, _SLOTS_AT_FIRST, 0)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def memory_bytes(self) -> int:
        """What the table takes."""
        return self._view.table.nbytes

    def view(self) -> View:
        """What is shown now."""
        return self._view

    def put(self, keys: Words, numbers: Words) -> None:
        """Write or overwrite, hidden until `show`: `keys` is uint32[n, 4], `numbers` uint32[n]."""
        needed = int((self._size + len(keys)) / _LOAD_MAX)
        if needed > self._view.slots:
            self._grow(max(needed, self._view.slots * 2))
        hidden = np.uint64((self._view.version + 1) << 32)
        self._put(keys, numbers.astype(np.uint64) + np.uint64(1) | hidden)

    def show(self) -> None:
        """Let searches that begin from now on find all that was put."""
        table, slots, version = self._view
        if version < VERSION_MAX - 1:
            self._view = View(table, slots, version + 1)
        else:
            # In a table of its own: searches under way go by the versions of the old one.
            table = table.copy()
            table[:, 2] &= np.uint64(2**32 - 1)
            self._view = View(table, slots, 0)

    def _put(self, keys: Words, values: LongWords) -> None:
        keys = np.ascontiguousarray(keys)
        while (new := put(self._view.table, self._view.slots, keys, values)) < 0:
            # Too many keys are pushed beyond the last home; those that found room are counted by growing.
            self._grow(self._view.slots, spare=2 * (len(self._view.table) - self._view.slots))
        self._size += new

    def _grow(self, slots: int, spare: int = SPARE_SLOTS) -> None:
        old = self._view.table
        filled = np.ascontiguousarray(old[old[:, 2] != 0])
        keys, values = filled[:, :2].copy().view(np.uint32), np.ascontiguousarray(filled[:, 2])
        while True:
            table = np.zeros((slots + spare, OVERLAY_WORDS), dtype=np.uint64)
            if put(table, slots, keys, values) >= 0:
                # Searches under way go on in the old table.
                self._view, self._size = View(table, slots, self._view.version), len(filled)
                return
            spare *= 2
