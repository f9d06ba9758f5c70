import csv
import io
import tracemalloc
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.domain.errors import InvalidList
from forbear.index.list_layout import DELIMITERS
from forbear.index.send_list import FAULT_WORDS, ListOptions, ListReader
from tests.lists import CsvListReader
from tests.make import write_send_list
from tests.oracle import read_list

BOM = b"\xef\xbb\xbf"


def read(data, *, size=None, **options):
    """Read a whole list in chunks of a size; return the reader and all of its rows as one batch."""
    size = size or max(len(data), 1)
    return read_chunks([data[start : start + size] for start in range(0, len(data), size)], **options)


def read_chunks(chunks, reader_type=ListReader, **options):
    reader = reader_type(ListOptions(**options))
    batches = [batch for batch in (*map(reader.feed, chunks), reader.finish()) if batch is not None]
    for before, after in pairwise(batches):
        assert after.first_row == before.first_row + len(before)
    rows = SimpleNamespace(first_row=batches[0].first_row if batches else 0, records=[], cells=[], faults=[])
    for batch in batches:
        rows.records.extend(map(batch.record, range(len(batch))))
        rows.cells.extend(map(batch.cell, range(len(batch))))
        rows.faults.extend(map(FAULT_WORDS.get, batch.faults.tolist()))
        assert batch.copy(np.ones(len(batch), dtype=np.uint8)) == b"".join(rows.records[-len(batch) :])
    assert len(rows.records) == len(rows.cells) == len(rows.faults) == reader.rows
    return reader, rows


def refusal(data, **options):
    with pytest.raises(InvalidList) as caught:
        read(data, **options)
    return caught.value


def outcome(chunks, reader_type=ListReader, **options):
    """What a reader makes of chunks, in a form that can be compared."""
    try:
        reader, rows = read_chunks(chunks, reader_type, **options)
    except InvalidList:
        return "refused"
    return reader.layout, reader.blank_lines, rows.records, rows.cells, rows.faults


def course(chunks, reader_type, **options):
    """Everything that a reader says on its way through chunks, refusals in full."""
    said = []
    reader = reader_type(ListOptions(**options))
    try:
        for take in [*(partial(reader.feed, chunk) for chunk in chunks), reader.finish]:
            rows = take()
            said.append((reader.rows, reader.blank_lines, reader._records, reader._lines, reader._held_bytes))
            if rows is not None:
                places = range(len(rows))
                said.append((rows.first_row, rows.faults.tolist()))
                said.append([*map(rows.record, places), *map(rows.cell, places)])
    except InvalidList as error:
        said.append((error.detail, error.row, error.column))
    return said


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def assert_nothing_lost(data, header, rows):
    """Records and blank lines, in order, are the list."""
    place = 0
    for record in [header, *rows.records]:
        while not data.startswith(record, place):
            assert data[place : place + 1] in (b"\r", b"\n")
            place += 1
        place += len(record)
    assert data[place:].strip(b"\r\n") == b""


def parse(text, delimiter):
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]


# What a writer would write, and chunks cut anywhere

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('",;\t|\r\n @'), max_size=8)
places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=8)


@st.composite
def written_lists(draw):
    """A list as csv.writer writes it: its text, delimiter and the place of the address column."""
    width, delimiter = draw(st.integers(1, 4)), draw(st.sampled_from(DELIMITERS))
    index = draw(st.integers(0, width - 1))
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=delimiter,
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"])),
    )
    writer.writerow(["email" if place == index else f"name{place}" for place in range(width)])
    for number in range(draw(st.integers(1, 6))):
        row = [draw(texts) for _ in range(width)]
        row[index] = f"a{number}@example.com" if number == 0 or width == 1 else draw(texts)
        writer.writerow(row)
    return out.getvalue(), delimiter, index, width


