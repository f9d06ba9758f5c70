"""Fingerprints of Arrow columns: what is made from their buffers is what Python makes, whatever the column's form."""

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.index.arrow import fingerprint_array, is_text, read_cell
from tests.unit.test_row_fingerprints import FINGERPRINTERS, ONE_KEY, TWO_KEYS, cells, expect, show, texts

TEXT_TYPES = (pa.string(), pa.large_string(), pa.string_view())
BINARY_TYPES = (pa.binary(), pa.large_binary(), pa.binary_view())
INDEX_TYPES = (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint32(), pa.int64())
columns = st.lists(st.none() | cells, max_size=24)
text_columns = st.lists(st.none() | texts.filter(lambda text: text.isprintable()), max_size=24)
cuts = st.tuples(st.integers(0, 24), st.integers(0, 24))


def assert_equal(array, values, chain=ONE_KEY):
    keys = fingerprint_array(FINGERPRINTERS[chain], array)
    assert show(keys) == [expect(chain, value) for value in values]


def encode(values):
    return [None if value is None else value.encode("utf-8") for value in values]


@settings(max_examples=300)
@given(values=columns, kind=st.sampled_from(BINARY_TYPES), cut=cuts, chain=st.sampled_from([ONE_KEY, TWO_KEYS]))
def test_columns_of_bytes_and_their_slices(values, kind, cut, chain):
    start, length = cut
    array = pa.array(values, kind)
    assert_equal(array, values, chain)
    assert_equal(array.slice(min(start, len(values)), length), values[start : start + length], chain)
    assert [read_cell(array, row) for row in range(len(values))] == values


@settings(max_examples=300)
@given(values=text_columns, kind=st.sampled_from(TEXT_TYPES), cut=cuts)
def test_columns_of_text_and_their_slices(values, kind, cut):
    start, length = cut
    array = pa.array(values, kind)
    assert_equal(array, encode(values))
    assert_equal(array.slice(min(start, len(values)), length), encode(values[start : start + length]))


@settings(max_examples=200)
@given(values=columns, cut=st.lists(st.integers(0, 24), max_size=4), kind=st.sampled_from(BINARY_TYPES))
def test_columns_in_chunks(values, cut, kind):
    places = [0, *sorted(cut), len(values)]
    chunks = [pa.array(values[start:end], kind) for start, end in pairwise(places)]
    seen = [value for start, end in pairwise(places) for value in values[start:end]]
    assert_equal(pa.chunked_array(chunks, kind), seen)


@settings(max_examples=300)
@given(
    values=columns,
    indexes=st.lists(st.none() | st.integers(0, 23), max_size=60),
    kinds=st.tuples(st.sampled_from(INDEX_TYPES), st.sampled_from(BINARY_TYPES[:2])),
    cut=cuts,
)
def test_columns_with_a_dictionary(values, indexes, kinds, cut):
    indexes = [index for index in indexes if index is None or index < len(values)]
    array = pa.DictionaryArray.from_arrays(pa.array(indexes, kinds[0]), pa.array(values, kinds[1]))
    wanted = [None if index is None else values[index] for index in indexes]
    assert_equal(array, wanted)
    start, length = cut
    assert_equal(array.slice(min(start, len(indexes)), length), wanted[start : start + length])
    assert [read_cell(array, row) for row in range(len(wanted))] == wanted


@pytest.mark.parametrize("kind", [*TEXT_TYPES, *BINARY_TYPES, pa.null(), pa.dictionary(pa.int32(), pa.string())])
def test_empty_columns_have_empty_keys_and_columns_of_nulls_no_address(kind):
    assert is_text(kind)
    assert_equal(pa.array([], kind), [])
    assert_equal(pa.chunked_array([], kind), [])
    assert_equal(pa.nulls(3, kind), [None] * 3)
    assert_equal(pa.nulls(3, kind).slice(1), [None] * 2)


def test_the_domains_of_a_column_with_a_dictionary_are_those_of_its_rows():
    array = pa.array(["a@example.com", "b@example.org", None, "a@example.com"]).dictionary_encode()
    keys = fingerprint_array(FINGERPRINTERS[ONE_KEY], pa.chunked_array([array, array.slice(2)]))
    first, second, *_ = (expect(ONE_KEY, cell)[2] for cell in (b"a@example.com", b"b@example.org"))
    assert [keys.domain[row].tobytes() for row in (0, 1, 3, 5)] == [first, second, first, first]


def test_values_of_a_dictionary_are_fingerprinted_once_each(monkeypatch):
    counted = []
    fingerprinter = FINGERPRINTERS[ONE_KEY]
    make = type(fingerprinter).make

    def count(self, data, starts, ends):
        counted.append(len(starts))
        return make(self, data, starts, ends)

    monkeypatch.setattr(type(fingerprinter), "make", count)
    few = pa.array(["a@example.com", "b@example.org"] * 500).dictionary_encode()
    assert len(fingerprint_array(fingerprinter, few)) == 1000
    # Two rows of a long dictionary need not pay for all of it.
    many = pa.array([f"{number}@example.com" for number in range(1000)]).dictionary_encode()
    assert len(fingerprint_array(fingerprinter, many.slice(7, 2))) == 2
    assert counted == [3, 2]


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.list_(pa.string()), pa.binary(16), pa.dictionary(pa.int8(), pa.int8())]
)
def test_other_columns_hold_no_addresses(kind):
    assert not is_text(kind)


def test_a_column_is_read_where_it_lies():
    array = pa.array(["ann@example.com", "bob@example.com"])
    before = pa.total_allocated_bytes()
    fingerprint_array(FINGERPRINTERS[ONE_KEY], array)
    assert pa.total_allocated_bytes() == before
