"""POST /v1/scrubs: which rows come out, and what is said about the others."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.domain.tokens import read_link_token
from tests.doors.callers import Answer, Client, assert_problem, fresh, open_client

MILLION = 1_000_000


async def scrub(client: Client, listed: str | bytes, **parameters) -> str:
    """The rows that come out of a list that passes."""
    answer = await client.scrub(listed, **parameters)
    assert answer.status == 200, answer.body
    record = await client.counts(answer)
    assert record["status"] == "done"
    assert (
        record["rows"] == record["deliver"] + sum(record["suppress"].values()) + record["invalid"] + record["duplicate"]
    )
    return answer.body.decode("utf-8", "surrogateescape")


def read_rows(answer: Answer, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.body.decode()), delimiter=delimiter))


async def test_rows_come_out_byte_for_byte_in_order_duplicates_once(client: Client):
    gone, kept, other = fresh(), fresh(), fresh()
    await client.suppress(gone)
    rows = f"email,Name\r\n{kept},  Ann \r\n{gone},Bob\r\n{other.upper()},\r\n{kept.upper()},Again\r\nno address,x\r\n"
    answer = await client.scrub(rows)
    assert answer.body.decode() == f"email,Name\r\n{kept},  Ann \r\n{other.upper()},\r\n"
    record = await client.counts(answer)
    names = ("rows", "deliver", "suppress", "invalid", "duplicate", "blank_lines")
    assert {name: record[name] for name in names} == {
        "rows": 5,
        "deliver": 2,
        "suppress": {"unsubscribe": 1},
        "invalid": 1,
        "duplicate": 1,
        "blank_lines": 0,
    }


async def test_the_record_says_what_was_asked_and_when(client: Client):
    answer = await client.scrub("email\n", scope="maison", purpose="transactional", campaign="spring")
    record = await client.counts(answer)
    assert record["id"] == answer.headers["Scrub-Id"]
    assert (record["status"], record["purpose"], record["scope"]) == ("done", "transactional", "maison")
    assert (record["channel"], record["campaign"]) == ("email", "spring")
    assert record["as_of"]
    assert record["duration_seconds"] >= 0
    assert "error" not in record


async def test_the_answer_says_what_it_is_and_is_kept_by_nobody(client: Client):
    answer = await client.scrub("email\n")
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers


async def test_the_senders_charset_comes_back(client: Client):
    query = {"purpose": "marketing", "scope": "*"}
    headers = {"Content-Type": "text/csv; charset=iso-8859-1"}
    answer = await client.ask(
        "POST", "/v1/scrubs", data=b"email,city\na@x.example,K\xf6ln\n", params=query, headers=headers
    )
    assert answer.headers["Content-Type"] == "text/csv; charset=iso-8859-1"
    assert b"K\xf6ln" in answer.body


# How lists look


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("email\n{a}\n{b}", "email\n{a}\n"),
        ("email\n{b}\n{a}", "email\n{a}"),
        ("\ufeffemail,n\n{a},1\n{b},2\n", "\ufeffemail,n\n{a},1\n"),
        ("n;email\n1;{a}\n2;{b}\n", "n;email\n1;{a}\n"),
        ("n\temail\n1\t{a}\n2\t{b}\n", "n\temail\n1\t{a}\n"),
        ("n|email\n1|{a}\n2|{b}\n", "n|email\n1|{a}\n"),
        ("email,n\r\n{a},1\r\n{b},2\r\n", "email,n\r\n{a},1\r\n"),
        ("email,n\r{a},1\r{b},2\r", "email,n\r{a},1\r"),
        ('email,n\n{a},"1\n2\r\n3"\n{b},"4\n{c}"\n', 'email,n\n{a},"1\n2\r\n3"\n'),
        ('"email","n"\n"{a}","say ""hi"", Ann"\n"{b}",""\n', '"email","n"\n"{a}","say ""hi"", Ann"\n'),
        ("email\n\n{a}\n\r\n{b}\n\n", "email\n{a}\n"),
        ("{a}\n{b}\n", "{a}\n"),
        ("1,{a}\n2,{b}\n", "1,{a}\n"),
        ("\ufeff{b}\n{a}\n", "{a}\n"),
        ("E-Mail-Adresse;Name\n{a};Jörg\n{b};Ann\n", "E-Mail-Adresse;Name\n{a};Jörg\n"),
        ("email\n", "email\n"),
        ("email", "email"),
        ("email\n{b}\n", "email\n"),
    ],
)
async def test_lists_of_every_look_pass(client: Client, rows, kept):
    names = {"a": fresh(), "b": fresh(), "c": fresh()}
    await client.suppress(names["b"])
    assert await scrub(client, rows.format(**names)) == kept.format(**names)


async def test_blank_lines_are_left_out_and_counted_apart(client: Client):
    answer = await client.scrub(f"\nemail\n\n{fresh()}\r\n\r\n\n{fresh()}\n\n")
    record = await client.counts(answer)
    assert (record["rows"], record["deliver"], record["blank_lines"]) == (2, 2, 5)


async def test_latin_1_bytes_beside_the_address_pass_and_in_it_are_invalid(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    rows = f"email,city\n{gone},Köln\n{kept},Köln\njörg@example.com,Köln\n".encode("latin-1")
    answer = await client.scrub(rows, rows="all")
    assert [line.rpartition(b",")[0].rpartition(b",")[2] for line in answer.body.splitlines()[1:]] == [
        b"suppress",
        b"deliver",
        b"invalid",
    ]
    assert answer.body.splitlines()[3].endswith(b",not_utf8")
    assert f"{kept},Köln".encode("latin-1") in answer.body


async def test_rows_of_another_width_are_no_rows_that_anybody_could_mail(client: Client):
    kept, short, wide = fresh(), fresh(), fresh()
    answer = await client.scrub(f"n,email,city\n1,{kept},x\n2\n3,{short}\n4,{wide},a,b\n", rows="all")
    found = [line.split(",")[-2:] for line in answer.lines[1:]]
    assert found == [["deliver", ""], ["invalid", "missing_column"], ["deliver", ""], ["invalid", "too_many_fields"]]


async def test_a_field_of_a_million_bytes_passes(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    long = "x" * MILLION
    rows = f'email,note\n{kept},{long}\n{gone},{long}\n{fresh()},"{long}"\n'
    assert (await scrub(client, rows)).count(long) == 2


async def test_a_cell_of_a_million_bytes_is_no_address(client: Client):
    answer = await client.scrub(f"email\n{'x' * MILLION}@example.com\n{fresh()}\n")
    assert (await client.counts(answer))["invalid"] == 1


async def test_a_hundred_thousand_columns_pass(client: Client):
    header = ",".join(f"c{number}" for number in range(20_000))
    rows = f"{header},email\n" + f"{',' * 20_000}{fresh()}\n" * 3
    answer = await client.scrub(rows)
    record = await client.counts(answer)
    assert (record["deliver"], record["duplicate"]) == (1, 2)


async def test_addresses_on_both_sides_of_every_batch_are_decided(client: Client):
    names = [fresh() for _ in range(300)]
    gone = names[::3]
    for address in gone[:5]:
        await client.suppress(address)
    filler = "x" * 20_000
    rows = "email,filler\n" + "".join(f"{address},{filler}\n" for address in names)
    out = await scrub(client, rows)
    assert [line.partition(",")[0] for line in out.splitlines()[1:]] == [n for n in names if n not in gone[:5]]


# What cannot be read is told, with its row


@pytest.mark.parametrize(
    ("rows", "parameters", "said"),
    [
        ("", {}, "empty"),
        ("\n\n\n", {}, "empty"),
        ("name,city\nAnn,Leeds\n", {}, "no column can be told"),
        ("email,mail\n{a},{b}\n", {}, "more than one column"),
        ("email,email\n{a},{b}\n", {"column": "email"}, "2 columns email"),
        ("email,city\n{a},x\n", {"column": "mail"}, "no column mail; there are: email, city"),
        ("{a},x\n", {"column": "3", "header": "false"}, "no column 3"),
        ("{a},{b}\n", {"header": "false"}, "columns 1, 2 may each"),
        ('email,n\n{a},"open\n{b},1\n', {}, "a quote opens in column n of row 2 (line 2) and is never closed"),
        ("PK\x03\x04 and so on", {}, "spreadsheet"),
        ("PAR1", {}, "Parquet"),
        ("email,forbear_verdict\n{a},x\n", {"rows": "all"}, "forbear_verdict"),
        ("email,unsubscribe_url\n{a},x\n", {"links": "true"}, "unsubscribe_url"),
        ("email,Return_Path\n{a},x\n", {"links": "true"}, "return_path"),
    ],
)
async def test_a_list_that_cannot_be_read_is_told_so_before_any_row(client: Client, rows, parameters, said):
    answer = await client.scrub(rows.format(a=fresh(), b=fresh()), **parameters)
    problem = assert_problem(answer, 422, "invalid_list")
    assert said.lower() in problem["detail"].lower()
    record = await client.counts(answer)
    assert record["status"] == "failed"
    assert record["error"]["detail"] == problem["detail"]


async def test_utf_16_is_told_so(client: Client):
    answer = await client.scrub("email\nann@example.com\n".encode("utf-16"))
    assert "UTF-16" in assert_problem(answer, 422, "invalid_list")["detail"]


async def test_a_column_of_a_name_we_add_passes_where_we_add_none(client: Client):
    rows = f"email,unsubscribe_url,forbear_verdict\n{fresh()},x,y\n"
    assert await scrub(client, rows) == rows


# Columns


async def test_the_column_is_found_by_name_in_any_case_or_by_position(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    rows = f"E-MAIL,second\n{kept},{gone}\n"
    assert await scrub(client, rows, column="e-mail") == rows
    assert await scrub(client, rows, column="SECOND ") == "E-MAIL,second\n"
    assert await scrub(client, f"{kept},{gone}\n", column="2") == ""
    assert await scrub(client, f"{kept},{gone}\n", column="1", header="false") == f"{kept},{gone}\n"


@pytest.mark.parametrize(("header", "rows"), [("true", 1), ("auto", 2), ("false", 2)])
async def test_a_header_may_be_said_to_be_one_or_none(client: Client, header, rows):
    answer = await client.scrub(f"{fresh()},city\n{fresh()},Leeds\n", header=header)
    assert len(answer.lines) == 2
    assert (await client.counts(answer))["rows"] == rows


async def test_refused_rows_come_with_verdict_and_reason(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone, "complaint")
    rows = f"email,n\n{kept},1\n{gone},2\nno address,3\n{kept},4\n"
    refused = await client.scrub(rows, rows="refused")
    assert refused.lines == [
        "email,n,forbear_verdict,forbear_reason",
        f"{gone},2,suppress,complaint",
        "no address,3,invalid,invalid_address",
        f"{kept},4,duplicate,",
    ]
    whole = await client.scrub(rows, rows="all")
    assert whole.lines == [refused.lines[0], f"{kept},1,deliver,", *refused.lines[1:]]
    assert (await client.counts(whole))["rows"] == (await client.counts(refused))["rows"] == 4


async def test_links_open_for_the_row_they_stand_in(settings):
    async with open_client(settings, mail_domain="in.example.com") as client:
        await client.suppress("gone@example.com")
        rows = "email;n\nann@example.com;1\ngone@example.com;2\nbob@example.com;3\n"
        answer = await client.scrub(rows, links="true", scope="maison/newsletter", campaign="spring")
        found = read_rows(answer, ";")
        assert list(found[0]) == ["email", "n", "unsubscribe_url", "preferences_url", "return_path"]
        assert [row["email"] for row in found] == ["ann@example.com", "bob@example.com"]
        for row in found:
            token = row["unsubscribe_url"].removeprefix(f"{client.url}/u/")
            link = read_link_token(client.context.keyring, token)
            assert (link.address, link.scope, link.campaign) == (row["email"], "maison/newsletter", "spring")
            assert row["preferences_url"] == f"{client.url}/p/{token}"
            assert row["return_path"].endswith("@in.example.com")
        assert len({row["return_path"] for row in found}) == 2


async def test_rows_that_may_not_be_mailed_get_no_links(client: Client):
    gone = fresh()
    await client.suppress(gone)
    answer = await client.scrub(f"email\n{gone}\n{fresh()}\nx\n", links="true", rows="all")
    found = read_rows(answer)
    assert [bool(row["unsubscribe_url"]) for row in found] == [False, True, False]
    assert [row["forbear_verdict"] for row in found] == ["suppress", "deliver", "invalid"]


async def test_added_columns_follow_the_lists_own_form(client: Client):
    gone = fresh()
    await client.suppress(gone)
    rows = f'\ufeff"email"\t"n"\r\n"{gone}"\t"a\tb"\r\n{fresh()}\r\n'
    answer = await client.scrub(rows, rows="all")
    first, second, third = answer.body.decode().split("\r\n")[:3]
    assert first == '\ufeff"email"\t"n"\tforbear_verdict\tforbear_reason'
    assert second == f'"{gone}"\t"a\tb"\tsuppress\tunsubscribe'
    assert third.split("\t")[1:] == ["", "deliver", ""]


# What is asked wrongly


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"purpose": ""}, "purpose"),
        ({"purpose": "spam"}, "purpose"),
        ({"scope": ""}, "scope"),
        ({"scope": "Not A Scope"}, "scope"),
        ({"channel": "phone"}, "channel"),
        ({"channel": "pigeon"}, "channel"),
        ({"rows": "some"}, "rows"),
        ({"links": "yes"}, "links"),
        ({"header": "maybe"}, "header"),
        ({"campaign": "ann@example.com"}, "campaign"),
        ({"campaign": "two\nlines"}, "campaign"),
        ({"campaign": "nul\0"}, "campaign"),
        ({"campaign": "x" * 129}, "campaign"),
        ({"colum": "email"}, "unknown parameter"),
        ({"ann@example.com": "1"}, "unknown parameter"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_told(client: Client, parameters, said):
    answer = await client.scrub("email\n", **parameters)
    assert said in assert_problem(answer, 422, "invalid_input")["detail"]


@pytest.mark.parametrize("name", ["purpose", "scope"])
async def test_what_is_needed_cannot_be_left_out(client: Client, name):
    query = {"purpose": "marketing", "scope": "*"}
    del query[name]
    answer = await client.ask("POST", "/v1/scrubs", data="email\n", params=query)
    assert name in assert_problem(answer, 422, "invalid_input")["detail"]


async def test_a_parameter_given_twice_is_told(client: Client):
    query = [("purpose", "marketing"), ("scope", "maison"), ("scope", "*")]
    answer = await client.ask("POST", "/v1/scrubs", data="email\n", params=query)
    assert "scope" in assert_problem(answer, 422, "invalid_input")["detail"]


async def test_an_unregistered_scope_lets_nobody_through(client: Client):
    answer = await client.scrub("email\nann@example.com\n", scope="unheard-of")
    assert_problem(answer, 422, "unknown_scope")


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.apache.arrow.stream", "multipart/form-data"])
async def test_a_list_of_another_type_is_told_so(client: Client, kind):
    query = {"purpose": "marketing", "scope": "*"}
    answer = await client.ask("POST", "/v1/scrubs", data=b"x" * MILLION, params=query, headers={"Content-Type": kind})
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("number", ["0", "00000000-0000-4000-8000-000000000000", "f" * 32, "-" * 36, "x"])
async def test_a_scrub_that_never_was_is_not_found(client: Client, number):
    assert_problem(await client.ask("GET", f"/v1/scrubs/{number}"), 404, "not_found")


# Whatever the rows are, they add up

CELLS = st.sampled_from(
    [
        "ann{}@example.com",
        "ANN{}@example.com",
        "gone{}@example.com",
        "Gone{}@Example.com",
        "a.b{}+c@gmail.com",
        "no address",
        "",
        "jörg{}@bücher.example",
        '"x,y{}"@example.com',
        " ann{}@example.com ",
    ]
)
OTHERS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, OTHERS), max_size=12), st.sampled_from(["\n", "\r\n"]), st.sampled_from(",;\t|"))
async def test_every_row_is_accounted_for(client: Client, rows, line_end, delimiter):
    mark = fresh("mark").partition("@")[0]
    await client.suppress(f"gone{mark}@example.com")
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["n", "email", "other"])
    writer.writerows([n, cell.format(mark), other] for n, (cell, other) in enumerate(rows))
    answers = {choice: await client.scrub(out.getvalue(), rows=choice) for choice in ("deliver", "refused", "all")}
    counts = [await client.counts(answer) for answer in answers.values()]
    for record in counts:
        assert record["status"] == "done", record
        told = record["deliver"] + sum(record["suppress"].values()) + record["invalid"] + record["duplicate"]
        assert record["rows"] == len(rows) == told
    found = {choice: [row["n"] for row in read_rows(answer, delimiter)] for choice, answer in answers.items()}
    assert found["all"] == [str(n) for n in range(len(rows))]
    assert sorted(found["deliver"] + found["refused"], key=int) == found["all"]
    assert len(found["deliver"]) == counts[0]["deliver"]
    verdicts = {row["n"]: row["forbear_verdict"] for row in read_rows(answers["all"], delimiter)}
    assert [n for n in found["all"] if verdicts[n] == "deliver"] == found["deliver"]
    assert json.dumps(counts[0]["suppress"]) == json.dumps(counts[2]["suppress"])