@given(written=written_lists(), places=places, has_bom=st.booleans(), lacks_last_end=st.booleans())
def test_cells_are_those_of_the_csv_module_and_no_byte_is_lost(written, places, has_bom, lacks_last_end):
    text, delimiter, index, width = written
    text = text.rstrip("\r\n") if lacks_last_end else text
    data = BOM * has_bom + text.encode()
    expected = parse(text, delimiter)[1:]
    reader, rows = read_chunks(cut(data, places))
    assert reader.layout.column_index == index
    assert reader.rows == len(expected)
    for fields, cell, fault in zip(expected, rows.cells, rows.faults, strict=True):
        if len(fields) > width:
            assert (cell, fault) == (None, "too_many_fields")
        elif len(fields) <= index:
            assert (cell, fault) == (None, "missing_column")
        else:
            assert (cell, fault) == (fields[index].encode(), None)
    assert_nothing_lost(data, reader.layout.header_record, rows)


@given(rest=st.text('a@,"\r\n', max_size=30), places=places)
def test_literal_quotes_and_stray_line_ends_are_read_as_the_csv_module_does(rest, places):
    text = "x,email\n1,a@b.example\n" + rest
    try:
        reader, rows = read_chunks(cut(text.encode(), places))
    except InvalidList:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
        return
    expected = parse(text, ",")[1:]
    assert reader.rows == len(expected)
    assert rows.cells == [fields[1].encode() if len(fields) == 2 else None for fields in expected]
    assert_nothing_lost(text.encode(), reader.layout.header_record, rows)


@given(data=st.text('ab@.,;|"\r\n', max_size=60), places=places, limit=st.sampled_from([12, 1000]))
def test_it_does_not_matter_where_chunks_are_cut(data, places, limit):
    data = data.encode()
    whole = outcome([data], record_bytes_max=limit)
    assert outcome(cut(data, places), record_bytes_max=limit) == whole
    assert outcome(cut(data, range(len(data))), record_bytes_max=limit) == whole


# The kernels, and the csv module alone

fields = st.one_of(
    st.sampled_from(["", "a", "a@b.example", "Ann Lee", " ", "\0", "\xe9" * 5, "x" * 70, "x" * 200]),
    st.sampled_from(['""', '"a"', '"a@b.example"', '"Lee, Ann"', '"a\nb"', '"a\r\nb\r\r"', '"x""y"', '""""', '"x" ']),
    st.sampled_from(['5" x', 'a"b"', '"a"b', '"a"b"c', '"a\n"b', '"', '"a', "a\rb", '"\n",\n"']),
    st.text('ab@,;"\r\n', max_size=8),
)
ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n\r", ""])


@st.composite
def awkward_lists(draw):
    """Records most of which fit the header, beginning anywhere within a block."""
    width, delimiter = draw(st.integers(1, 6)), draw(st.sampled_from(DELIMITERS))
    index = draw(st.integers(0, width - 1))
    names = ["email" if place == index else "n" * draw(st.integers(0, 40)) for place in range(width)]
    is_mostly_odd, end = draw(st.booleans()), draw(ends.filter(bool))
    usual = st.sampled_from(["a@b.example", '"a@b.example"', "Ann", '"Ann Lee"'])
    records = [delimiter.join(names) + end]
    for _ in range(draw(st.integers(0, 12))):
        fits = draw(st.integers(0, 3)) > 0
        count = width if fits else draw(st.integers(0, width + 2))
        one = draw(usual)
        record = [draw(fields) if is_mostly_odd else one for _ in range(count)]
        records.append(delimiter.join(record) + (draw(ends) if is_mostly_odd or not fits else end))
    return "".join(records)


@settings(max_examples=300)
@given(text=awkward_lists(), places=places, limit=st.sampled_from([40, 100_000]), has_bom=st.booleans())
def test_kernels_cut_lists_as_the_csv_module_does(text, places, limit, has_bom):
    chunks = cut(BOM * has_bom + text.encode("latin-1"), places)
    expected = course(chunks, CsvListReader, record_bytes_max=limit)
    assert course(chunks, ListReader, record_bytes_max=limit) == expected


@settings(max_examples=300)
@given(
    first=st.sampled_from(["email\n", "x,email\n", "email;x;y\r\n", "a@b.example,x\n", 'x,"email"\r']),
    rest=st.text('ab@,;"\r\n', max_size=300),
    places=places,
)
def test_kernels_cut_whatever_may_come_as_the_csv_module_does(first, rest, places):
    chunks = cut((first + rest).encode(), places)
    assert course(chunks, ListReader) == course(chunks, CsvListReader)


