"""Lists as JSON lines and Parquet, through HTTP and the command line: what is true of CSV is true of them."""

import asyncio
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forbear.domain.tokens import read_link_token
from forbear.index import ndjson_list
from tests.commands import command_line, list_environment, run_command
from tests.doors.callers import Answer, Client, assert_problem, fresh, open_client
from tests.doors.clients import send
from tests.doors.streams import (
    MEGABYTE,
    PATIENCE_SECONDS,
    QUERY,
    connected,
    is_complete,
    make_head,
    read_head,
    read_rest,
    wait_for_end,
)
from tests.formats import CSV, FORMATS, NDJSON, PARQUET, Format
from tests.processes import running
from tests.webs import Web

OTHERS = (NDJSON, PARQUET)
COUNTS = ("rows", "deliver", "suppress", "invalid", "duplicate", "blank_lines")
ADDED = ("forbear_verdict", "forbear_reason")


async def scrub(client: Client, form: Format, rows, /, **parameters) -> Answer:
    answer = await client.scrub(form.write(rows), kind=form.type, **parameters)
    assert answer.status == 200, answer.body
    return answer


async def make_rows(client: Client) -> list[dict]:
    """Rows of every kind, some of people who have left."""
    gone, complained, kept = fresh(), fresh(), fresh()
    await client.suppress(gone)
    await client.suppress(complained, "complaint")
    addresses = (kept, gone, kept.upper(), complained, "no address", fresh(), "", f" {fresh()} ", "jörg@bücher.example")
    return [{"id": str(n), "email": address, "city": "Köln"} for n, address in enumerate(addresses)]


@pytest.mark.parametrize("choice", ["deliver", "refused", "all"])
async def test_rows_verdicts_and_counts_are_those_of_csv(client: Client, choice):
    rows = await make_rows(client)
    answers = [await scrub(client, form, rows, rows=choice) for form in FORMATS]
    found = [form.read(answer.body) for form, answer in zip(FORMATS, answers, strict=True)]
    assert found[1] == found[2] == found[0]
    assert len(found[0]) == {"deliver": 4, "refused": 5, "all": 9}[choice]
    counts = [{name: record[name] for name in COUNTS} for record in [await client.counts(each) for each in answers]]
    assert counts[1] == counts[2] == counts[0]
    assert counts[0] == {
        "rows": 9,
        "deliver": 4,
        "suppress": {"complaint": 1, "unsubscribe": 1},
        "invalid": 2,
        "duplicate": 1,
        "blank_lines": 0,
    }


@pytest.mark.parametrize("form", OTHERS, ids=str)
async def test_the_answer_says_what_it_is(client: Client, form):
    answer = await scrub(client, form, [{"email": fresh()}])
    assert answer.headers["Content-Type"] == form.type
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert (await client.counts(answer))["status"] == "done"


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/ndjson", "application/jsonl"])
async def test_kept_lines_come_out_byte_for_byte(client: Client, kind):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    lines = [
        f'{{"n" :1.0, "email":"{kept}" , "tags": [ 1,{{"a":null}}]}} \r\n',
        f'{{"email":"{gone}"}}\n',
        "\n",
        f'{{"email":"{kept.replace("@", chr(92) + "u0040")}","n":"twice"}}\n',
        f'{{"email":"{fresh()}","n":"K\\u00f6ln, Köln"}}',
    ]
    answer = await client.scrub("\ufeff" + "".join(lines), kind=kind)
    assert answer.body.decode() == "\ufeff" + lines[0] + lines[4]
    assert answer.headers["Content-Type"] == kind
    record = await client.counts(answer)
    assert [record[name] for name in COUNTS] == [4, 2, {"unsubscribe": 1}, 0, 1, 1]


