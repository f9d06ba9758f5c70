"""Parquet as a send list: rows come out with their schema, or it is told why the file cannot be read."""

import io
from contextlib import closing, suppress
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.domain.errors import InvalidList, TooLarge
from forbear.index import parquet_list
from forbear.index.kernels.addresses import INVALID
from forbear.index.list_file import ListFile
from forbear.index.list_layout import ListOptions
from forbear.index.list_rows import FAULT_WORDS
from forbear.index.parquet_list import ParquetList
from tests.unit.test_row_fingerprints import FINGERPRINTERS, ONE_KEY

WHEN = datetime(2026, 5, 1, tzinfo=UTC)
TEXT = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view())
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def pack(table, **how):
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


def open_list(data, **options):
    opened = ParquetList(ListOptions(**options), ListFile(io.BytesIO()))
    for place in range(0, len(data), 1000):
        opened.feed(data[place : place + 1000])
    return opened


def read(data, **options):
    opened = open_list(data, **options)
    return opened, list(opened.finish())


def read_rows(data, **options):
    """Cell and fault of each row."""
    return [
        (rows.cell(place), FAULT_WORDS.get(int(rows.faults[place])))
        for rows in read(data, **options)[1]
        for place in range(len(rows))
    ]


def keep(data, wanted=lambda _: True, names=(), added=(), **options):
    """What comes out of a list for the rows that are wanted, by their place in the whole."""
    opened = open_list(data, **options)
    writer, out, place, values = None, b"", 0, iter(added)
    for rows in opened.finish():
        chosen = np.array([bool(wanted(place + row)) for row in range(len(rows))])
        place += len(rows)
        writer = writer or opened.open_writer(names)
        out += writer.write(rows, chosen, [next(values) for _ in range(chosen.sum())] if names else ())
    return out + (writer or opened.open_writer(names)).finish()


def refuse(data, **options):
    with pytest.raises(InvalidList) as caught:
        read(data, **options)
    assert "@" not in caught.value.detail
    return caught.value


def make_table(count=10, kind="string"):
    """Columns of many kinds beside the address."""
    numbers = range(count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.uint32()),
            "email": pa.array([f"p{n}@example.com" if n % 5 else None for n in numbers]).cast(kind),
            "tags": pa.array([[{"k": "a", "v": [n]}, None] if n % 3 else None for n in numbers]),
            "spent": pa.array([Decimal(n) / 4 for n in numbers], pa.decimal128(12, 2)),
            "seen": pa.array([WHEN] * count, pa.timestamp("us", "UTC")),
            "city": pa.array([("Köln", "Praha", None)[n % 3] for n in numbers]).dictionary_encode(),
            "by": pa.array([[("k", n)] for n in numbers], pa.map_(pa.string(), pa.int64())),
            "raw": pa.array([bytes([n % 256]) * 16 for n in numbers], pa.binary(16)),
            "none": pa.nulls(count),
        },
        metadata={"campaign": "spring"},
    )


@pytest.mark.parametrize("kind", TEXT)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_addresses_are_read_from_every_kind_of_text(kind, version):
    table = make_table(300, kind)
    rows = read_rows(pack(table, row_group_size=70, data_page_version=version))
    assert [cell for cell, _ in rows] == [f"p{n}@example.com".encode() if n % 5 else None for n in range(300)]
    assert [fault for _, fault in rows] == [None if n % 5 else "missing_column" for n in range(300)]


