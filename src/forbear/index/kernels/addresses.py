"""Kernels that read addresses: the usual shape, all bytes of an address at once.

The usual shape is that of `forbear.domain.address`, in 64 bytes at most: letters, digits, `+`, `-` and `_` between
single dots; a domain of letters, digits and single inner hyphens, with a dot, whose last label has letters only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from forbear.index.kernels.blocks import (
    copy_block,
    count_ones,
    find_first,
    find_last,
    load_word,
    match_byte,
    match_range,
    store_word,
)

TEXT_BYTES: Final = 64

INVALID: Final = 0
VALID: Final = 1
WIDE: Final = 2
UNUSUAL: Final = 3
"""States of a row: no address, an address, one with a wide form, and one that Python must read."""

NAME_BYTES_MAX: Final = 16
"""Longest domain that can be listed as one with wide forms."""

NAME_SLOTS: Final = 1024
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_NONE: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_AT, _DOT, _PLUS, _HYPHEN, _UNDERSCORE = (ord(character) for character in "@.+-_")
_A, _Z, _SMALL_A, _SMALL_Z, _0, _9 = (ord(character) for character in "AZaz09")


@njit
def find_name(names, first, second):
    """The slot at which a name stands in an open-addressed table, or the empty one that it would get.

    A name is two words of eight bytes, padded with zeros.
    """
    mixed = (first ^ (second * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    slot = mixed >> np.uint64(54)
    while names[slot, 0] != 0 and not (names[slot, 0] == first and names[slot, 1] == second):
        slot = (slot + _ONE) % np.uint64(NAME_SLOTS)
    return slot


@njit(nogil=True, cache=True)
def read_usual(data, starts, ends, state, texts, lengths, at, names, slots, usual, wide):
    """Write the match form of every usual row into `texts`, one after another in 64 bytes each.

    Says of each row what it is, and of usual ones how long they are, where their @ is, and the slot of their domain
    in `names` if they have a wide form. Lists the usual rows in `usual` and those with a wide form in `wide`, and
    gives how many there are of each.
    """
    usual_count, wide_count = 0, 0
    for row in range(starts.shape[0]):
        start, end = starts[row], ends[row]
        if start < 0:
            state[row] = INVALID
            continue
        while start < end and _is_space(data[start]):
            start += 1
        while end > start and _is_space(data[end - 1]):
            end -= 1
        length, base = end - start, row * TEXT_BYTES
        if length == 0 or length > TEXT_BYTES:
            state[row] = INVALID if length == 0 else UNUSUAL
            continue
        if start + TEXT_BYTES <= data.shape[0]:
            copy_block(data, start, _ALL, _NONE, texts, base)
        else:
            for place in range(length):
                texts[base + place] = data[start + place]
        # From here on, bits stand for bytes.
        present = _ALL >> np.uint64(TEXT_BYTES - length)
        signs = match_byte(texts, base, _AT) & present
        if signs == 0:
            state[row] = INVALID
            continue
        capitals = match_range(texts, base, _A, _Z) & present
        letters = capitals | (match_range(texts, base, _SMALL_A, _SMALL_Z) & present)
        digits = match_range(texts, base, _0, _9)
        dots, hyphens = match_byte(texts, base, _DOT) & present, match_byte(texts, base, _HYPHEN) & present
        pluses = match_byte(texts, base, _PLUS)
        local = (signs & (~signs + _ONE)) - _ONE
        domain = present & ~(local | signs)
        known = letters | digits | dots | hyphens | signs | ((pluses | match_byte(texts, base, _UNDERSCORE)) & local)
        separators = dots | signs
        last_label = present & (_ALL << find_last(separators)) & ~separators
        is_usual = (
            (signs & (signs - _ONE) == 0)
            & (known & present == present)
            # No label is empty, the last one has letters alone, and there is a dot behind the @.
            & (separators & ((separators << _ONE) | _ONE) == 0)
            & (last_label != 0)
            & (last_label & ~letters == 0)
            & (dots & domain != 0)
            # A hyphen of the domain stands neither first nor last in a label, nor behind another.
            & (hyphens & domain & ((hyphens | separators) << _ONE) == 0)
            & (dots & domain & (hyphens << _ONE) == 0)
        )
        if not is_usual:
            state[row] = UNUSUAL
            continue
        copy_block(texts, base, present, capitals, texts, base)
        state[row] = VALID
        lengths[row] = length
        at[row] = find_first(signs)
        name_start = find_first(signs) + _ONE
        name_bytes = np.uint64(length) - name_start
        if name_bytes <= np.uint64(NAME_BYTES_MAX):
            name = np.uint64(base) + name_start
            first, second = load_word(texts, name), load_word(texts, name + np.uint64(8))
            if name_bytes < np.uint64(8):
                first, second = first & ~(_ALL << (name_bytes * np.uint64(8))), _NONE
            elif name_bytes < np.uint64(16):
                second &= ~(_ALL << ((name_bytes - np.uint64(8)) * np.uint64(8)))
            slot = find_name(names, first, second)
            if names[slot, 0] != 0:
                if pluses & (~pluses + _ONE) & (dots << _ONE) != 0:
                    # What the plus sign leaves ends with a dot, and may need quotes: not for kernels to write.
                    state[row] = UNUSUAL
                    continue
                state[row] = WIDE
                slots[row] = slot
                wide[wide_count] = row
                wide_count += 1
        usual[usual_count] = row
        usual_count += 1
    return usual_count, wide_count


@njit(nogil=True, cache=True)
def cut_domains(texts, lengths, at, rows, out, out_lengths):
    """Write the domain of each row into `out`."""
    for row in rows:
        base, first = row * TEXT_BYTES, at[row] + 1
        length = lengths[row] - first
        copy_block(texts, base + first, _ALL >> np.uint64(TEXT_BYTES - length), _NONE, out, base)
        out_lengths[row] = length


@njit(nogil=True, cache=True)
def fold_wide(texts, lengths, at, slots, rows, mailboxes, mailbox_lengths, is_dotless, out, out_lengths):
    """Write the wide form of each row into `out`: what precedes the plus sign, without dots where they mean nothing."""
    for row in rows:
        base, slot = row * TEXT_BYTES, slots[row]
        kept = ~(_ALL << np.uint64(at[row]))
        pluses = match_byte(texts, base, _PLUS) & kept
        if pluses != 0:
            kept &= (pluses & (~pluses + _ONE)) - _ONE
        if is_dotless[slot]:
            kept &= ~match_byte(texts, base, _DOT)
        if kept == 0:
            # Nothing would be left before the @: the match form stands.
            copy_block(texts, base, _ALL, _NONE, out, base)
            out_lengths[row] = lengths[row]
            continue
        used = np.int64(count_ones(kept))
        if kept & (kept + _ONE) == 0:
            copy_block(texts, base, kept, _NONE, out, base)
        else:
            copy_block(texts, base, _NONE, _NONE, out, base)
            for place in range(used):
                out[base + place] = texts[base + np.int64(find_first(kept))]
                kept &= kept - _ONE
        out[base + used] = _AT
        store_word(mailboxes[slot, 0], out, base + used + 1)
        store_word(mailboxes[slot, 1], out, base + used + 9)
        out_lengths[row] = used + 1 + mailbox_lengths[slot]


@njit(forceinline=True)
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13  # space; tab, LF, VT, FF, CR
