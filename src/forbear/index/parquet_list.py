"""A send list as Apache Parquet: read by batches, filtered column by column, and written with its schema again.

The schema stands at the end of such a file, so the whole list must be there before the first row can be read. Held at
any time: a few batches, and the rows of the row group that is being written.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forbear.domain.errors import InvalidList
from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.arrow import fingerprint_array, is_text, read_cell
from forbear.index.kernels.blake2s import Bytes
from forbear.index.kernels.records import MISSING_COLUMN, NO_FAULT
from forbear.index.list_columns import find_named_column, label_column, refuse_added_columns
from forbear.index.list_file import ListFile
from forbear.index.list_layout import ListOptions

ROW_GROUP_BYTES: Final = 8 * 1024 * 1024
"""How much is gathered before it is written, as a row group of its own."""
_BATCH_BYTES: Final = 2 * 1024 * 1024
_BATCH_ROWS_MAX: Final = 32_768
_SAMPLE_ROWS: Final = 128
"""Rows from which the address column and the size of a row are found."""
_READ_BYTES: Final = 1024 * 1024
"""How much of a column is read at once; without it the columns of a whole row group would be held."""
_MARK: Final = b"PAR1"
_MARK_ENCRYPTED: Final = b"PARE"
_ENCRYPTED: Final = "this Parquet file is encrypted; send it in clear"
_DAMAGED: Final = "this Parquet file is damaged, or written in a way that cannot be read here"
_CODECS: Final = frozenset({"SNAPPY", "GZIP", "BROTLI", "LZ4", "ZSTD"})


@dataclass(frozen=True, slots=True, eq=False)
class ParquetRows:
    """A batch of n consecutive rows."""

    batch: pa.RecordBatch = field(repr=False)
    addresses: pa.Array = field(repr=False)
    faults: Bytes = field(repr=False)
    """uint8[n]: `MISSING_COLUMN` where the address is null, else `NO_FAULT`."""

    def __len__(self) -> int:
        return len(self.faults)

    def cell(self, place: int) -> bytes | None:
        """The address of one row."""
        return read_cell(self.addresses, place)

    def make_keys(self, fingerprinter: RowFingerprinter) -> Keys:
        """Fingerprint the addresses."""
        return fingerprint_array(fingerprinter, self.addresses)


class ParquetList:
    """Reads one list."""

    blank_lines: Final = 0

    def __init__(self, options: ListOptions, file: ListFile) -> None:
        self._options, self._file = options, file
        self._schema: pa.Schema | None = None
        self._form = _Form()

    def feed(self, data: bytes) -> None:
        """Keep the next bytes. Raises `TooLarge` or `Busy`."""
        self._file.append(data)

    def finish(self) -> Iterator[ParquetRows]:
        """Give all rows. Raises InvalidList."""
        file = self._file.open()
        _check_marks(file)
        with (
            _reading(),
            pq.ParquetFile(
                file,
                buffer_size=_READ_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                arrow_extensions_enabled=True,
            ) as source,
        ):
            self._schema, self._form = source.schema_arrow, _Form.of(source.metadata)
            sample = next(source.iter_batches(_SAMPLE_ROWS), None)
            index = self._find_column(self._schema, sample)
            for batch in source.iter_batches(_choose_batch_rows(source.metadata, sample)):
                addresses = batch.column(index)
                faults = np.where(addresses.is_null(), MISSING_COLUMN, NO_FAULT).astype(np.uint8)
                yield ParquetRows(batch, addresses, faults)

    def open_writer(self, names: Sequence[str]) -> ParquetWriter:
        """Write rows of this list, with columns added."""
        if self._schema is None:
            raise AssertionError("rows are to be written before the schema is known")
        return ParquetWriter(self._schema, self._form, names)

    def _find_column(self, schema: pa.Schema, sample: pa.RecordBatch | None) -> int:
        names = tuple(schema.names)
        refuse_added_columns(names, self._options.added_columns)
        first_row = () if sample is None else _find_row_with_address(sample)
        index = find_named_column(names, first_row, self._options.column)
        if not is_text(schema.field(index).type):
            label = label_column(names, index)
            raise InvalidList(f"the column {label} does not hold text", column=label)
        return index


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file is written, as far as its schema does not say so."""

    codecs: dict[str, str] = field(default_factory=dict)
    """Compression of each column, by its path."""
    has_int96: bool = False
    """Whether times are in the deprecated form that some programs still need."""

    @classmethod
    def of(cls, metadata: pq.FileMetaData) -> _Form:
        if not metadata.num_row_groups:
            return cls()
        group = metadata.row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
        codecs = {
            column.path_in_schema: column.compression.lower() if column.compression in _CODECS else "none"
            for column in columns
        }
        return cls(codecs, any(column.physical_type == "INT96" for column in columns))