async def test_rows_without_a_usable_address_are_told_why(client: Client):
    lines = [
        {"email": fresh()},
        {"id": 2},
        {"email": None},
        {"email": 3},
        {"email": [fresh()]},
    ]
    body = (
        NDJSON.write(lines)
        + b'{"email":"a@example.com","email":"b@example.com"}\n{}\n{"email":"\\ud800@example.com"}\n'
    )
    answer = await client.scrub(body, kind=NDJSON.type, rows="all")
    rows = [json.loads(line) for line in answer.body.splitlines()]
    assert [(row["forbear_verdict"], row["forbear_reason"]) for row in rows] == [
        ("deliver", ""),
        ("invalid", "missing_column"),
        ("invalid", "missing_column"),
        ("invalid", "not_text"),
        ("invalid", "not_text"),
        ("invalid", "repeated_key"),
        ("invalid", "missing_column"),
        ("invalid", "not_utf8"),
    ]
    table = pa.table({"email": pa.array([fresh().encode(), None, b"\xff@example.com", b""])})
    out = io.BytesIO()
    pq.write_table(table, out)
    answer = await client.scrub(out.getvalue(), kind=PARQUET.type, rows="refused")
    reasons = [row["forbear_reason"] for row in PARQUET.read(answer.body)]
    assert reasons == ["missing_column", "not_utf8", "invalid_address"]


