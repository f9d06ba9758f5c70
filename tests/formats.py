"""The same rows in every format of send lists, written and read by other programs than ours."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Format:
    """One format: its type over HTTP, the ending of its files, and how rows become bytes and rows again."""

    name: str
    type: str
    ending: str
    write: Callable[[Rows], bytes]
    read: Callable[[bytes], list[dict]]

    def __str__(self) -> str:
        return self.name


def _write_csv(rows: Rows) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _read_csv(data: bytes) -> list[dict]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def _write_ndjson(rows: Rows) -> bytes:
    # Every second line as some programs write it.
    return b"".join(
        json.dumps(row, ensure_ascii=bool(n % 2), separators=((",", ":"), (", ", ": "))[n % 2]).encode() + b"\n"
        for n, row in enumerate(rows)
    )


def _read_ndjson(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


def _write_parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out, row_group_size=5000)
    return out.getvalue()


def _read_parquet(data: bytes) -> list[dict]:
    return pq.read_table(io.BytesIO(data)).to_pylist()


CSV = Format("csv", "text/csv", ".csv", _write_csv, _read_csv)
NDJSON = Format("ndjson", "application/x-ndjson", ".ndjson", _write_ndjson, _read_ndjson)
PARQUET = Format("parquet", "application/vnd.apache.parquet", ".parquet", _write_parquet, _read_parquet)
FORMATS = (CSV, NDJSON, PARQUET)
