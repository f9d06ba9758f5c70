import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.errors import InvalidImport, InvalidList
from forbear.domain.export_form import COLUMNS, name_keys, protect, read_cells, unprotect
from forbear.domain.import_formats import Refusal, read_moment
from forbear.domain.keys import Keyring
from forbear.domain.suppression import Reason
from forbear.services.key_file import make_keyring
from tests.imports import NOW, OWN_HEADER, RING, SAMPLES, open_file, read_given, stage

SENDGRID = [datetime.fromtimestamp(1_700_000_000 + second, UTC) for second in range(4)]
MAILGUN = datetime(2025, 1, 7, 19, 25, 45, tzinfo=UTC)
POSTMARK = [datetime(2019, 12, 17, 13, 58, second, tzinfo=UTC) for second in (33, 34, 35, 36)]
ANN, BOB, CARL, DORA = "ann@example.com", "bob@example.org", "carl@example.net", "dora@example.net"

EXPECTED = {
    "ses.csv": [
        (ANN, Reason.HARD_BOUNCE, datetime(2024, 5, 6, 7, 8, 9, 123000, UTC)),
        (BOB, Reason.COMPLAINT, datetime(2023, 1, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=2)))),
        (CARL, Reason.MANUAL, None),
    ],
    "ses.jsonl": [
        (ANN, Reason.HARD_BOUNCE, datetime(2024, 5, 6, 7, 8, 9, 123000, UTC)),
        (BOB, Reason.COMPLAINT, datetime(2023, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("", Reason.HARD_BOUNCE, None),
    ],
    "ses_upload.csv": [(ANN, Reason.HARD_BOUNCE, None), (BOB, Reason.COMPLAINT, None)],
    "sendgrid_suppression_bounces.csv": [
        (ANN, Reason.HARD_BOUNCE, SENDGRID[0]),
        (BOB, Refusal.TEMPORARY, SENDGRID[1]),
        (CARL, Reason.HARD_BOUNCE, SENDGRID[2]),
        (DORA, Refusal.TEMPORARY, SENDGRID[3]),
    ],
    "sendgrid_suppression_blocks.csv": [(ANN, Refusal.TEMPORARY, SENDGRID[0]), (BOB, Refusal.TEMPORARY, SENDGRID[1])],
    "sendgrid_suppression_spam_reports.csv": [(ANN, Reason.COMPLAINT, SENDGRID[0])],
    "sendgrid_suppression_invalid_emails.csv": [("ann@example.invalid", Reason.HARD_BOUNCE, SENDGRID[0])],
    "sendgrid_suppression_unsubscribes.csv": [
        (ANN, Reason.UNSUBSCRIBE, SENDGRID[0]),
        (BOB, Reason.UNSUBSCRIBE, SENDGRID[1]),
    ],
    "mailgun_bounces.csv": [
        (ANN, Reason.HARD_BOUNCE, MAILGUN),
        (BOB, Refusal.TEMPORARY, MAILGUN + timedelta(seconds=1)),
    ],
    "mailgun_unsubscribes.csv": [(ANN, Reason.UNSUBSCRIBE, MAILGUN), (BOB, Reason.UNSUBSCRIBE, None)],
    "mailgun_complaints.csv": [(ANN, Reason.COMPLAINT, datetime(2024, 10, 18, 18, 28, 14, tzinfo=UTC))],
    "postmark.csv": [
        (ANN, Reason.UNSUBSCRIBE, POSTMARK[0]),
        (BOB, Reason.HARD_BOUNCE, POSTMARK[1]),
        (CARL, Reason.COMPLAINT, POSTMARK[2]),
        (DORA, Reason.MANUAL, POSTMARK[3]),
    ],
    "mailchimp_unsubscribed.csv": [(ANN, Reason.UNSUBSCRIBE, datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC))],
    "mailchimp_cleaned.csv": [(BOB, Reason.HARD_BOUNCE, datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC))],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_providers_export_is_read(name):
    assert read_given((SAMPLES / name).read_bytes(), name) == EXPECTED[name]


def test_every_sample_has_its_expectation():
    assert {path.name for path in SAMPLES.iterdir()} == {*EXPECTED, "mailchimp_subscribed.csv"}


def test_people_who_have_not_left_are_not_taken_for_a_suppression_list():
    with pytest.raises(InvalidImport, match="have not left"):
        open_file((SAMPLES / "mailchimp_subscribed.csv").read_bytes())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter):
    text = (SAMPLES / "ses.csv").read_text().replace(",", delimiter)
    assert read_given(text.encode()) == EXPECTED["ses.csv"]


def test_a_list_of_addresses_needs_no_header():
    assert [row[0] for row in read_given(b"ann@example.com\nbob@example.org\n")] == [ANN, BOB]