@pytest.mark.parametrize("width", [1, 2, 5, 63, 64, 65, 200])
@pytest.mark.parametrize("mark", ["", '"'])
def test_records_of_many_fields_are_cut_as_the_csv_module_cuts_them(width, mark):
    record = ",".join(f"{mark}{'v' * (place % 7)}{mark}" for place in range(width - 1))
    lines = [f"{record},{mark}a{number}@b.example{mark}".lstrip(",") for number in range(50)]
    chunks = cut("\n".join(lines).encode(), range(0, 10_000, 777))
    options = {"header": False, "column": str(width)}
    assert course(chunks, ListReader, **options) == course(chunks, CsvListReader, **options)


@given(written=written_lists(), chosen=st.lists(st.booleans(), min_size=6, max_size=6))
def test_wanted_records_are_copied_byte_for_byte(written, chosen):
    reader = ListReader(ListOptions())
    for rows in filter(None, (reader.feed(written[0].encode()), reader.finish())):
        wanted = np.array(chosen[: len(rows)])
        expected = b"".join(rows.record(place) for place in np.flatnonzero(wanted))
        assert rows.copy(wanted) == rows.copy(wanted.astype(np.uint8)) == expected


@given(written=written_lists(), values=st.lists(texts, min_size=1, max_size=3))
def test_records_with_added_fields_parse_to_the_old_fields_and_the_new(written, values):
    text, _, _, width = written
    reader, rows = read(text.encode())
    delimiter = reader.layout.delimiter
    header = reader.layout.header_with([f"added{number}" for number in range(len(values))])
    assert len(parse(header.decode(), delimiter)[0]) == width + len(values)
    for record in rows.records:
        (fields,) = parse(record.decode(), delimiter)
        (extended,) = parse(reader.layout.record_with(record, values).decode(), delimiter)
        assert extended == [*fields, *[""] * (width - len(fields)), *values]


def test_lists_as_real_ones_look_are_cut_as_the_oracle_cuts_them(tmp_path):
    path, again = tmp_path / "list.csv", tmp_path / "again.csv"
    write_send_list(path, 3000, seed=7, odd=0.5)
    write_send_list(again, 3000, seed=7, odd=0.5)
    assert path.read_bytes() == again.read_bytes()
    reader, rows = read(path.read_bytes(), size=4000)
    expected = read_list(path, ",")[1:]
    assert (reader.rows, reader.layout.column_label) == (3000, "email")
    assert rows.records == [record.encode("latin-1") for record, _ in expected]
    assert rows.cells == [fields[0].encode("latin-1") if len(fields) <= 5 else None for _, fields in expected]


def test_short_records_are_filled_up_before_values_are_added():
    reader, rows = read(b"email,name,city\r\na@example.com\r\nb@example.com,Bo,Ulm")
    with_values = [reader.layout.record_with(record, ["x", "y,z"]) for record in rows.records]
    assert with_values == [b'a@example.com,,,x,"y,z"\r\n', b'b@example.com,Bo,Ulm,x,"y,z"']
    assert reader.layout.header_with(["u", "v"]) == b"email,name,city,u,v\r\n"


def test_first_row_of_a_headerless_list_may_have_a_byte_order_mark_and_quotes():
    reader, rows = read(BOM + b'"a@example.com","Ann, Ltd"\nb@example.com,Bo\n')
    assert rows.cells == [b"a@example.com", b"b@example.com"]
    assert rows.records[0] == BOM + b'"a@example.com","Ann, Ltd"\n'
    assert reader.layout.record_with(rows.records[0], ["x"]) == BOM + b'"a@example.com","Ann, Ltd",x\n'
    assert reader.layout.header_with(["x"]) == b""


# Encodings


def test_byte_order_mark_stays_in_the_header_and_out_of_its_names():
    reader, rows = read(BOM + b'"email";name\r\na@example.com;Ann\r\n')
    assert reader.layout.column_names == ("email", "name")
    assert reader.layout.header_record == BOM + b'"email";name\r\n'
    assert reader.layout.header_with(["x"]) == BOM + b'"email";name;x\r\n'
    assert rows.cells == [b"a@example.com"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding):
    assert refusal('"email",name\r\na@example.com,Ann\r\n'.encode(encoding)).detail == (
        "this is UTF-16; save it as UTF-8"
    )


