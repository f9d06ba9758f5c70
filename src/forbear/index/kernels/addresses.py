"""Kernels that read addresses: the usual shape, one pass over the bytes of each.

The usual shape is that of `forbear.domain.address`, in 64 bytes at most: letters, digits, `+`, `-` and `_` between
single dots; a domain of letters, digits and single inner hyphens, with a dot, whose last label has letters only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

TEXT_BYTES: Final = 64
LOCAL_BYTES_MAX: Final = 64
DOMAIN_BYTES_MAX: Final = 63

INVALID: Final = 0
VALID: Final = 1
WIDE: Final = 2
UNUSUAL: Final = 3
"""States of a row: no address, an address, one with a wide form, and one that Python must read."""

WIDE_SLOTS: Final = 1024
HASH_START: Final = np.uint64(0xCBF29CE484222325)
HASH_STEP: Final = np.uint64(0x100000001B3)
"""Fowler-Noll-Vo 1a: only to find a domain's place in a small table, so it needs no key."""

_AT, _DOT, _PLUS, _HYPHEN, _UNDERSCORE = (ord(character) for character in "@.+-_")


@njit(nogil=True, cache=True)
def read_usual(data, starts, ends, texts, lengths, at, wide_domain, state, hashes, names, name_lengths):
    """Write the match form of every usual row into `texts`, and what it found out beside it."""
    for row in range(starts.shape[0]):
        start, end = starts[row], ends[row]
        if start < 0:
            state[row] = INVALID
            continue
        while start < end and _is_space(data[start]):
            start += 1
        while end > start and _is_space(data[end - 1]):
            end -= 1
        place = _read_one(data, start, end, texts[row])
        if place < 0:
            state[row] = UNUSUAL
            _clear(texts[row])
            continue
        lengths[row] = end - start
        at[row] = place
        state[row] = VALID
        slot = _find_wide(texts[row], place + 1, end - start, hashes, names, name_lengths)
        if slot >= 0:
            wide_domain[row] = slot
            # What the plus sign leaves may need quotes, which are not for kernels to write.
            state[row] = UNUSUAL if _has_dot_before_plus(texts[row], place) else WIDE


@njit(nogil=True, cache=True)
def cut_domains(texts, lengths, at, rows, out, out_lengths):
    """Write the domain of each row into `out`."""
    for row in rows:
        first = at[row] + 1
        for place in range(first, lengths[row]):
            out[row, place - first] = texts[row, place]
        out_lengths[row] = lengths[row] - first


@njit(nogil=True, cache=True)
def fold_wide(texts, at, wide_domain, rows, mailboxes, mailbox_lengths, is_dotless, out, out_lengths, lengths):
    """Write the wide form of each row into `out`: what precedes the plus sign, without dots where they mean nothing."""
    for row in rows:
        slot = wide_domain[row]
        text, into = texts[row], out[row]
        _clear(into)
        used = 0
        for place in range(at[row]):
            byte = text[place]
            if byte == _PLUS:
                break
            if byte != _DOT or not is_dotless[slot]:
                into[used] = byte
                used += 1
        if used == 0:
            # Nothing would be left before the @: the match form stands.
            for place in range(lengths[row]):
                into[place] = text[place]
            out_lengths[row] = lengths[row]
            continue
        into[used] = _AT
        for place in range(mailbox_lengths[slot]):
            into[used + 1 + place] = mailboxes[slot, place]
        out_lengths[row] = used + 1 + mailbox_lengths[slot]


@njit(forceinline=True)
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13  # space; tab, LF, VT, FF, CR


@njit(forceinline=True)
def _clear(text):
    for place in range(TEXT_BYTES):
        text[place] = 0


@njit(forceinline=True)
def _read_one(data, start, end, text):
    """Lower one row into `text`; the place of its @, or -1 on any doubt."""
    if end - start > TEXT_BYTES:
        return -1
    at, dots, label = -1, 0, 0
    is_last_alphabetic = True
    before = 0
    for place in range(end - start):
        byte = data[start + place]
        is_upper = 65 <= byte <= 90  # A to Z
        small = byte + 32 if is_upper else byte
        is_letter = 97 <= small <= 122  # a to z
        is_digit = 48 <= byte <= 57  # 0 to 9
        text[place] = small
        if is_letter or is_digit:
            label += 1
            is_last_alphabetic = is_last_alphabetic and is_letter
        elif byte == _DOT:
            if label == 0 or (at >= 0 and before == _HYPHEN):
                return -1
            dots += 1
            label = 0
            is_last_alphabetic = True
        elif byte == _AT:
            if at >= 0 or label == 0:
                return -1
            at, dots, label = place, 0, 0
            is_last_alphabetic = True
        elif byte == _HYPHEN:
            # In a domain a hyphen stands alone, inside a label.
            if at >= 0 and (label == 0 or before == _HYPHEN):
                return -1
            label += 1
            is_last_alphabetic = False
        elif (byte == _PLUS or byte == _UNDERSCORE) and at < 0:
            label += 1
        else:
            return -1
        before = byte
    if at < 0 or dots == 0 or label == 0 or not is_last_alphabetic:
        return -1
    if at > LOCAL_BYTES_MAX or end - start - at - 1 > DOMAIN_BYTES_MAX:
        return -1
    return at


@njit(forceinline=True)
def _find_wide(text, first, end, hashes, names, name_lengths):
    """The slot of a listed domain, or -1."""
    own = HASH_START
    for place in range(first, end):
        own = (own ^ np.uint64(text[place])) * HASH_STEP
    slot = np.int64(own % np.uint64(WIDE_SLOTS))
    while hashes[slot] != 0:
        if hashes[slot] == own and name_lengths[slot] == end - first:
            is_same = True
            for place in range(end - first):
                is_same = is_same and names[slot, place] == text[first + place]
            if is_same:
                return slot
        slot = (slot + 1) % WIDE_SLOTS
    return -1


@njit(forceinline=True)
def _has_dot_before_plus(text, at):
    for place in range(1, at):
        if text[place] == _PLUS:
            return text[place - 1] == _DOT
    return False
