"""JSON lines as a send list: every line is kept as it came, or it is told why nobody could read it."""

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.domain.errors import InvalidList
from forbear.index.list_layout import ListOptions
from forbear.index.list_rows import FAULT_WORDS
from forbear.index.ndjson_list import SAMPLE_ROWS, NdjsonList


def read(data, cuts=(), **options):
    """The list, and its batches when the bytes come in pieces cut at these places."""
    reader = NdjsonList(ListOptions(**options))
    places = [0, *sorted(cuts), len(data)]
    batches = [reader.feed(data[start:end]) for start, end in pairwise(places)]
    batches = [rows for rows in [*batches, *reader.finish()] if rows is not None]
    return reader, batches


def read_rows(data, cuts=(), **options):
    """Record, cell and fault of each row."""
    return [
        (rows.record(place), rows.cell(place), FAULT_WORDS.get(int(rows.faults[place])))
        for rows in read(data, cuts, **options)[1]
        for place in range(len(rows))
    ]


def read_one(line):
    """Cell and fault of a line behind one that says where the address is."""
    _, (_, cell, fault) = read_rows(b'{"email":"first@example.com"}\n' + line, column="email")
    return cell, fault


def refuse(data, **options):
    with pytest.raises(InvalidList) as caught:
        read(data, **options)
    return caught.value


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        (b'{"email":"a@b.example"}', b"a@b.example"),
        (b' {\t"n" : 1 , "email" : "a@b.example" } \r\n', b"a@b.example"),
        (b'{"email":"a\\u0040b.example"}', b"a@b.example"),
        (b'{"\\u0065mail":"a@b.example"}', b"a@b.example"),
        (b'{"email":"\\"x y\\"@b.example"}', b'"x y"@b.example'),
        ('{"email":"jörg@bücher.example"}'.encode(), "jörg@bücher.example".encode()),
        (b'{"email":"j\\u00f6rg@b.example"}', "jörg@b.example".encode()),
        (b'{"email":"\\ud83d\\ude00@b.example"}', "😀@b.example".encode()),
        (b'{"email":" a@b.example\\n"}', b" a@b.example\n"),
        (b'{"email":""}', b""),
        (b'{"n":{"email":"x@y.example"},"email":"a@b.example","m":[{"email":1}]}', b"a@b.example"),
        (b'{"email":"a@b.example","n":"email","m":"\\"email\\":"}', b"a@b.example"),
        (b'{"email":"a@b.example","n":1e999,"m":-0,"l":' + b"9" * 5000 + b"}", b"a@b.example"),
        (b'{"email":"a@b.example","n":"\\ud800"}', b"a@b.example"),
        (b'{"email":"a\\ud800@b.example"}', b"a\xed\xa0\x80@b.example"),
        (b'{"email":"a@b.example","n":"}"}', b"a@b.example"),
        (b'{"email":"a@b.example\\u0000"}', b"a@b.example\0"),
    ],
)
def test_the_address_is_read_as_json_has_it_and_the_line_kept_as_it_came(line, cell):
    first = b'{"email":"first@example.com"}\n'
    rows = read_rows(first + line)
    assert rows == [(first, b"first@example.com", None), (line, cell, None)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"{}", "missing_column"),
        (b'{"n":1}', "missing_column"),
        (b'{"Email":"a@b.example"}', "missing_column"),
        (b'{"email":null}', "missing_column"),
        (b'{"n":{"email":"a@b.example"}}', "missing_column"),
        (b'{"email":1}', "not_text"),
        (b'{"email":true}', "not_text"),
        (b'{"email":["a@b.example"]}', "not_text"),
        (b'{"email":{"email":"a@b.example"}}', "not_text"),
        (b'{"email":1e999}', "not_text"),
        (b'{"email":"a@b.example","email":"c@d.example"}', "repeated_key"),
        (b'{"email":"a@b.example","\\u0065mail":"c@d.example"}', "repeated_key"),
        (b'{"email":"a@b.example","n":"\\ud800","email":"a@b.example"}', "repeated_key"),
        (b'{"email":null,"email":"a@b.example"}', "repeated_key"),
    ],
)
def test_a_line_without_a_usable_address_is_a_row_all_the_same(line, fault):
    assert read_one(line) == (None, fault)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("email", b"emai\\u006c"),
        ("email", b"emai\\u006C"),
        ("e mail", b"e\\u0020mail"),
        ("e/mail", b"e\\/mail"),
        ('e"mail', b"e\\u0022mail"),
        ("e\\mail", b"e\\u005cmail"),
        ("e\tmail", b"e\\u0009mail"),
        ("é", b"\\u00e9"),
        ("😀", b"\\ud83d\\ude00"),
        ("", b""),
    ],
)
def test_no_spelling_of_the_key_hides_a_second_address(name, spelling):
    address = b'"a@b.example"'
    other = b"{" + orjson.dumps(name) + b":" + address + b',"' + spelling + b'":' + address + b"}"
    assert read_rows(other, column=name) == [(other, None, "repeated_key")]
    once = b'{"n":"\\u00f6","' + spelling + b'":' + address + b"}"
    assert read_rows(once, column=name) == [(once, b"a@b.example", None)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "row 2 is not valid JSON"),
        (b'{"email":"a@b.example"', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example",}', "row 2 is not valid JSON"),
        (b"{'email':'a@b.example'}", "row 2 is not valid JSON"),
        (b'{"email":"a@b.example"}{"email":"c@d.example"}', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example"}\r{"email":"c@d.example"}', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example"},', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example","n":NaN}', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example","n":-Infinity}', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example","n":"\x01"}', "row 2 is not valid JSON"),
        (b'{"email":"a@b.example","n":01}', "row 2 is not valid JSON"),
        (b'{"n":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "row 2 is not valid JSON"),
        ('\ufeff{"email":"a@b.example"}'.encode(), "row 2 is not valid JSON"),
        (b'{"email":"a@b.example","n":"\xff"}', "row 2 is not UTF-8"),
        (b'{"email":"a@b.example","n":"\xed\xa0\x80"}', "row 2 is not UTF-8"),
        (b"a@b.example", "row 2 is not valid JSON"),
        (b'"a@b.example"', "row 2 is no JSON object"),
        (b'["a@b.example"]', "row 2 is no JSON object"),
        (b'[["email","a@b.example"]]', "row 2 is no JSON object"),
        (b"[1e999]", "row 2 is no JSON object"),
        (b"1", "row 2 is no JSON object"),
        (b"null", "row 2 is no JSON object"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_row_and_without_its_content(line, said):
    error = refuse(b'\n{"email":"first@example.com"}\n\n' + line)
    assert said in error.detail
    assert error.row == 2
    assert "@" not in error.detail


def test_blank_lines_are_no_rows():
    reader, batches = read(b'\n \t\r\n{"email":"a@b.example"}\n\n\r\n{"email":"c@d.example"}\n\n')
    assert reader.blank_lines == 5
    assert [len(rows) for rows in batches] == [2]


def test_a_byte_order_mark_goes_with_the_first_row():
    marked = '\ufeff\n{"email":"a@b.example"}\n'.encode()
    ((record, cell, _),) = read_rows(marked)
    assert (record, cell) == ('\ufeff{"email":"a@b.example"}\n'.encode(), b"a@b.example")


@pytest.mark.parametrize("data", [b"", b"\n\n", b" ", "\ufeff".encode(), "\ufeff\r\n".encode()])
def test_a_list_without_rows_is_empty(data):
    assert "empty" in refuse(data).detail


@pytest.mark.parametrize("data", [b"PAR1", "{}".encode("utf-16"), b"\x1f\x8b\x08\x00", b"PK\x03\x04"])
def test_another_kind_of_file_is_told_so(data):
    assert refuse(data).row == 1


@pytest.mark.parametrize("cut", [0, 20, 64, 66, 80])
def test_a_row_that_is_too_long_is_told_whether_it_ends_or_not(cut):
    first = b'{"email":"a@b.example"}\n'
    for end in (b"", b'"}\n'):
        error = refuse(first + b'{"email":"' + b"x" * 60 + end, record_bytes_max=64)
        assert error.row == 2
        assert "row 2 is longer than 64 bytes" in error.detail or "row 2 is not valid JSON" in error.detail
    with pytest.raises(InvalidList, match="longer than 64"):
        read(first + b'{"email":"' + b"x" * 60, cuts=[cut], record_bytes_max=64)


# The column


@pytest.mark.parametrize(
    ("lines", "options", "column"),
    [
        ([{"n": 1, "email": "x"}], {}, "email"),
        ([{"E-Mail": "x", "n": "a@b.example"}], {}, "E-Mail"),
        ([{"who": "a@b.example", "n": "x"}, {"who": "c@d.example", "n": "see me@home"}], {}, "who"),
        ([{"n": 1}, {"n": 2, "who": "a@b.example"}], {}, "who"),
        ([{"n": 1}] * (SAMPLE_ROWS - 1) + [{"email": "a@b.example"}], {}, "email"),
        ([{"a": "a@b.example", "b": "c@d.example"}], {"column": "b"}, "b"),
        ([{"a": "x", "EMAIL ": "y"}], {"column": "email"}, "EMAIL "),
        ([{"email": "x", "Email": "y"}], {"column": "Email"}, "Email"),
        ([{"": "a@b.example"}], {}, ""),
        ([{'q"\\\n': "a@b.example"}], {}, 'q"\\\n'),
    ],
)
def test_the_column_is_the_one_that_is_wanted_or_fits(lines, options, column):
    data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    expected = [line[column].encode() if column in line else None for line in lines]
    assert [cell for _, cell, _ in read_rows(data, **options)] == expected


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b'{"id":1,"name":"Ann"}', {}, "no column can be told to hold the address; there are: id, name"),
        (b"{}", {}, "no column can be told"),
        (b'{"email":"x","mail":"y"}', {}, "more than one column may hold the address: email, mail"),
        (b'{"email":"x"}\n{"Email":"y"}', {}, "more than one column"),
        (b'{"a":"a@b.example","c":"d@e.example"}', {}, "more than one column"),
        (b'{"email":"x"}', {"column": "mail"}, "there is no column mail; there are: email"),
        (b'{"email":"x","EMAIL":"y"}', {"column": "Email"}, "2 columns Email"),
        (b'{"a@b.example":"c@d.example","x":"e@f.example"}', {}, "more than one column may hold the address: 1, 2"),
    ],
)
def test_a_column_that_cannot_be_told_is_asked_for(data, options, said):
    assert said in refuse(data, **options).detail