def test_utf_32_is_named():
    assert "UTF-32" in refusal("email\na@example.com\n".encode("utf-32")).detail


@pytest.mark.parametrize(
    ("beginning", "word"), [(b"PK\x03\x04", "spreadsheet"), (b"\x1f\x8b\x08\x00", "gzip"), (b"PAR1", "Parquet")]
)
def test_files_that_are_no_text_are_named(beginning, word):
    assert word in refusal(beginning + b"\x00\x01email\n" * 20).detail


def test_bytes_that_are_not_utf_8_pass_through_untouched():
    data = "email;Straße\na@example.com;Köln\n".encode("latin-1")
    reader, rows = read(data, column="email")
    assert reader.layout.header_record + b"".join(rows.records) == data
    assert reader.layout.column_names == ("email", "Straße")


def test_address_cell_is_handed_on_undecoded():
    _, rows = read(b"email\nm\xfcller@example.com\n")
    assert rows.cells == [b"m\xfcller@example.com"]


# Delimiters


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_each_delimiter_is_recognised(delimiter):
    data = f'name{delimiter}E-Mail\n"A{delimiter}B"{delimiter}a@example.com\n'
    reader, rows = read(data.encode())
    assert (reader.layout.delimiter, rows.cells) == (delimiter, [b"a@example.com"])


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        (b'"Name, first";email\nAnn;a@example.com\n', ";"),
        (b"name;email;sum\nM, Ann;a@example.com;1,50\n", ";"),
        (b"M, Ann;a@example.com\n", ";"),
        (b"a|b@example.com\nc@example.com\n", ","),
        (b"Ann|a@example.com\nBo|b@example.com\n", "|"),
        (b"contact,name,city\na@example.com\n", ","),
        (b"email\na@example.com\n", ","),
    ],
)
def test_delimiters_within_values_do_not_mislead(data, delimiter):
    reader, rows = read(data)
    assert reader.layout.delimiter == delimiter
    assert b"example.com" in rows.cells[-1]


def test_a_quote_that_opens_only_under_another_delimiter_is_literal():
    _, rows = read(b'email;note\na@example.com;5,"6\nb@example.com;7\n', size=3)
    assert rows.cells == [b"a@example.com", b"b@example.com"]


# Lines


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_line_ends_of_all_kinds_may_be_mixed(size):
    data = b"email,n\r\na@example.com,1\nb@example.com,2\r\nc@example.com,3\rd@example.com,4"
    reader, rows = read(data, size=size)
    assert rows.cells == [b"a@example.com", b"b@example.com", b"c@example.com", b"d@example.com"]
    assert reader.layout.header_record + b"".join(rows.records) == data
    assert reader.layout.newline == b"\r\n"


def test_a_list_with_bare_carriage_returns_works():
    reader, rows = read(b"email,n\ra@example.com,1\rb@example.com,2\r")
    assert rows.records == [b"a@example.com,1\r", b"b@example.com,2\r"]
    assert reader.layout.header_with(["x"]) == b"email,n,x\r"


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_blank_lines_are_counted_and_are_no_rows(size):
    reader, rows = read(b"\r\n\nemail,n\n\na@example.com,1\r\n\r\n\nb@example.com,2\n\n", size=size)
    assert (reader.rows, reader.blank_lines, rows.first_row) == (2, 6, 2)
    assert rows.records == [b"a@example.com,1\r\n", b"b@example.com,2\n"]


def test_blank_lines_after_a_quoted_record_are_counted():
    reader, rows = read(b'email,n\n"a@example.com",1\n\n"b@example.com","2\n\n3"\n\n')
    assert (reader.rows, reader.blank_lines) == (2, 2)
    assert rows.records[1] == b'"b@example.com","2\n\n3"\n'


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n\n", BOM, BOM + b"\n", b"\r"])
def test_an_empty_list_is_refused(data):
    assert refusal(data, size=1).detail == "the list is empty"


def test_many_blank_lines_are_not_one_long_record():
    reader, _ = read(b"\n" * 5000 + b"email\n" + b"\n" * 5000 + b"a@example.com\n", size=100, record_bytes_max=64)
    assert (reader.rows, reader.blank_lines) == (1, 10_000)


