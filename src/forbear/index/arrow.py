"""Addresses in columns of Apache Arrow: fingerprints straight from a column's own buffers.

Only what reads such columns may import this module, and not before it has to: to load Arrow takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.kernels.blake2s import Bytes, Indexes

_OFFSETS: Final[dict[pa.DataType, npt.DTypeLike]] = {
    pa.string(): np.int32,
    pa.binary(): np.int32,
    pa.large_string(): np.int64,
    pa.large_binary(): np.int64,
}
"""Layout "variable-size binary" of the Arrow columnar format: how wide offsets are."""
_VIEWS: Final = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


def is_text(kind: pa.DataType) -> bool:
    """Whether addresses can stand in a column of this type."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return plain in _OFFSETS or plain in _VIEWS or pa.types.is_null(plain)


def fingerprint_array(fingerprinter: RowFingerprinter, array: pa.Array | pa.ChunkedArray) -> Keys:
    """Fingerprint a column for which `is_text` holds; a null is no address.

    The values of a dictionary are fingerprinted once each, unless there are more of them than rows.
    """
    if isinstance(array, pa.ChunkedArray):
        return _join([fingerprint_array(fingerprinter, chunk) for chunk in array.chunks] or [_none(fingerprinter)])
    if not pa.types.is_dictionary(array.type):
        return fingerprinter.make(*_locate(array))
    data, starts, ends = _locate(array.dictionary)
    # One more value, which is none, for the rows without a value.
    starts, ends = np.append(starts, -1), np.append(ends, -1)
    rows = _read_indexes(array.indices, none=len(starts) - 1)
    if len(starts) > len(rows):
        return fingerprinter.make(data, starts[rows], ends[rows])
    return fingerprinter.make(data, starts, ends).select(rows)


def read_cell(array: pa.Array, row: int) -> bytes | None:
    """The bytes of one value; None for a null."""
    scalar = array[row]
    if pa.types.is_dictionary(array.type):
        scalar = scalar.value
    return scalar.as_buffer().to_pybytes() if scalar.is_valid else None


def _locate(array: pa.Array) -> tuple[Bytes, Indexes, Indexes]:
    """The bytes in which values stand, and from where to where; a negative start for a null."""
    if array.type in _VIEWS:
        array = array.cast(_VIEWS[array.type])
    if len(array) == array.null_count:
        return np.empty(0, dtype=np.uint8), np.full(len(array), -1), np.full(len(array), -1)
    _, places, data = array.buffers()
    # A slice has the buffers of the whole.
    width = np.dtype(_OFFSETS[array.type])
    offsets = np.frombuffer(places, width, len(array) + 1, array.offset * width.itemsize)
    starts, ends = offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64)
    if array.null_count:
        starts[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return np.empty(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8), starts, ends


def _read_indexes(indices: pa.Array, *, none: int) -> Indexes:
    """Which value each row has; `none` stands for no value."""
    found = indices.cast(pa.int64())
    rows: Indexes = (found.fill_null(none) if found.null_count else found).to_numpy()
    return rows


def _none(fingerprinter: RowFingerprinter) -> Keys:
    return fingerprinter.make(*_locate(pa.nulls(0)))


def _join(parts: Sequence[Keys]) -> Keys:
    if len(parts) == 1:
        return parts[0]
    return Keys(
        np.concatenate([part.match for part in parts]),
        np.concatenate([part.wide for part in parts]),
        np.concatenate([part.state for part in parts]),
        lambda: np.concatenate([part.domain for part in parts]),
    )
