"""A set of fingerprints that only grows: which rows of a send list have been seen before.

Sixteen tables share the values by their leading bits. Each is open addressed in buckets of 32 slots; a value that
finds its bucket full goes into the next one. A full table is built anew a quarter larger while the others stay
as they are, so that the old and the new form of a sixteenth of the set is all that ever exists twice.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FINGERPRINT_BYTES = 16

_Halves = npt.NDArray[np.uint64]
_Indexes = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

_TABLE_BITS = 4
_BUCKET_SLOTS = 32
_BUCKETS_AT_FIRST = 8
_LOAD_MAX = 0.8
_GROWTH = 1.25
_BUCKETS_MOVED_AT_ONCE = 512


class FingerprintSet:
    """A set of 128-bit values, compared in full, in at most 32 bytes each.

    It is quick for values that are spread evenly, as the output of a keyed hash is, and exact for all.
    """

    def __init__(self) -> None:
        self._tables = [_Table() for _ in range(1 << _TABLE_BITS)]
        self._edges = np.arange(1, 1 << _TABLE_BITS, dtype=np.uint64) << np.uint64(64 - _TABLE_BITS)

    def __len__(self) -> int:
        return sum(table.size for table in self._tables)

    def add_all(self, fingerprints: Sequence[bytes]) -> list[bool]:
        """Add values of 16 bytes; say for each whether it is new. Of equal ones in a batch the first alone is new."""
        if not {FINGERPRINT_BYTES}.issuperset(map(len, fingerprints)):
            raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes")
        halves = np.frombuffer(b"".join(fingerprints), dtype=np.uint64).reshape(-1, 2)
        order = _sort(halves)
        halves = halves[order]
        is_first = np.ones(len(halves), dtype=np.bool_)
        is_first[1:] = (halves[1:] != halves[:-1]).any(axis=1)
        high, low = halves[is_first].T
        parts = np.searchsorted(high, self._edges)
        added = map(_Table.add, self._tables, np.split(high, parts), np.split(low, parts))
        is_new = np.zeros(len(halves), dtype=np.bool_)
        is_new[order[is_first]] = np.concatenate(list(added))
        return is_new.tolist()

    def add_rows(self, keys: npt.NDArray[np.uint32], wanted: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Add those rows of uint32[n, 4] for which `wanted` is not 0; 1 where one is wanted and new."""
        is_new = np.zeros(len(keys), dtype=np.uint8)
        rows = np.flatnonzero(wanted)
        is_new[rows] = self.add_all([keys[row].tobytes() for row in rows])
        return is_new


class _Table:
    """One part of the set: two arrays of slots, bucket after bucket, each bucket filled from the left."""

    def __init__(self, buckets: int = _BUCKETS_AT_FIRST) -> None:
        self.size = 0
        self._buckets = buckets
        self._high = _map_zeros(buckets * _BUCKET_SLOTS)
        self._low = _map_zeros(buckets * _BUCKET_SLOTS)
        self._filled = np.zeros(buckets, dtype=np.int8)

    def add(self, high: _Halves, low: _Halves) -> _Flags:
        """Add values that differ from each other, in their order; say for each whether it is new."""
        needed = self.size + len(high)
        if needed > self._buckets * _BUCKET_SLOTS * _LOAD_MAX:
            self._grow(needed)
        is_new = np.ones(len(high), dtype=np.bool_)
        asked = np.arange(len(high))
        at = self._find_buckets(high)
        while len(asked):
            is_known = self._look_up(at, high[asked], low[asked])
            is_new[asked[is_known]] = False
            asked, at = asked[~is_known], at[~is_known]
            is_left = ~self._put(at, high[asked], low[asked])
            # Whatever found no room found a full bucket, so the search for it goes on in the next.
            asked, at = self._advance(asked[is_left], at[is_left])
        return is_new

    def _look_up(self, at: _Indexes, high: _Halves, low: _Halves) -> _Flags:
        """Say for each value whether its bucket holds it."""
        is_known = np.zeros(len(at), dtype=np.bool_)
        row, slot = np.nonzero(self._high.reshape(-1, _BUCKET_SLOTS).take(at, axis=0) == high[:, np.newaxis])
        if len(row):
            is_same = self._low[at[row] * _BUCKET_SLOTS + slot] == low[row]
            is_known[row[is_same & (slot < self._filled[at[row]])]] = True
        return is_known

    def _put(self, at: _Indexes, high: _Halves, low: _Halves) -> _Flags:
        """Put each value into its bucket where there is room; buckets are given in ascending order."""
        numbers = np.arange(len(at))
        is_first = np.ones(len(at), dtype=np.bool_)
        np.not_equal(at[1:], at[:-1], out=is_first[1:])
        place_among_equals = numbers - np.maximum.accumulate(numbers * is_first)
        slot = self._filled.take(at) + place_among_equals
        has_room = slot < _BUCKET_SLOTS
        bucket, slot = at[has_room], slot[has_room]
        place = bucket * _BUCKET_SLOTS + slot
        self._high[place] = high[has_room]
        self._low[place] = low[has_room]
        # Of equal indexes the last one stays, and it has the highest slot.
        self._filled[bucket] = slot + 1
        self.size += len(place)
        return has_room

    def _advance(self, numbers: _Indexes, at: _Indexes) -> tuple[_Indexes, _Indexes]:
        at = at + 1
        if len(at) and at[-1] == self._buckets:
            at %= self._buckets
            order = np.argsort(at, kind="stable")
            return numbers[order], at[order]
        return numbers, at

    def _find_buckets(self, high: _Halves) -> _Indexes:
        # The bits that follow those which chose the table, scaled to the number of buckets: ascending like the values.
        bits = (high << np.uint64(_TABLE_BITS)) >> np.uint64(32)
        return ((bits * np.uint64(self._buckets)) >> np.uint64(32)).astype(np.int64)

    def _grow(self, needed: int) -> None:
        enough = int(needed / (_BUCKET_SLOTS * _LOAD_MAX)) + 1
        larger = _Table(max(int(self._buckets * _GROWTH), enough))
        slots = np.arange(_BUCKET_SLOTS, dtype=np.int8)
        for start in range(0, self._buckets, _BUCKETS_MOVED_AT_ONCE):
            filled = self._filled[start : start + _BUCKETS_MOVED_AT_ONCE]
            place = start * _BUCKET_SLOTS + np.flatnonzero(slots < filled[:, np.newaxis])
            larger._move_in(self._high[place], self._low[place])
        self._buckets = larger._buckets
        self._high, self._low, self._filled = larger._high, larger._low, larger._filled

    def _move_in(self, high: _Halves, low: _Halves) -> None:
        """Put in values that the table does not hold, in any order."""
        at = self._find_buckets(high)
        left = np.argsort(at, kind="stable")
        at = at[left]
        while len(left):
            is_left = ~self._put(at, high[left], low[left])
            left, at = self._advance(left[is_left], at[is_left])


def _map_zeros(count: int) -> _Halves:
    # Pages of their own go back to the system at once when a table is replaced; those of the heap, cut up by tables
    # that each are a little larger than the last, would stay.
    pages = mmap.mmap(-1, count * 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype=np.uint64)


def _sort(halves: _Halves) -> _Indexes:
    order = np.argsort(halves[:, 0])
    high = halves[order, 0]
    if (high[1:] != high[:-1]).all():
        return order
    # Equal values stay in the order in which they came.
    return np.lexsort((halves[:, 1], halves[:, 0]))