def test_a_header_alone_is_a_list_without_rows():
    reader, rows = read(b"email,name")
    assert (reader.rows, rows.records) == (0, [])
    assert reader.layout.header_with(["x"]) == b"email,name,x"


# Header and column


@pytest.mark.parametrize(
    "name",
    [
        *["email", "E-Mail", "e-mail address", "EMAIL_ADDRESS", "E-Mail-Adresse", "Courriel", "correo electrónico"],
        *["Mail", " email ", "E-postadress", "Sähköposti", "メールアドレス", "Indirizzo e-mail", "EmailAddress"],
    ],
)
def test_column_names_that_mean_an_address_are_known(name):
    reader, _ = read(f"id,{name}\n1,a@example.com\n".encode())
    assert (reader.layout.column_index, reader.layout.column_label) == (1, name.strip())


def test_without_such_a_name_the_one_column_with_an_at_sign_is_taken():
    reader, _ = read(b"id,who,city\n1,a@example.com,Ulm\n")
    assert (reader.layout.column_label, reader.layout.has_header) == ("who", True)


def test_a_first_record_with_an_at_sign_is_no_header():
    reader, rows = read(b"1,a@example.com\n2,b@example.com\n")
    assert (reader.layout.has_header, reader.layout.header_record, reader.layout.column_names) == (False, None, ())
    assert (reader.layout.column_label, rows.first_row, len(rows.records)) == ("2", 1, 2)


def test_header_may_be_given_against_appearances():
    assert read(b"name,to@us\nAnn,a@example.com\n", header=True)[0].layout.column_label == "2"
    reader, rows = read(b"ann,ulm\na@example.com,bonn\n", header=False, column="1")
    assert (reader.layout.has_header, rows.cells) == (False, [b"ann", b"a@example.com"])


def test_wanted_column_is_found_by_name_and_without_case():
    data = b"Private,private ,Work\na@example.com,b@example.com,c@example.com\n"
    assert read(data, column="Private")[0].layout.column_index == 0
    assert read(data, column="work")[0].layout.column_index == 2


def test_wanted_position_is_taken_in_a_list_without_header():
    assert read(b"a@example.com,b@example.com\n", column="2")[1].cells == [b"b@example.com"]


@pytest.mark.parametrize(
    ("data", "column", "said"),
    [
        (b"email,e-mail\na@example.com,b@example.com\n", None, "email, e-mail"),
        (b"from,to\na@example.com,b@example.com\n", None, "may hold the address: from, to"),
        (b"from,to\n1,2\n", None, "there are: from, to"),
        (b"from,to\na@example.com,b@example.com\n", "cc", "there is no column cc; there are: from, to"),
        (b"to,to\na@example.com,b@example.com\n", "to", "there are 2 columns to"),
        (b"email,name,email\na@example.com,Ann,b@example.com\n", None, "email, email"),
        (b"a@example.com,b@example.com\n", None, "columns 1, 2"),
        (b"a@example.com,b@example.com\n", "3", "1 to 2"),
        (b"a@example.com,b@example.com\n", "0", "1 to 2"),
        (b"a@example.com,b@example.com\n", "9" * 5000, "1 to 2"),
        (b"a@example.com,b@example.com\n", "email", "no header"),
        (b"ann,bo\n", None, "there are: ann, bo"),
    ],
)
def test_an_unclear_column_is_refused_with_the_choice_there_is(data, column, said):
    error = refusal(data, column=column)
    assert said in error.detail
    assert error.row == 1


def test_names_in_messages_are_cut_and_few():
    names = [f"{'long' * 30}{number}" for number in range(300)]
    detail = refusal(",".join(names).encode() + b"\n" + b"1," * 299 + b"2\n").detail
    assert len(detail) < 1500
    assert "280 more" in detail


def test_no_message_and_no_repr_holds_what_stands_in_a_row():
    data = b"ann@example.com,Ann Example\nbo@example.com,Bo Example\n"
    error = refusal(data, header=True, column="nobody@example.com")
    reader = ListReader(ListOptions(header=True, column="Ann Example"))
    rows = reader.feed(data)
    for shown in (error.detail, str(error.column), repr(reader.layout), repr(rows), reader.layout.column_label):
        assert "example.com" not in shown
        assert "Ann" not in shown