async def test_parquet_comes_out_with_all_its_columns_and_its_schema(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    table = pa.table(
        {
            "tags": [[{"k": "a"}], None, []],
            "email": pa.array([kept, gone, fresh()]).dictionary_encode(),
            "n": pa.array([1, None, 3], pa.uint8()),
        },
        metadata={"campaign": "spring"},
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    answer = await client.scrub(out.getvalue(), kind=PARQUET.type)
    found = pq.ParquetFile(io.BytesIO(answer.body))
    assert found.read().to_pylist() == table.take([0, 2]).to_pylist()
    assert found.schema_arrow.equals(pq.read_schema(io.BytesIO(out.getvalue())), check_metadata=True)
    assert found.metadata.row_group(0).column(2).compression == "ZSTD"


@pytest.mark.parametrize("form", OTHERS, ids=str)
async def test_a_list_of_which_nobody_may_be_mailed_is_a_whole_list_without_rows(client: Client, form):
    gone = fresh()
    await client.suppress(gone)
    answer = await scrub(client, form, [{"email": gone, "n": 1}])
    assert form.read(answer.body) == []


@pytest.mark.parametrize("form", OTHERS, ids=str)
async def test_links_open_for_the_row_they_stand_in(settings, form):
    async with open_client(settings, mail_domain="in.example.com") as client:
        await client.suppress("gone@example.com")
        rows = [{"email": email, "n": 1} for email in (" ann@example.com", "gone@example.com", "x", "bob@example.com")]
        answer = await scrub(client, form, rows, links="true", rows="all", scope="maison/newsletter", campaign="spring")
        found = form.read(answer.body)
        assert list(found[0]) == ["email", "n", "unsubscribe_url", "preferences_url", "return_path", *ADDED]
        assert [bool(row["unsubscribe_url"]) for row in found] == [True, False, False, True]
        for row in (found[0], found[3]):
            token = row["unsubscribe_url"].removeprefix(f"{client.url}/u/")
            link = read_link_token(client.context.keyring, token)
            assert (link.address, link.scope, link.campaign) == (row["email"].strip(), "maison/newsletter", "spring")
            assert row["return_path"].endswith("@in.example.com")


# What cannot be read


@pytest.mark.parametrize("form", OTHERS, ids=str)
@pytest.mark.parametrize(
    ("rows", "parameters", "said"),
    [
        ([{"id": "1", "name": "Ann"}], {}, "no column can be told to hold the address; there are: id, name"),
        ([{"email": "x", "mail": "y"}], {}, "more than one column"),
        ([{"email": "x"}], {"column": "mail"}, "no column mail; there are: email"),
        ([{"email": "x", "forbear_verdict": "y"}], {"rows": "all"}, "forbear_verdict"),
        ([{"email": "x", "Return_Path": "y"}], {"links": "true"}, "return_path"),
    ],
)
async def test_a_list_whose_columns_do_not_fit_is_told_so(client: Client, form, rows, parameters, said):
    answer = await client.scrub(form.write(rows), kind=form.type, **parameters)
    problem = assert_problem(answer, 422, "invalid_list")
    assert said in problem["detail"]
    assert (await client.counts(answer))["error"]["detail"] == problem["detail"]


@pytest.mark.parametrize(
    ("form", "body", "said"),
    [
        (NDJSON, b"", "empty"),
        (NDJSON, b"email\nann@example.com\n", "row 1 is not valid JSON"),
        (NDJSON, b'\n{"email":"ann@example.com"}\n\n[1]\n', "row 2 is no JSON object"),
        (NDJSON, b'{"email":"ann@example.com"}\n{"email":"b', "row 2 is not valid JSON"),
        (NDJSON, b'{"email":"ann@example.com","n":"\xff"}\n', "row 1 is not UTF-8"),
        (NDJSON, b'{"email":"' + b"x" * 3 * MEGABYTE, "row 1 is longer than"),
        (NDJSON, b"PAR1", "Parquet"),
        (NDJSON, '{"email":"ann@example.com"}'.encode("utf-16"), "UTF-16"),
        (PARQUET, b"", "empty"),
        (PARQUET, b"email\nann@example.com\n", "not a Parquet file"),
        (PARQUET, PARQUET.write([{"email": "ann@example.com"}])[:-9], "end is missing"),
        (PARQUET, b"PAR1" + b"\xff" * 99 + b"PAR1", "damaged"),
        (PARQUET, b"PARE" + b"\0" * 99 + b"PARE", "encrypted"),
        (PARQUET, PARQUET.write([{"email": 1}]), "does not hold text"),
        (PARQUET, PARQUET.write([{"email": {"a": "b"}}]), "does not hold text"),
    ],
)
async def test_a_list_that_cannot_be_read_is_told_so(client: Client, form, body, said):
    answer = await client.scrub(body, kind=form.type)
    assert said in assert_problem(answer, 422, "invalid_list")["detail"]
    assert (await client.counts(answer))["status"] == "failed"


@pytest.mark.parametrize("form", OTHERS, ids=str)
async def test_only_csv_has_a_header(client: Client, form):
    rows = [{"email": fresh()}]
    assert_problem(await client.scrub(form.write(rows), kind=form.type, header="true"), 422, "invalid_input")
    await scrub(client, form, rows, header="auto")


async def test_parquet_beyond_the_limit_is_too_large(settings):
    async with open_client(settings, scrub_spill_bytes_max=100_000) as client:
        rows = [{"email": f"p{n}@example.com", "n": n * 7919 % 10007} for n in range(20_000)]
        assert_problem(await client.scrub(PARQUET.write(rows), kind=PARQUET.type), 413, "too_large")
        await scrub(client, PARQUET, rows[:100])


async def test_p11_a_line_that_cannot_be_read_late_in_a_list_ends_the_answer_without_its_last_chunk(client: Client):
    rows = b"".join(b'{"email":"%d@example.com","n":"%s"}\n' % (n, b"x" * 100) for n in range(40_000))
    async with connected(client.port) as (reader, writer):
        body = rows + b'{"email":"late@example.com"\n'
        writer.write(make_head(client, len(body)).replace(b"text/csv", NDJSON.type.encode()) + body)
        scrub_id = (await read_head(reader))["Scrub-Id"]
        assert not is_complete(await read_rest(reader))
    record = await wait_for_end(client, scrub_id)
    assert (record["status"], record["error"]["row"]) == ("failed", 40_001)


async def test_p11_a_page_that_is_damaged_late_in_a_list_ends_the_answer_visibly(client: Client, monkeypatch):
    # Small enough for rows to be out long before the damage is read.
    monkeypatch.setattr("forbear.index.parquet_list.ROW_GROUP_BYTES", 100_000)
    monkeypatch.setattr("forbear.index.parquet_list._BATCH_BYTES", 20_000)
    table = pa.table({"email": [f"p{n}@example.com" for n in range(100_000)]})
    out = io.BytesIO()
    pq.write_table(
        table, out, row_group_size=50_000, compression="none", use_dictionary=False, write_page_checksum=True
    )
    body = bytearray(out.getvalue())
    body[body.index(b"p99000@")] ^= 1
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(body)).replace(b"text/csv", PARQUET.type.encode()) + body)
        scrub_id = (await read_head(reader))["Scrub-Id"]
        assert not is_complete(await read_rest(reader))
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert "damaged" in record["error"]["detail"]
    assert record["rows"] >= 50_000