def test_a_name_that_is_added_may_stand_in_no_row():
    good = b'{"email":"a@b.example","forbear_verdicts":1}\n'
    assert len(read_rows(good, added_columns=("forbear_verdict",))) == 1
    error = refuse(good * 300 + b'{"Forbear_Verdict ":1}', added_columns=("forbear_verdict",))
    assert (error.row, error.column) == (301, "forbear_verdict")


# What is written


def extend(record, values):
    reader, (rows,) = read(b'{"email":"a@b.example"}\n' + record)
    writer = reader.open_writer(("one", "two"))
    return writer.write(rows, rows.faults * 0 + [False, True] > 0, [values]) + writer.finish()


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"email":"x"}\n', b'{"email":"x","one":"1","two":"\\"2\\""}\n'),
        (b'{"email":"x"} \r\n', b'{"email":"x","one":"1","two":"\\"2\\""} \r\n'),
        (b'{"email":"x" }', b'{"email":"x" ,"one":"1","two":"\\"2\\""}'),
        (b"{ }\n", b'{ "one":"1","two":"\\"2\\""}\n'),
        (b'{"n":{}}\n', b'{"n":{},"one":"1","two":"\\"2\\""}\n'),
        (b'{"n":"{"}\n', b'{"n":"{","one":"1","two":"\\"2\\""}\n'),
    ],
)
def test_added_columns_become_the_last_keys(record, expected):
    assert extend(record, ("1", '"2"')) == expected


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("email"), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["email", "n", "m", "email2"]), values, max_size=4)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(objects, st.booleans(), st.sampled_from(["\n", "\r\n", " \n", "\n\n"])), max_size=8),
    st.lists(st.integers(0, 400), max_size=4),
    st.sampled_from(["", "\ufeff"]),
)
def test_every_list_is_read_alike_however_it_comes(lines, cuts, mark):
    first = '{"email":"first@example.com"}\n'
    texts = [json.dumps(line, ensure_ascii=is_ascii) + end for line, is_ascii, end in lines]
    data = (mark + first + "".join(texts)).encode("utf-8", "surrogatepass")
    rows = read_rows(data, [cut for cut in cuts if cut <= len(data)], column="email")
    assert b"".join(record for record, _, _ in rows).replace(b"\n\n", b"\n") == data.replace(b"\n\n", b"\n")
    for (line, *_), (record, cell, fault) in zip(lines, rows[1:], strict=True):
        value = line.get("email")
        assert json.loads(record) == line
        assert cell == (value.encode() if isinstance(value, str) else None)
        assert fault == (None if isinstance(value, str) else "missing_column" if value is None else "not_text")


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text('{}[]",:\\ue1n \n', max_size=30).map(str.encode))
def test_nothing_but_its_own_error_comes_of_any_bytes(data):
    try:
        rows = read_rows(b'{"email":"first@example.com"}\n' + data)
    except InvalidList:
        return
    assert len(rows) == 1 + sum(bool(line.strip(b" \t\r\n")) for line in data.split(b"\n"))
