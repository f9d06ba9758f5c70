"""Kernels of the tables that map a fingerprint to the number of its rule set.

A slot of the mapped table is five words (uint32): the four of the fingerprint, and the number, 0 in an empty slot.
A slot of the overlay is three long words (uint64): two of the fingerprint, and the version that wrote the slot above
the number, which is stored one higher, because there 0 is an answer. Both are one word so that they are read at once.
A fingerprint's place comes from its first four bytes, taken as a big-endian number and scaled to the table, so that
keys in ascending order fill it from front to back. A search goes forward from there to the first empty slot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

SLOT_WORDS: Final = 5
OVERLAY_WORDS: Final = 3
BLOCK_ROWS: Final = 64
CHANGING: Final = 2**32 - 1
"""Stands for the number of a key that has changed since its row's decision began."""

_NO_BASIS: Final = np.uint8(252)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(2**32 - 1)


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
    """The slot at which the search for a fingerprint begins, by its first word.

    Unsigned, as all places here: the compiler then need not ask whether an index counts from the end.
    """
    return (_big_endian(word) * np.uint64(slots)) >> np.uint64(32)


@njit(forceinline=True)
def find_value(table, slots, key, row):
    """What the overlay holds for a fingerprint, 0 when nothing. The table ends with an empty slot."""
    first, second = _join(key[row, 0], key[row, 1]), _join(key[row, 2], key[row, 3])
    place = find_home(key[row, 0], slots)
    value = table[place, 2]
    while value != 0:
        if table[place, 0] == first and table[place, 1] == second:
            break
        place += _ONE
        value = table[place, 2]
    return value


@njit(forceinline=True)
def _join(low, high):
    return np.uint64(low) | (np.uint64(high) << _HALF)


@njit(forceinline=True)
def find_in_order(table, slots, key, row):
    """The number in the mapped table, 0 when there is none: filled in ascending order, it ends at a greater key."""
    word0, word1, word2, word3 = key[row, 0], key[row, 1], key[row, 2], key[row, 3]
    own = _big_endian(word0)
    place = (own * np.uint64(slots)) >> np.uint64(32)
    number = table[place, 4]
    while number != 0:
        first = table[place, 0]
        if first == word0:
            if table[place, 1] == word1 and table[place, 2] == word2 and table[place, 3] == word3:
                break
        elif _big_endian(first) > own:
            return np.uint32(0)
        place += _ONE
        number = table[place, 4]
    return number


@njit(nogil=True, cache=True)
def fill(table, slots, keys, numbers, next_free):
    """Write keys in ascending order; the slot after the last written one, or -1 when the table is too short."""
    for row in range(keys.shape[0]):
        place = max(np.int64(find_home(keys[row, 0], slots)), next_free)
        if place >= table.shape[0] - 1:
            return -1
        for word in range(4):
            table[place, word] = keys[row, word]
        table[place, 4] = numbers[row]
        next_free = place + 1
    return next_free


@njit(nogil=True, cache=True)
def put(table, slots, keys, values):
    """Write or overwrite keys in any order; how many were new, or -1 - row when the table is too short for a row."""
    new = 0
    for row in range(keys.shape[0]):
        first, second = _join(keys[row, 0], keys[row, 1]), _join(keys[row, 2], keys[row, 3])
        place = np.int64(find_home(keys[row, 0], slots))
        while table[place, 2] != 0 and not (table[place, 0] == first and table[place, 1] == second):
            place += 1
        if place >= table.shape[0] - 1:
            return -1 - row
        if table[place, 2] == 0:
            new += 1
            table[place, 0] = first
            table[place, 1] = second
        # The value comes last: whoever searches meanwhile sees an empty slot until the key is whole.
        table[place, 2] = values[row]
    return new


@njit(nogil=True, cache=True)
def look_up(base, base_slots, over, over_slots, version, keys, state, least_state, numbers):
    """The number of the rule set of each key whose row has at least `least_state`; the overlay is asked first.

    A key that was written after the version gets `CHANGING`.
    """
    touched = np.uint32(0)
    for start in range(0, state.shape[0], BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, state.shape[0])
        # A table of gigabytes is in no cache. Asking for the slots of a whole block first lets the processor wait for
        # all of them at once instead of for one after another.
        for row in range(start, end):
            if state[row] >= least_state:
                touched ^= base[find_home(keys[row, 0], base_slots), 4]
        for row in range(start, end):
            if state[row] >= least_state:
                value = find_value(over, over_slots, keys, row)
                if value == 0:
                    numbers[row] = find_in_order(base, base_slots, keys, row)
                elif (value >> _HALF) > np.uint64(version):
                    numbers[row] = CHANGING
                else:
                    numbers[row] = np.uint32(value & _LOW) - np.uint32(1)
    # Handed back so that the compiler cannot leave the first loop out.
    return touched


@njit(nogil=True, cache=True)
def combine(state, own, wide, domain, codes, has_grant, out):
    """The verdict of each row as a code (see `forbear.index.rules`); how many rows are unsure."""
    unsure = 0
    known = np.uint32(min(codes.shape[0], has_grant.shape[0]))
    for row in range(state.shape[0]):
        one, two, three = own[row], wide[row], domain[row]
        if state[row] == 0:
            out[row] = 254
        elif one | two | three == 0:
            # What a question about a party needs, nobody has about whom nothing stands.
            out[row] = codes[0]
        elif one >= known or two >= known or three >= known or (two | three != 0 and has_grant[one] != 0):
            # A key that has changed since this batch asked, or a grant beside an entry of another key: which of those
            # is older cannot be told here. The exact way knows both.
            out[row] = 255
            unsure += 1
        else:
            # Only the address itself gives a basis, so that another spelling and a domain cannot lack one.
            out[row] = _gravest(codes[one], _gravest(_blocking(codes[two]), _blocking(codes[three])))
    return unsure


@njit(forceinline=True)
def _blocking(code):
    return np.uint8(0) if code == _NO_BASIS else code


@njit(forceinline=True)
def _gravest(one, other):
    if one == 0:
        return other
    if other == 0:
        return one
    return min(one, other)