def test_a_column_that_would_be_added_may_not_be_there_already():
    error = refusal(b"email,Unsubscribe_URL\na@example.com,x\n", added_columns=("unsubscribe_url",))
    assert (error.column, error.row) == ("unsubscribe_url", 1)


# Records that do not fit


def test_records_without_a_usable_cell_say_why():
    _, rows = read(b'x,email\n1,a@example.com\n2\n3,b@example.com,c@example.com\n4,"b@example.com",\n"5"\n6,\n')
    assert rows.cells == [b"a@example.com", None, None, None, None, b""]
    assert rows.faults == [None, "missing_column", "too_many_fields", "too_many_fields", "missing_column", None]


def test_short_records_in_quotes_do_not_run_together():
    _, rows = read(b'"email","x"\n"a@example.com"\n"b@example.com"\n"c@example.com"\n"d@example.com","x"\n')
    assert rows.cells == [b"a@example.com", b"b@example.com", b"c@example.com", b"d@example.com"]


def test_a_short_record_with_an_address_is_usable():
    _, rows = read(b'email,x\n"a@example.com"\nb@example.com\n')
    assert rows.cells == [b"a@example.com", b"b@example.com"]
    assert rows.faults == [None, None]


def test_a_headerless_list_is_as_wide_as_the_wider_of_its_first_two_records():
    _, rows = read(b"a@example.com\nb@example.com,Bo\nc@example.com,Cy,1\n")
    assert rows.faults == [None, None, "too_many_fields"]


# Limits and quotes


def test_a_million_byte_field_works():
    field = b'"' + b"1234567,\n" * 111_111 + b'"'
    data = b"email,note\na@example.com," + field + b"\nb@example.com,x\n"
    for size in (1000, 65_536, len(data)):
        _, rows = read(data, size=size)
        assert rows.cells == [b"a@example.com", b"b@example.com"]
        assert rows.records[0] == b"a@example.com," + field + b"\n"


@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_a_record_longer_than_the_limit_is_refused_with_its_row(size):
    data = b"email,note\na@example.com,x\nb@example.com," + b"x" * 500 + b"\nc@example.com,x\n"
    error = refusal(data, size=size, record_bytes_max=256)
    assert (error.row, error.detail) == (3, "row 3 is longer than 256 bytes")


def test_a_first_record_longer_than_the_limit_is_refused():
    assert refusal(b"x" * 2000, size=100, record_bytes_max=256).row == 1
    assert refusal(b"email,note\n" + b"x" * 2000, size=100, record_bytes_max=256).row == 2


@pytest.mark.parametrize("size", [1, 64, 300])
def test_a_quote_that_swallows_rows_is_refused_with_the_place_where_it_opened(size):
    rows = b"".join(b"c%d@example.com,x\n" % number for number in range(100))
    data = b'email,note\n\na@example.com,"1\n2"\nb@example.com,"open\n' + rows
    error = refusal(data, size=size, record_bytes_max=256)
    assert (error.row, error.column) == (3, "note")
    assert error.detail == (
        "row 3 is longer than 256 bytes: a quote opens in column note of row 3 (line 5) and is still open there"
    )


def test_an_unclosed_quote_is_refused_with_the_place_where_it_opened():
    error = refusal(b'email,a,b\na@example.com,"1\n\n2","open\nb@example.com,1,2\n')
    assert (error.row, error.column) == (2, "b")
    assert error.detail == "a quote opens in column b of row 2 (line 4) and is never closed"


def test_an_unclosed_quote_in_the_first_record_is_refused():
    assert refusal(b'"email,name\na@example.com,Ann\n').row == 1


def test_a_quote_left_open_that_meets_another_rows_quote_is_refused():
    error = refusal(b'email,name\na@example.com,"Ann\nb@example.com,"Bo"\nc@example.com,Cy\n')
    assert error.row == 2
    assert "is a quote left open?" in error.detail


def test_memory_stays_at_a_chunk_and_a_record():
    chunk = b"".join(b"user%d@example.com,Ann,Ulm\n" % number for number in range(2000))
    reader = ListReader(ListOptions(column="1", header=False))
    reader.feed(chunk)
    tracemalloc.start()
    for _ in range(20):
        reader.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.rows == 21 * 2000
    assert peak < 12 * len(chunk)
