"""Kernels of the tables that map a fingerprint to the number of its rule set.

A slot is five words: the four of the fingerprint, and the number; number 0 stands in an empty slot of the mapped
table, while in the overlay, where 0 is an answer, numbers are stored one higher.
A fingerprint's place comes from its first four bytes, taken as a big-endian number and scaled to the table, so that
keys in ascending order fill it from front to back. A search goes forward from there to the first empty slot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

SLOT_WORDS: Final = 5
BLOCK_ROWS: Final = 64


@njit(forceinline=True)
def _big_endian(word):
    first = np.uint64(word)
    return (
        ((first & np.uint64(0xFF)) << np.uint64(24))
        | ((first & np.uint64(0xFF00)) << np.uint64(8))
        | ((first >> np.uint64(8)) & np.uint64(0xFF00))
        | (first >> np.uint64(24))
    )


@njit(forceinline=True)
def find_home(word, slots):
    """The slot at which the search for a fingerprint begins, by its first word."""
    return np.int64((_big_endian(word) * np.uint64(slots)) >> np.uint64(32))


@njit(forceinline=True)
def find_in_order(table, slots, key, row):
    """The same as `find_number` in a table that was filled in ascending order: it can stop at a greater key."""
    place = find_home(key[row, 0], slots)
    own = _big_endian(key[row, 0])
    while table[place, 4] != 0:
        if table[place, 0] == key[row, 0]:
            if table[place, 1] == key[row, 1] and table[place, 2] == key[row, 2] and table[place, 3] == key[row, 3]:
                return table[place, 4]
        elif _big_endian(table[place, 0]) > own:
            break
        place += 1
    return np.uint32(0)


@njit(forceinline=True)
def find_number(table, slots, key, row):
    """The number stored for a fingerprint, 0 when there is none. The table ends with an empty slot."""
    place = find_home(key[row, 0], slots)
    while table[place, 4] != 0:
        if (
            table[place, 0] == key[row, 0]
            and table[place, 1] == key[row, 1]
            and table[place, 2] == key[row, 2]
            and table[place, 3] == key[row, 3]
        ):
            return table[place, 4]
        place += 1
    return np.uint32(0)


@njit(nogil=True, cache=True)
def fill(table, slots, keys, numbers, next_free):
    """Write keys in ascending order; the slot after the last written one, or -1 when the table is too short."""
    for row in range(keys.shape[0]):
        place = max(find_home(keys[row, 0], slots), next_free)
        if place >= table.shape[0] - 1:
            return -1
        for word in range(4):
            table[place, word] = keys[row, word]
        table[place, 4] = numbers[row]
        next_free = place + 1
    return next_free


@njit(nogil=True, cache=True)
def put(table, slots, keys, numbers):
    """Write or overwrite keys in any order; how many were new, or -1 - row when the table is too short for a row."""
    new = 0
    for row in range(keys.shape[0]):
        place = find_home(keys[row, 0], slots)
        while table[place, 4] != 0 and not (
            table[place, 0] == keys[row, 0]
            and table[place, 1] == keys[row, 1]
            and table[place, 2] == keys[row, 2]
            and table[place, 3] == keys[row, 3]
        ):
            place += 1
        if place >= table.shape[0] - 1:
            return -1 - row
        if table[place, 4] == 0:
            new += 1
            for word in range(4):
                table[place, word] = keys[row, word]
        # The number comes last: whoever searches meanwhile sees an empty slot until the key is whole.
        table[place, 4] = numbers[row]
    return new


@njit(nogil=True, cache=True)
def decide_rows(base, base_slots, over, over_slots, match, wide, domain, state, with_domains, codes, has_grant, out):
    """The verdict of each row as a code (see `forbear.index.rules`); how many rows are unsure."""
    unsure = 0
    touched = np.uint32(0)
    known = min(codes.shape[0], has_grant.shape[0])
    for start in range(0, state.shape[0], BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, state.shape[0])
        # A table of gigabytes is in no cache. Asking for the slots of a whole block first lets the processor wait for
        # all of them at once instead of for one after another.
        for row in range(start, end):
            touched ^= base[find_home(match[row, 0], base_slots), 4]
            if state[row] == 2:
                touched ^= base[find_home(wide[row, 0], base_slots), 4]
        for row in range(start, end):
            out[row] = _decide_row(
                base,
                base_slots,
                over,
                over_slots,
                match,
                wide,
                domain,
                state,
                with_domains,
                codes,
                has_grant,
                known,
                row,
            )
            unsure += out[row] == 255
    return unsure, touched


@njit(forceinline=True)
def _decide_row(
    base, base_slots, over, over_slots, match, wide, domain, state, with_domains, codes, has_grant, known, row
):
    if state[row] == 0:
        return np.uint8(254)
    own = _look_up(base, base_slots, over, over_slots, match, row)
    other = other_domain = np.uint32(0)
    if state[row] == 2:
        other = _look_up(base, base_slots, over, over_slots, wide, row)
    if with_domains:
        other_domain = _look_up(base, base_slots, over, over_slots, domain, row)
    if own >= known or other >= known or other_domain >= known:
        # A rule set that came after this batch asked; the exact way knows it.
        return np.uint8(255)
    if (other != 0 or other_domain != 0) and has_grant[own] != 0:
        # Which of them is older cannot be told across keys.
        return np.uint8(255)
    return _gravest(codes[own], _gravest(codes[other], codes[other_domain]))


@njit(forceinline=True)
def _look_up(base, base_slots, over, over_slots, key, row):
    stored = find_number(over, over_slots, key, row)
    if stored != 0:
        return stored - np.uint32(1)
    return find_in_order(base, base_slots, key, row)


@njit(forceinline=True)
def _gravest(one, other):
    if one == 0:
        return other
    if other == 0:
        return one
    return min(one, other)