async def test_lines_come_out_while_the_list_still_comes_in(client: Client):
    rows = b"".join(b'{"email":"%d@example.com","n":"%s"}\n' % (n, b"x" * 100) for n in range(40_000))
    async with connected(client.port) as (reader, writer):
        head = make_head(client, 2 * len(rows)).replace(b"text/csv", NDJSON.type.encode())
        writer.write(head + rows)
        await read_head(reader)
        assert await asyncio.wait_for(reader.readuntil(b'"1@example.com"'), PATIENCE_SECONDS)


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_client_of_parquet_that_goes_away_stops_the_work(client: Client, monkeypatch, is_sent):
    # So that it would take some time.
    monkeypatch.setattr("forbear.index.parquet_list._BATCH_BYTES", 1000)
    monkeypatch.setattr("forbear.services.scrub._RECORD_EVERY_SECONDS", 0.02)
    body, before = PARQUET.write([{"email": f"p{n}@example.com"} for n in range(100_000)]), await list_scrubs(client)
    async with connected(client.port) as (_, writer):
        length = len(body) if is_sent else 2 * len(body)
        writer.write(make_head(client, length).replace(b"text/csv", PARQUET.type.encode()) + body)
        await writer.drain()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (new := await list_scrubs(client) - before):  # noqa: ASYNC110 - it is the server's state
                await asyncio.sleep(0.02)
            scrub_id = str(new.pop())
            while is_sent and not (await client.ask("GET", f"/v1/scrubs/{scrub_id}")).json["rows"]:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.02)
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert "broken off" in record["error"]["detail"]
    assert record["rows"] < 100_000


async def list_scrubs(client: Client) -> set:
    async with client.context.database.connection() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM scrubs")}


# Real clients and real processes


@pytest.fixture(scope="session")
def lists(tmp_path_factory):
    """A list of a hundred thousand rows in both formats, and how many must come out."""
    folder, count = tmp_path_factory.mktemp("formats"), 100_000
    rows = [{"email": "gone@example.com" if n % 100 == 0 else f"p{n}@example.com", "n": n} for n in range(count)]
    paths = {form: folder / f"list{form.ending}" for form in OTHERS}
    for form, path in paths.items():
        path.write_bytes(form.write(rows))
    return paths, count - count // 100


@pytest.mark.parametrize("form", OTHERS, ids=str)
@pytest.mark.parametrize("name", ["urllib", "requests in chunks", "httpx", "aiohttp", "curl -T"])
async def test_every_client_gets_its_list_through(web: Web, administrator: Client, lists, form, name):
    paths, kept = lists
    headers = administrator.authorization | {"Content-Type": form.type}
    body = await send(name, f"{web.url}/v1/scrubs?{QUERY}", paths[form], headers)
    rows = form.read(body)
    assert len(rows) == kept
    assert rows[0] == {"email": "p1@example.com", "n": 1}
    assert not web.list_spill_bytes()


@pytest.mark.parametrize("form", OTHERS, ids=str)
async def test_memory_is_bounded_however_long_the_list_is(web: Web, administrator: Client, tmp_path, form):
    url, headers = f"{web.url}/v1/scrubs?{QUERY}", administrator.authorization | {"Content-Type": form.type}
    peaks = []
    for count in (20_000, 200_000):
        path = tmp_path / f"{count}{form.ending}"
        filler = [f"{'x' * 250}{n}" for n in range(100)]
        path.write_bytes(form.write([{"email": f"p{n}@example.com", "n": filler[n % 100]} for n in range(count)]))
        web.memory.forget_peak()
        body = await send("curl -T", url, path, headers)
        peaks.append(web.memory.read_peak_bytes())
        assert len(form.read(body)) == count
    # What finds duplicates grows by some 25 bytes a row, in steps; in memory the longer list is ten times the shorter.
    assert peaks[1] - peaks[0] < 64 * MEGABYTE, f"{(peaks[1] - peaks[0]) / MEGABYTE:.0f} MiB more"