def test_a_list_without_header_may_have_other_columns():
    assert [row[0] for row in read_given(b"Ann;ann@example.com;Paris\nBob;bob@example.org;Rome\n")] == [ANN, BOB]


def test_names_around_addresses_may_hold_commas_in_quotes():
    assert read_given(b'"""Lee, Ann"" <ann@example.com>"\n')[0][0] == '"Lee, Ann" <ann@example.com>'


@pytest.mark.parametrize("header", ["E-Mail", "email address", "Address", "\ufeffEMAIL"])
def test_the_address_column_is_known_by_its_name(header):
    assert [row[0] for row in read_given(f"id,{header}\n1,{ANN}\n".encode())] == [ANN]


def test_the_address_column_is_found_by_what_stands_in_it():
    assert [row[0] for row in read_given(f"Kunde;Kontakt\nAnn;{ANN}\n".encode())] == [ANN]


def test_a_plain_list_may_say_reasons_in_our_words():
    rows = read_given(b"email,reason,since\nann@example.com,Complaint,2024-01-02\nbob@example.org,bored,soon\n")
    assert rows == [
        (ANN, Reason.COMPLAINT, datetime(2024, 1, 2, tzinfo=UTC)),
        (BOB, Refusal.UNKNOWN_REASON, None),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"name,city\nAnn,Paris\n", "there are: name, city"),
        (b"email,e-mail\na@example.com,b@example.com\n", "more than one column"),
        (b"a@example.com,b@example.com\n", "more than one column"),
        (b'{\n "SuppressedDestinationSummaries": []\n}\n', "jq -c"),
        (b"[]", "jq -c"),
        (b'{"name": "Ann"}\n', "no name in the JSON"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_whole(data, message):
    with pytest.raises(InvalidImport, match=message):
        open_file(data)


@pytest.mark.parametrize("data", ["email\na@example.com\n".encode("utf-16"), b"PK\x03\x04xlsx"])
def test_a_file_that_is_no_text_is_refused_whole(data):
    with pytest.raises(InvalidList, match="save it as"):
        open_file(data)


def test_no_message_shows_an_address():
    with pytest.raises(InvalidImport) as caught:
        open_file(b"ann@example.com,bob@example.org\n")
    assert "example" not in caught.value.detail


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000.5", datetime(2023, 11, 14, 22, 13, 20, 500000, UTC)),
        ("1700000000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (" 2024-02-01 09:00:00 ", datetime(2024, 2, 1, 9, tzinfo=UTC)),
        ("2024-02-01", datetime(2024, 2, 1, tzinfo=UTC)),
        ("2024-02-01T09:00:00Z", datetime(2024, 2, 1, 9, tzinfo=UTC)),
        ("Thu, 13 Oct 2011 18:02:00 GMT", datetime(2011, 10, 13, 18, 2, tzinfo=UTC)),
        ("Thu, 13 Oct 2011 18:02:00 -0000", datetime(2011, 10, 13, 18, 2, tzinfo=UTC)),
        ("Mon, 01 Jan 0001 00:00:00 UTC", None),
        ("1970-01-01", None),
        ("03/04/2024", None),
        ("9999999999000", datetime(2286, 11, 20, 17, 46, 39, tzinfo=UTC)),
        ("", None),
        ("soon", None),
    ],
)
def test_dates_are_read_as_providers_write_them(text, moment):
    assert read_moment(text) == moment


@given(st.text())
def test_any_text_is_a_date_or_none(text):
    assert read_moment(text) is None or read_moment(text).tzinfo


# Reading records


def read_rows(data):
    return [(record.line, record.cells or record.fault.name) for record in open_file(b"email\n" + data).read(10_000)]


def test_records_know_their_lines():
    data = b'a@example.com\r\n\r\n"b@example.com"\r"c@example.com\n"\nd@example.com'
    assert read_rows(data) == [
        (2, ["a@example.com"]),
        (4, ["b@example.com"]),
        (5, ["c@example.com\n"]),
        (7, ["d@example.com"]),
    ]


def test_an_unclosed_quote_swallows_no_row():
    data = b'a@example.com\n"b@example.com\nc@example.com\nd@example.com\n'
    assert read_rows(data) == [
        (2, ["a@example.com"]),
        (3, "OPEN_QUOTE"),
        (4, ["c@example.com"]),
        (5, ["d@example.com"]),
    ]


def test_a_quote_closed_rows_later_by_another_swallows_no_row():
    data = b'"b@example.com\nc@example.com\n"d@example.com"\n'
    assert read_rows(data) == [(2, "OPEN_QUOTE"), (3, ["c@example.com"]), (4, ["d@example.com"])]