class ParquetWriter:
    """Writes rows with the list's schema, metadata and compression, and the added columns as text behind the others."""

    def __init__(self, schema: pa.Schema, form: _Form, names: Sequence[str]) -> None:
        self._form = form
        self._names = names
        self._schema = schema
        for name in names:
            self._schema = self._schema.append(pa.field(name, pa.string()))
        self._out = _Pieces()
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0

    def write(self, rows: ParquetRows, wanted: npt.NDArray[np.bool_], added: Sequence[Sequence[str]]) -> bytes:
        """The bytes of the row groups that are full with the wanted rows."""
        kept = rows.batch.filter(pa.array(wanted))
        columns = zip(*added, strict=True) if added else ([] for _ in self._names)
        more = [pa.array(column, pa.string()) for column in columns]
        batch = pa.RecordBatch.from_arrays([*kept.columns, *more], schema=self._schema)
        if len(batch):
            self._pending.append(batch)
            self._pending_bytes += batch.nbytes
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush(self._open())
        return self._out.take()

    def finish(self) -> bytes:
        """The last row group, and the end of the file."""
        writer = self._open()
        if self._pending:
            self._flush(writer)
        writer.close()
        return self._out.take()

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._out,
                self._schema,
                compression={**dict.fromkeys(self._names, "snappy"), **self._form.codecs} or "snappy",
                use_deprecated_int96_timestamps=self._form.has_int96,
            )
        return self._writer

    def _flush(self, writer: pq.ParquetWriter) -> None:
        table = pa.Table.from_batches(self._pending, self._schema)
        self._pending, self._pending_bytes = [], 0
        writer.write_table(table, row_group_size=len(table))


class _Pieces(io.RawIOBase):
    """What a writer writes, taken away as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Count the bytes so far, taken or not: places in the file are told by it."""
        return self._written

    def write(self, data: Any) -> int:
        """Take bytes."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """Give away what has been written since."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _check_marks(file: IO[bytes]) -> None:
    """Look at the first and last four bytes, by which such files are known."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise InvalidList("the list is empty")
    file.seek(0)
    beginning = file.read(len(_MARK))
    file.seek(max(size - len(_MARK), 0))
    end = file.read(len(_MARK))
    if _MARK_ENCRYPTED in {beginning, end}:
        raise InvalidList(_ENCRYPTED)
    if beginning != _MARK:
        raise InvalidList("this is not a Parquet file")
    if end != _MARK:
        raise InvalidList("this Parquet file is not whole: its end is missing")


@contextmanager
def _reading() -> Iterator[None]:
    """Make Arrow's errors ours. Their texts may hold what stands in a row."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidList(_ENCRYPTED if "encrypted" in str(error) else _DAMAGED) from error


def _find_row_with_address(sample: pa.RecordBatch) -> Sequence[str]:
    """The cells of the first row of which one may be an address; those that are no text are empty."""
    columns = [
        [(read_cell(column, row) or b"").decode("utf-8", "replace") for row in range(len(sample))]
        if is_text(column.type)
        else [""] * len(sample)
        for column in sample.columns
    ]
    return next((row for row in zip(*columns, strict=True) if any("@" in cell for cell in row)), ())


def _choose_batch_rows(metadata: pq.FileMetaData, sample: pa.RecordBatch | None) -> int:
    """How many rows make a batch of a bounded size: by the whole file, and by the first rows as they are in memory."""
    sizes = [1.0]
    if metadata.num_rows:
        groups = map(metadata.row_group, range(metadata.num_row_groups))
        sizes.append(sum(group.total_byte_size for group in groups) / metadata.num_rows)
    if sample is not None and len(sample):
        sizes.append(sample.nbytes / len(sample))
    return max(1, min(_BATCH_ROWS_MAX, int(_BATCH_BYTES / max(sizes))))