def test_addresses_are_read_from_a_dictionary():
    column = pa.array(["c@d.example", "a@b.example", None, "c@d.example"]).dictionary_encode()
    data = pack(pa.table({"email": column}))
    _, (rows,) = read(data)
    assert pa.types.is_dictionary(rows.addresses.type)
    assert read_rows(data) == [
        (b"c@d.example", None),
        (b"a@b.example", None),
        (None, "missing_column"),
        (b"c@d.example", None),
    ]
    keys = rows.make_keys(FINGERPRINTERS[ONE_KEY])
    assert (keys.state == INVALID).tolist() == [False, False, True, False]
    assert keys.match[0].tolist() == keys.match[3].tolist() != keys.match[1].tolist()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_kept_rows_have_the_schema_the_metadata_and_the_compression_of_the_list(compression):
    table = make_table(50)
    data = pack(table, compression=compression, row_group_size=20)
    source, kept = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(io.BytesIO(keep(data, lambda n: n % 2)))
    assert kept.schema_arrow.equals(source.schema_arrow, check_metadata=True)
    assert kept.schema_arrow.metadata[b"campaign"] == b"spring"
    assert kept.schema.equals(source.schema)
    assert kept.read().equals(table.filter(pa.array([n % 2 == 1 for n in range(50)])))
    columns = range(source.metadata.num_columns)
    groups = [file.metadata.row_group(0) for file in (source, kept)]
    assert [groups[1].column(n).compression for n in columns] == [groups[0].column(n).compression for n in columns]


def test_each_column_keeps_its_own_compression():
    data = pack(pa.table({"email": ["a@b.example"], "n": [{"x.y": 1}]}), compression={"email": "zstd", "n.x.y": "gzip"})
    group = pq.ParquetFile(io.BytesIO(keep(data, names=["more"], added=[("v",)]))).metadata.row_group(0)
    assert [group.column(n).compression for n in range(3)] == ["ZSTD", "GZIP", "SNAPPY"]


def test_times_in_the_deprecated_form_stay_in_it():
    table = pa.table({"email": ["a@b.example"], "at": pa.array([WHEN], pa.timestamp("ns"))})
    data = pack(table, use_deprecated_int96_timestamps=True)
    kept = pq.ParquetFile(io.BytesIO(keep(data)))
    assert kept.metadata.row_group(0).column(1).physical_type == "INT96"
    assert kept.read().equals(table)


def test_types_beyond_arrows_own_are_kept():
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16], pa.binary(16)))
    data = pack(pa.table({"email": ["a@b.example"], "id": uuids}))
    kept = pq.ParquetFile(io.BytesIO(keep(data)))
    assert kept.schema_arrow.field("id").type == pa.uuid()
    assert kept.schema.equals(pq.ParquetFile(io.BytesIO(data)).schema)


def test_added_columns_stand_behind_the_others():
    out = pq.read_table(io.BytesIO(keep(pack(make_table(4)), lambda n: n > 1, ("one", "two"), [("a", ""), ("b", "é")])))
    assert out.column_names[-2:] == ["one", "two"]
    assert out.select(["id", "one", "two"]).to_pylist() == [
        {"id": 2, "one": "a", "two": ""},
        {"id": 3, "one": "b", "two": "é"},
    ]


@pytest.mark.parametrize("wanted", [lambda _: False, lambda n: n == 77])
def test_whatever_is_kept_is_a_whole_file(wanted):
    data = pack(make_table(100), row_group_size=10)
    assert pq.read_table(io.BytesIO(keep(data, wanted))).num_rows == sum(map(bool, map(wanted, range(100))))


@pytest.mark.parametrize("names", [(), ("more",)])
def test_a_list_without_rows_comes_out_without_rows(names):
    table = make_table(0)
    out = pq.read_table(io.BytesIO(keep(pack(table), names=names)))
    assert out.num_rows == 0
    assert out.column_names == [*table.column_names, *names]


def test_batches_and_row_groups_are_of_a_bounded_size(monkeypatch):
    monkeypatch.setattr(parquet_list, "ROW_GROUP_BYTES", 100_000)
    monkeypatch.setattr(parquet_list, "_BATCH_BYTES", 20_000)
    # A text that is often repeated takes no room in the file, and all of it in memory.
    long = [f"{'x' * 1000}{n % 3}" for n in range(2000)]
    data = pack(pa.table({"email": [f"p{n}@example.com" for n in range(2000)], "long": long}))
    assert len(data) < 100_000
    _, batches = read(data)
    assert max(rows.batch.nbytes for rows in batches) <= 20_000
    kept = pq.ParquetFile(io.BytesIO(keep(data)))
    assert 10 < kept.metadata.num_row_groups < 40
    assert kept.read().num_rows == 2000