def test_an_unclosed_quote_costs_no_more_than_a_record_may_hold():
    rows = read_rows(b'"open\n' + b"a@example.com\n" * 2000)
    assert rows == [(2, "OPEN_QUOTE"), *((line, ["a@example.com"]) for line in range(3, 2003))]


def test_a_record_that_is_too_long_is_one_fault():
    assert read_rows(b"x" * 50_000 + b"@example.com\na@example.com\n") == [(2, "TOO_LONG"), (3, ["a@example.com"])]


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=3), min_size=1, max_size=8))
def test_what_csv_writes_is_read_as_csv_reads_it(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["email", "x", "y"], *rows])
    try:
        data = text.getvalue().encode()
    except UnicodeEncodeError:
        return
    expected = [row for row in csv.reader(io.StringIO(text.getvalue(), newline="")) if row][1:]
    assert [record.cells for record in open_file(data).read(1000)] == expected


@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a@example.com", b"b", b"\xff", b"\xc3\xa9"]), max_size=40))
def test_every_byte_of_a_file_is_in_a_record_or_in_a_blank_line(parts):
    data = b"".join(parts)
    file = open_file(b"email,more\n" + data, characters_max=30)
    raw = "".join(record.raw for record in file.read(1000)).encode("utf-8", "surrogateescape")
    if len(max(data.splitlines(), default=b"", key=len)) < 30:
        assert raw.translate(None, b"\r\n") == data.translate(None, b"\r\n")


# Rows


def test_bytes_that_are_not_utf8_cost_the_row_only_where_they_stand_in_the_address():
    staged = stage(b"email,name\nan\xe9@example.com,Ann\nbob@example.org,Ren\xe9\n")
    assert [(row.line, row.why) for row in staged.rejected] == [(2, Refusal.NOT_UTF8)]
    assert staged.rejected[0].raw == b"an\xe9@example.com,Ann\n"
    assert len(staged.rows) == 1


def test_a_byte_order_mark_is_no_part_of_an_address():
    with_mark, without = stage(b"\xef\xbb\xbfann@example.com\n"), stage(b"ann@example.com\n")
    assert with_mark.rows[0].fingerprint == without.rows[0].fingerprint


def test_a_row_says_why_it_is_not_taken():
    staged = stage(b"email\nann@example.com\nnonsense\n\nann@example.com, bob@example.org\n")
    assert [(row.line, row.why, row.detail) for row in staged.rejected] == [
        (3, Refusal.INVALID_ADDRESS, "there is no @"),
    ]
    assert (staged.records, len(staged.rows), staged.copies) == (3, 1, 1)


def test_a_row_too_short_for_the_address_is_rejected():
    assert stage(b"id,email\n1,ann@example.com\n2\n").rejected[0].why is Refusal.MISSING_COLUMN


def test_a_domain_is_a_domain_entry():
    staged = stage(b"@example.com\n@EXAMPLE.com.\n")
    assert [row.kind for row in staged.rows] == ["domain"]
    assert staged.copies == 1


def test_of_rows_that_say_the_same_the_earliest_date_and_the_latest_assertion_stand():
    staged = stage(
        b"email,since\nann@example.com,2024-01-01\nANN@example.com,2020-01-01\n<ann@example.com>,2022-01-01\n"
    )
    (row,) = staged.rows
    assert (row.since.year, row.asserted_at.year, staged.copies) == (2020, 2024, 2)


@pytest.mark.parametrize("since", ["2999-01-01", "soon", ""])
def test_a_date_in_the_future_or_none_counts_as_now(since):
    (row,) = stage(f"email,since\nann@example.com,{since}\nann@example.com,2024-01-01\n".encode()).rows
    assert row.asserted_at is None


def test_a_reason_given_for_all_replaces_the_rows_own():
    data = (SAMPLES / "sendgrid_suppression_blocks.csv").read_bytes()
    assert {row.reason for row in stage(data, reason=Reason.SOFT_BOUNCE).rows} == {Reason.SOFT_BOUNCE}
    assert {row.reason for row in stage(data, reason=None).rows} == {Reason.HARD_BOUNCE}


def test_a_complaint_also_covers_the_other_spellings_of_a_mailbox():
    data = b"ann+shop@gmail.com\n"
    assert stage(data, reason=Reason.COMPLAINT).rows[0].wide_fingerprint
    assert not stage(data, reason=Reason.HARD_BOUNCE).rows[0].wide_fingerprint


