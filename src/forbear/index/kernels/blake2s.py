"""Keyed BLAKE2s (RFC 7693) of many short texts at once, byte-equal to `hashlib.blake2s(text, digest_size=16, key=key)`.

Sixteen texts go side by side, one in each lane: every step of the compression is the same for all of them, so the
compiler turns it into vector instructions. A text of up to 64 bytes takes one compression, because the one of the
key block is done beforehand.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

Words: TypeAlias = npt.NDArray[np.uint32]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Indexes: TypeAlias = npt.NDArray[np.int64]

LANES: Final = 16
BLOCK_BYTES: Final = 64
DIGEST_BYTES: Final = 16
DIGEST_WORDS: Final = 4

# The workspace of a compression: 34 rows of lanes. The numbers below are offsets of rows.
_MESSAGE, _COUNT, _LAST, _OUT, _ROWS = 8, 24, 25, 26, 34

_u32 = np.uint32
_IV: Final = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_IV0, _IV1, _IV2, _IV3, _IV4, _IV5, _IV6, _IV7 = (np.uint32(word) for word in _IV)
_RIGHT16, _RIGHT12, _RIGHT8, _RIGHT7 = (np.uint32(bits) for bits in (16, 12, 8, 7))
_LEFT16, _LEFT20, _LEFT24, _LEFT25 = (np.uint32(bits) for bits in (16, 20, 24, 25))
_ALL_BITS: Final = np.uint32(0xFFFFFFFF)


def make_midstate(key: bytes) -> Words:
    """The eight state words after the block that holds the key, for digests of 16 bytes."""
    space = np.zeros(_ROWS * LANES, dtype=np.uint32)
    rows = space.reshape(_ROWS, LANES)
    rows[:8] = np.array(_IV, dtype=np.uint32)[:, np.newaxis]
    # The parameter block: digest and key length, fanout and depth 1 (RFC 7693, section 2.5).
    rows[0] ^= np.uint32(0x01010000 ^ (len(key) << 8) ^ DIGEST_BYTES)
    rows[_MESSAGE:_COUNT] = np.frombuffer(key.ljust(BLOCK_BYTES, b"\0"), dtype="<u4")[:, np.newaxis]
    rows[_COUNT] = BLOCK_BYTES
    _compress(space)
    return rows[_OUT:, 0].copy()


@njit(nogil=True, cache=True)
def hash_texts(texts: Words, lengths: Bytes, rows: Indexes, midstate: Words, out: Words) -> None:
    """Hash the texts of the given rows into the same rows of `out` (uint32[n, 4]).

    `texts` is uint32[n, 16]: 64 bytes a text, zero behind its end. `lengths` has at most 64 for each, and no zero.
    """
    space = np.zeros(_ROWS * LANES, dtype=np.uint32)
    for lane in range(LANES):
        for word in range(8):
            space[word * LANES + lane] = midstate[word]
        space[_LAST * LANES + lane] = _ALL_BITS
    count = rows.shape[0]
    for start in range(0, count, LANES):
        used = min(LANES, count - start)
        for lane in range(used):
            row = rows[start + lane]
            space[_COUNT * LANES + lane] = _u32(BLOCK_BYTES + lengths[row])
            for word in range(16):
                space[(_MESSAGE + word) * LANES + lane] = texts[row, word]
        _compress(space)
        for lane in range(used):
            row = rows[start + lane]
            for word in range(DIGEST_WORDS):
                out[row, word] = space[(_OUT + word) * LANES + lane]


@njit(forceinline=True)
def _mix(a, b, c, d, x, y):
    a = _u32(a + b + x)
    d = _u32(d ^ a)
    d = _u32((d >> _RIGHT16) | (d << _LEFT16))
    c = _u32(c + d)
    b = _u32(b ^ c)
    b = _u32((b >> _RIGHT12) | (b << _LEFT20))
    a = _u32(a + b + y)
    d = _u32(d ^ a)
    d = _u32((d >> _RIGHT8) | (d << _LEFT24))
    c = _u32(c + d)
    b = _u32(b ^ c)
    b = _u32((b >> _RIGHT7) | (b << _LEFT25))
    return a, b, c, d


@njit(forceinline=True)
def _round(v, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p):
    v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15 = v
    v0, v4, v8, v12 = _mix(v0, v4, v8, v12, a, b)
    v1, v5, v9, v13 = _mix(v1, v5, v9, v13, c, d)
    v2, v6, v10, v14 = _mix(v2, v6, v10, v14, e, f)
    v3, v7, v11, v15 = _mix(v3, v7, v11, v15, g, h)
    v0, v5, v10, v15 = _mix(v0, v5, v10, v15, i, j)
    v1, v6, v11, v12 = _mix(v1, v6, v11, v12, k, l)
    v2, v7, v8, v13 = _mix(v2, v7, v8, v13, m, n)
    v3, v4, v9, v14 = _mix(v3, v4, v9, v14, o, p)
    return v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15


@njit(forceinline=True)
def _work(s, lane):
    """One lane's ten rounds; the order of the message words is RFC 7693's SIGMA."""
    m0, m1, m2, m3 = s[8 * LANES + lane], s[9 * LANES + lane], s[10 * LANES + lane], s[11 * LANES + lane]
    m4, m5, m6, m7 = s[12 * LANES + lane], s[13 * LANES + lane], s[14 * LANES + lane], s[15 * LANES + lane]
    m8, m9, m10, m11 = s[16 * LANES + lane], s[17 * LANES + lane], s[18 * LANES + lane], s[19 * LANES + lane]
    m12, m13, m14, m15 = s[20 * LANES + lane], s[21 * LANES + lane], s[22 * LANES + lane], s[23 * LANES + lane]
    h0, h1, h2, h3 = s[lane], s[LANES + lane], s[2 * LANES + lane], s[3 * LANES + lane]
    h4, h5, h6, h7 = s[4 * LANES + lane], s[5 * LANES + lane], s[6 * LANES + lane], s[7 * LANES + lane]
    count, last = _u32(_IV4 ^ s[24 * LANES + lane]), _u32(_IV6 ^ s[25 * LANES + lane])
    v = (h0, h1, h2, h3, h4, h5, h6, h7, _IV0, _IV1, _IV2, _IV3, count, _IV5, last, _IV7)
    v = _round(v, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15)
    v = _round(v, m14, m10, m4, m8, m9, m15, m13, m6, m1, m12, m0, m2, m11, m7, m5, m3)
    v = _round(v, m11, m8, m12, m0, m5, m2, m15, m13, m10, m14, m3, m6, m7, m1, m9, m4)
    v = _round(v, m7, m9, m3, m1, m13, m12, m11, m14, m2, m6, m5, m10, m4, m0, m15, m8)
    v = _round(v, m9, m0, m5, m7, m2, m4, m10, m15, m14, m1, m11, m12, m6, m8, m3, m13)
    v = _round(v, m2, m12, m6, m10, m0, m11, m8, m3, m4, m13, m7, m5, m15, m14, m1, m9)
    v = _round(v, m12, m5, m1, m15, m14, m13, m4, m10, m0, m7, m6, m3, m9, m2, m8, m11)
    v = _round(v, m13, m11, m7, m14, m12, m1, m3, m9, m5, m0, m15, m4, m8, m6, m2, m10)
    v = _round(v, m6, m15, m14, m9, m11, m3, m0, m8, m12, m2, m13, m7, m1, m4, m10, m5)
    return _round(v, m10, m2, m8, m4, m7, m6, m1, m5, m15, m11, m9, m14, m3, m12, m13, m0)


@njit(nogil=True, cache=True)
def _compress(s):
    """Compress one block in every lane; the new state goes to the rows from `_OUT`."""
    for lane in range(LANES):
        v = _work(s, lane)
        s[26 * LANES + lane] = _u32(s[lane] ^ v[0] ^ v[8])
        s[27 * LANES + lane] = _u32(s[LANES + lane] ^ v[1] ^ v[9])
        s[28 * LANES + lane] = _u32(s[2 * LANES + lane] ^ v[2] ^ v[10])
        s[29 * LANES + lane] = _u32(s[3 * LANES + lane] ^ v[3] ^ v[11])
        s[30 * LANES + lane] = _u32(s[4 * LANES + lane] ^ v[4] ^ v[12])
        s[31 * LANES + lane] = _u32(s[5 * LANES + lane] ^ v[5] ^ v[13])
        s[32 * LANES + lane] = _u32(s[6 * LANES + lane] ^ v[6] ^ v[14])
        s[33 * LANES + lane] = _u32(s[7 * LANES + lane] ^ v[7] ^ v[15])