@pytest.mark.parametrize(("form", "ending"), [(NDJSON, ".ndjson"), (NDJSON, ".JSONL"), (PARQUET, ".parquet")])
async def test_the_command_knows_a_format_by_the_name_of_the_file(settings, tmp_path, form, ending):
    await run_command(settings, "suppress", "gone@example.com")
    listed, out, refused = (tmp_path / f"{name}{ending}" for name in ("list", "out", "refused"))
    listed.write_bytes(
        form.write([{"n": n, "email": f"{who}@example.com"} for n, who in enumerate(("ann", "gone", "ann"))])
    )
    done = await run_command(settings, "scrub", listed, "-o", out, "--refused", refused)
    assert done.code == 0, done.err
    assert form.read(out.read_bytes()) == [{"n": 0, "email": "ann@example.com"}]
    assert form.read(refused.read_bytes()) == [
        {"n": 1, "email": "gone@example.com", "forbear_verdict": "suppress", "forbear_reason": "unsubscribe"},
        {"n": 2, "email": "ann@example.com", "forbear_verdict": "duplicate", "forbear_reason": ""},
    ]
    assert re.search(r"rows +3", done.err)


@pytest.mark.parametrize("form", FORMATS, ids=str)
async def test_the_command_takes_every_format_from_stdin_and_to_stdout(settings, form):
    arguments = command_line("scrub", "-", "-o", "-", "--format", form.name)
    async with running(arguments, environment=list_environment(settings)) as process:
        out, err = await process.communicate(form.write([{"email": "ann@example.com"}, {"email": "x"}]))
    assert process.returncode == 0, err
    assert form.read(out) == [{"email": "ann@example.com"}]


@pytest.mark.parametrize(
    ("name", "body", "options", "said"),
    [
        ("list.ndjson", b"{\n", (), "row 1 is not valid JSON"),
        ("list.parquet", b"PAR1", (), "damaged"),
        ("list.parquet", b"email\n", (), "not a Parquet file"),
        ("list.csv", PARQUET.write([{"email": "x"}]), (), "Parquet"),
        ("list.parquet", PARQUET.write([{"email": 1}]), (), "does not hold text"),
        ("list.csv", CSV.write([{"email": "x"}]), ("--format", "xml"), "--format is one of: csv, ndjson, parquet"),
        (
            "list.csv",
            CSV.write([{"email": "x"}]),
            ("-o", "out.parquet"),
            "a list comes out as it went in, which is csv",
        ),
        ("list.ndjson", b'{"email":"x"}\n', ("--header",), "only CSV has a header"),
    ],
)
async def test_a_list_that_cannot_be_read_is_told_and_leaves_nothing_behind(
    settings, tmp_path, name, body, options, said
):
    (tmp_path / name).write_bytes(body)
    out = tmp_path / "out"
    done = await run_command(settings, "scrub", tmp_path / name, "-o", out, *options)
    assert done.code == 1
    assert said in done.err
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []


async def test_nobody_loads_arrow_who_filters_csv(settings):
    """To load it takes a fifth of a second, at every start."""
    program = "import sys; from forbear.__main__ import main\ntry: main()\nfinally: print('pyarrow' in sys.modules)"
    arguments = [*command_line()[:1], "-c", program, "scrub", "-", "-o", "-"]
    async with running(arguments, environment=list_environment(settings)) as process:
        out, err = await process.communicate(b"email\nann@example.com\n")
    assert out.decode().split() == ["email", "ann@example.com", "False"], err


async def test_the_column_is_known_from_a_hundred_rows_of_json(client: Client):
    kept = fresh()
    lines = [{"id": n} for n in range(ndjson_list.SAMPLE_ROWS - 1)] + [{"id": 99, "email": kept}]
    answer = await scrub(client, NDJSON, lines)
    assert NDJSON.read(answer.body) == lines[-1:]
    assert (await client.counts(answer))["invalid"] == len(lines) - 1
