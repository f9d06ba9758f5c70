"""Kernels of the set of fingerprints: a sorted table with gaps.

A slot is two words of eight bytes, the first read as a big-endian number; zeros stand in an empty slot. A value's
home is its first four bytes scaled to the number of homes. Values stand in ascending order, each at its home or behind
it with no empty slot between, so a search goes forward from the home and ends at a greater value or a gap. The very
last slot stays empty.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from forbear.index.kernels.blocks import swap_bytes
from forbear.index.kernels.table import BLOCK_ROWS

_ONE: Final = np.uint64(1)
_NEXT_LINE: Final = np.uint64(4)
_CHUNK_SLOTS: Final = 4096


@njit(forceinline=True)
def _find_home(first, homes):
    return ((first >> np.uint64(32)) * homes) >> np.uint64(32)


@njit(nogil=True, cache=True)
def add_values(table, homes, values, wanted, begin, has_zero, is_new):
    """Add the wanted rows of `values` (uint64[n, 2], as in memory) from `begin` on, in order; mark those that are new.

    `has_zero` (uint8[1]) stands for the value zero. Gives the row for which the table is too short (else n), and how
    many values were new.
    """
    added, touched = 0, np.uint64(0)
    homes, last = np.uint64(homes), np.uint64(table.shape[0] - 1)
    for block in range(begin, values.shape[0], BLOCK_ROWS):
        end = min(block + BLOCK_ROWS, values.shape[0])
        # As in `kernels.table`: the processor waits for the slots of a whole block at once, two lines of its cache for
        # each, which is as far as most searches go.
        for row in range(block, end):
            home = _find_home(swap_bytes(values[row, 0]), homes)
            touched ^= table[home, 0] ^ table[home + _NEXT_LINE, 0]
        for row in range(block, end):
            if not wanted[row]:
                continue
            first, second = swap_bytes(values[row, 0]), values[row, 1]
            if first | second == 0:
                is_new[row] = has_zero[0] == 0
                added += is_new[row]
                has_zero[0] = 1
                continue
            place = _find_home(first, homes)
            here, beside = table[place, 0], table[place, 1]
            while here | beside != 0 and (here < first or (here == first and beside < second)):
                place += _ONE
                here, beside = table[place, 0], table[place, 1]
            if here == first and beside == second:
                continue
            gap = place
            while table[gap, 0] | table[gap, 1] != 0:
                gap += _ONE
            if gap == last:
                return row, added, touched
            while gap > place:
                table[gap, 0] = table[gap - _ONE, 0]
                table[gap, 1] = table[gap - _ONE, 1]
                gap -= _ONE
            table[place, 0] = first
            table[place, 1] = second
            is_new[row] = 1
            added += 1
    # Handed back so that the compiler cannot leave the first loop out.
    return values.shape[0], added, touched


@njit(nogil=True, cache=True)
def find_end(table):
    """The slot behind the last value."""
    end = table.shape[0]
    while end > 0 and table[end - 1, 0] | table[end - 1, 1] == 0:
        end -= 1
    return end


@njit(nogil=True, cache=True)
def spread_values(table, end, old_homes, homes):
    """Move the values that stand before `end` to their places for more homes; the table is already long enough.

    It goes from back to front, a chunk between two gaps at a time, and so needs no second table. A gap at slot g
    stays one: what stands before it belongs before g * homes / old_homes, what stands behind it belongs behind. For a
    value whose old home is h has at most g - h - 1 others between itself and the gap, and its new home lies at least
    g - h - 1 slots and one before that border.
    """
    chunk = np.empty((2 * _CHUNK_SLOTS, 2), dtype=np.uint64)
    new_homes, bound = np.uint64(homes), table.shape[0]
    while end > 0:
        begin = max(end - _CHUNK_SLOTS, 0)
        while begin > 0 and table[begin - 1, 0] | table[begin - 1, 1] != 0:
            begin -= 1
        if end - begin > chunk.shape[0]:
            chunk = np.empty((end - begin, 2), dtype=np.uint64)
        count = np.uint64(0)
        for place in range(begin, end):
            first, second = table[place, 0], table[place, 1]
            chunk[count, 0] = first
            chunk[count, 1] = second
            count += np.uint64(first | second != 0)
        border = ((begin - 1) * homes + old_homes - 1) // old_homes if begin > 0 else 0
        table[border:bound] = 0
        free = np.uint64(0)
        for number in range(count):
            first, second = chunk[number, 0], chunk[number, 1]
            free = max(free, _find_home(first, new_homes))
            table[free, 0] = first
            table[free, 1] = second
            free += _ONE
        end, bound = begin, border