FRAGMENTS = [
    b"ann@example.com", b"bob@example.org", b"@example.net", b"nonsense", b"", b"\xff@example.com", b"a b@example.com",
    b'"', b",", b"\n", b"\r\n", b'"ann@example.com"', b"x" * 60,
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60))
def test_rows_are_taken_duplicates_or_rejected(parts):
    staged = stage(b"email,more\n" + b"".join(parts))
    assert staged.records == len(staged.rows) + staged.copies + len(staged.rejected)


# Our own form


def own(**cells):
    usual = {
        "kind": "match", "channel": "email", "scope": "maison", "reason": "unsubscribe", "source": "one_click",
        "since": "2024-01-01T00:00:00.000000Z", "wide": "no", "fingerprint": "00" * 16,
        "asserted_at": "2025-01-01T00:00:00.000000Z", "key": "other.1",
    }  # fmt: skip
    row = {**usual, **cells}
    return ",".join(row.get(name, "") for name in COLUMNS)


def stage_own(*rows, **how):
    return stage("\n".join([OWN_HEADER, *rows]).encode(), **{"reason": None, "scope": None, **how})


def test_our_own_rows_keep_what_they_say():
    (row,) = stage_own(own(address=ANN)).rows
    assert (row.scope, row.reason, row.source) == ("maison", "unsubscribe", "one_click")
    assert (row.since.year, row.asserted_at.year) == (2024, 2025)


def test_a_row_without_address_is_taken_under_the_same_keys_only():
    here = name_keys(RING, 1)
    (row,) = stage_own(own(key=here, wide="yes", wide_fingerprint="11" * 16), key=here).rows
    assert (row.fingerprint, row.wide_fingerprint, row.sealed) == (bytes(16), b"\x11" * 16, None)
    assert stage_own(own(), key=here).rejected[0].why is Refusal.OTHER_KEYS
    assert stage_own(own(key=""), key=here).rejected[0].why is Refusal.OTHER_KEYS


def test_an_erased_row_brings_no_address_whatever_the_file_says():
    (row,) = stage_own(own(address=ANN, reason="erased"), reason=Reason.MANUAL).rows
    assert (row.reason, row.sealed) == ("erased", None)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"address": ANN, "kind": "grant", "reason": ""}, Refusal.GRANT),
        ({"address": ANN, "reason": "bored"}, Refusal.UNKNOWN_REASON),
        ({"address": ANN, "scope": "NOT A SCOPE"}, Refusal.INVALID_ROW),
        ({"address": ANN, "kind": "wide"}, Refusal.INVALID_ROW),
        ({"address": ANN, "source": "rumour"}, Refusal.INVALID_ROW),
        ({"address": ANN, "channel": "pigeon"}, Refusal.INVALID_ROW),
        ({"address": ANN, "fingerprint": "zz"}, Refusal.INVALID_ROW),
        ({"address": ANN, "fingerprint": "00"}, Refusal.INVALID_ROW),
        ({"address": ANN, "since": "soon"}, Refusal.INVALID_ROW),
        ({"address": ANN, "kind": "domain"}, Refusal.INVALID_ADDRESS),
        ({"address": "nonsense"}, Refusal.INVALID_ADDRESS),
    ],
)
def test_rows_that_are_not_entries_are_rejected(cells, why):
    assert [row.why for row in stage_own(own(**cells)).rejected] == [why]


def test_lifted_rows_are_not_taken():
    data = f"{OWN_HEADER},lifted_at\n{own(address=ANN)},2025-01-01T00:00:00Z\n{own(address=BOB)},\n".encode()
    staged = stage(data, reason=None, scope=None)
    assert ([row.why for row in staged.rejected], len(staged.rows)) == ([Refusal.LIFTED], 1)


@given(st.text())
def test_the_apostrophe_before_a_formula_can_always_be_taken_off_again(cell):
    assert unprotect(protect(cell)) == cell


@given(st.from_regex("\\A'*[=+\\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]"))
def test_no_cell_begins_like_a_formula(cell):
    assert protect(cell).startswith("'")
    assert unprotect(protect(cell)) == cell


@pytest.mark.parametrize(
    "cell", ["+4412345", '=HYPERLINK("x")', "@example.com", "'=x@example.com", "''@x", "plain", "'x"]
)
def test_formulas_round_trip(cell):
    assert unprotect(protect(cell)) == cell


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=40)))
def test_any_cells_are_a_row_or_none(cells):
    read_cells({name: cells.get(name, "") for name in COLUMNS})


def test_other_fingerprint_keys_have_another_name():
    other = make_keyring(NOW)
    fingerprint_key, sealing_key = RING.keys
    assert name_keys(RING, 1) not in {name_keys(other, 1), name_keys(RING, 2)}
    assert name_keys(Keyring((fingerprint_key, other.keys[1])), 1) == name_keys(RING, 1)
    assert sealing_key.secret.hex() not in name_keys(RING, 1)