def test_dictionaries_that_change_from_row_group_to_row_group_are_kept():
    parts = [pa.table({"email": [f"{n}@example.com"], "c": pa.array([f"c{n}"]).dictionary_encode()}) for n in range(5)]
    table = pa.concat_tables(parts)
    out = pq.read_table(io.BytesIO(keep(pack(table, row_group_size=1), lambda n: n != 2)))
    assert out["c"].to_pylist() == ["c0", "c1", "c3", "c4"]
    assert out.schema.field("c").type == DICTIONARY


# The column


@pytest.mark.parametrize(
    ("columns", "options", "index"),
    [
        ({"n": ["x"], "E-Mail": ["y"]}, {}, 1),
        ({"n": ["x"], "who": ["a@b.example"]}, {}, 1),
        ({"n": [None, "x"], "who": [None, "a@b.example"]}, {}, 1),
        ({"a": ["a@b.example"], "b": ["c@d.example"]}, {"column": "b"}, 1),
        ({"a": ["x"], "B ": ["y"]}, {"column": "b"}, 1),
        ({"n": [1], "who": [b"a@b.example"]}, {}, 1),
        ({"tags": [["a@b.example"]], "who": ["a@b.example"]}, {}, 1),
    ],
)
def test_the_column_is_the_one_that_is_wanted_or_fits(columns, options, index):
    table = pa.table(columns)
    _, (rows,) = read(pack(table), **options)
    assert rows.addresses.equals(table.column(index).chunk(0))


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"id": [1], "name": ["Ann"]}, {}, "no column can be told to hold the address; there are: id, name"),
        ({"email": ["x"], "mail": ["y"]}, {}, "more than one column may hold the address: email, mail"),
        ({"email": ["x"]}, {"column": "mail"}, "there is no column mail; there are: email"),
        ({"email": [1]}, {}, "the column email does not hold text"),
        ({"email": [["a@b.example"]]}, {"column": "email"}, "the column email does not hold text"),
        ({"email": [{"a": "a@b.example"}]}, {}, "the column email does not hold text"),
        ({"email": ["x"], "Forbear_Verdict": ["y"]}, {"added_columns": ("forbear_verdict",)}, "forbear_verdict"),
        ({"a@b.example": ["c@d.example"], "n": ["e@f.example"]}, {}, "more than one column may hold the address: 1, 2"),
    ],
)
def test_a_column_that_cannot_be_told_is_asked_for(columns, options, said):
    assert said in refuse(pack(pa.table(columns)), **options).detail


# What cannot be read


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"email\na@b.example\n", "not a Parquet file"),
        (b"PAR1", "damaged"),
        (b"PAR1PAR1", "damaged"),
        (b"PAR1" + b"\0" * 100, "its end is missing"),
        (b"PAR1" + b"\xff" * 100 + b"PAR1", "damaged"),
        (b"PARE" + b"\0" * 100 + b"PARE", "encrypted"),
    ],
)
def test_another_file_is_told_so(data, said):
    assert said in refuse(data).detail


def test_a_file_that_is_cut_off_is_told_so():
    data = pack(make_table(100))
    for end in range(0, len(data), 97):
        refuse(data[:end])


def test_a_page_that_was_changed_is_found_by_its_checksum():
    table = pa.table({"email": [f"p{n}@example.com" for n in range(1000)]})
    data = bytearray(pack(table, write_page_checksum=True, compression="none", use_dictionary=False))
    data[data.index(b"p500@")] ^= 1
    assert "damaged" in refuse(bytes(data)).detail


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4))
def test_nothing_but_its_own_error_comes_of_any_damage(changes):
    data = bytearray(DAMAGEABLE)
    for place, mask in changes:
        data[place % len(data)] ^= mask
    with suppress(InvalidList):
        keep(bytes(data))


DAMAGEABLE = pack(make_table(40).select(["id", "email", "tags", "city"]), write_page_checksum=True)


def test_no_more_is_kept_of_a_list_than_the_limit_allows():
    with closing(ListFile(bytes_max=1000)) as file:
        opened = ParquetList(ListOptions(), file)
        opened.feed(b"x" * 1000)
        with pytest.raises(TooLarge, match="1000 bytes"):
            opened.feed(b"x")
