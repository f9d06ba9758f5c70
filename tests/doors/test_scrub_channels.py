"""Lists of phone numbers and postal addresses, and lists for a party."""

import io
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forbear.domain.party import PartyKind
from forbear.services.parties import PartyDraft, put_party
from tests.commands import run_command
from tests.doors.callers import Client, assert_problem, fresh
from tests.doors.test_scrubs import scrub

_numbers = itertools.count(1)
NDJSON, PARQUET = "application/x-ndjson", "application/vnd.apache.parquet"
POST = {"channel": "post", "columns": "name,street,town,postcode,country"}


def fresh_phone():
    return f"+4420794{next(_numbers):05}"


def fresh_post():
    return {"name": f"Ann Lee {next(_numbers)}", "lines": ["1 High St", "Bath"], "postcode": "BA1 1AA", "country": "GB"}


def as_csv(*addresses):
    rows = [(one["name"], *one["lines"], one["postcode"], one["country"]) for one in addresses]
    return "".join(",".join(f'"{field}"' for field in row) + "\n" for row in rows)


async def suppress(client: Client, channel, address):
    await client.suppress(address, "objection", channel=channel, source="phone")


# Phone


async def test_numbers_are_filtered_however_they_are_written(client: Client):
    gone, kept = fresh_phone(), fresh_phone()
    await suppress(client, "phone", gone)
    national = {number: "0" + number.removeprefix("+44") for number in (gone, kept)}
    rows = [f"{national[gone]},a", f"{kept},b", f"{national[kept]},c", "12,d", "ann@example.com,e", "f"]
    answer = await scrub(
        client, "phone,who\n" + "\n".join(rows) + "\n", channel="phone", column="phone", region="GB", rows="all"
    )
    assert answer.splitlines() == [
        "phone,who,forbear_verdict,forbear_reason",
        f"{national[gone]},a,suppress,objection",
        f"{kept},b,deliver,",
        f"{national[kept]},c,duplicate,",
        "12,d,invalid,invalid_address",
        "ann@example.com,e,invalid,invalid_address",
        "f,,invalid,invalid_address",
    ]


async def test_numbers_come_in_every_format(client: Client):
    gone, kept = fresh_phone(), fresh_phone()
    await suppress(client, "phone", gone)
    lines = [json.dumps({"id": number, "phone": number}) + "\n" for number in (gone, kept)]
    assert await scrub(client, "".join(lines), kind=NDJSON, channel="phone", column="phone") == lines[1]
    whole = io.BytesIO()
    pq.write_table(pa.table({"phone": [gone, kept, None]}), whole)
    answer = await client.scrub(whole.getvalue(), kind=PARQUET, channel="phone", column="phone")
    assert pq.read_table(io.BytesIO(answer.body)).column("phone").to_pylist() == [kept]


async def test_a_list_of_numbers_without_a_header_says_so(client: Client):
    gone, kept = fresh_phone(), fresh_phone()
    await suppress(client, "phone", gone)
    listed = f"{gone}\n{kept}\n"
    assert await scrub(client, listed, channel="phone", column="1", header="false") == f"{kept}\n"
    # Its first number would be taken for a column's name, and be lost.
    assert_problem(await client.scrub(listed, channel="phone", column="1"), 422, "invalid_list")


# Post


async def test_postal_addresses_are_read_from_their_columns(client: Client):
    gone, kept = fresh_post(), fresh_post()
    await suppress(client, "post", gone)
    listed = as_csv(gone | {"lines": ["1, HIGH ST.", "Bath"]}, kept, kept | {"postcode": "ba11aa"})
    header = "Name,Street,Town,Postcode,Country\n"
    assert await scrub(client, header + listed, **POST) == header + as_csv(kept)
    other_order = {"channel": "post", "columns": "1,2,3,4,5", "header": "false"}
    assert await scrub(client, listed, **other_order) == as_csv(kept)


async def test_why_a_postal_address_is_none_is_told(client: Client):
    kept = fresh_post()
    rows = [as_csv(kept), as_csv(kept | {"country": "Wales"}), "only a name\n", "Ann,\xff,Bath,1,GB\n"]
    listed = ("name,street,town,postcode,country\n" + "".join(rows)).encode("latin-1")
    answer = await scrub(client, listed, rows="all", **POST)
    assert [line.rsplit(",", 2)[1:] for line in answer.splitlines()[1:]] == [
        ["deliver", ""],
        *[["invalid", "invalid_address"]] * 3,
    ]


async def test_postal_addresses_come_as_json_lines(client: Client):
    gone, kept = fresh_post(), fresh_post()
    await suppress(client, "post", gone)
    flat = [
        {"name": one["name"], "street": "1 High St", "town": "Bath", "postcode": one["postcode"], "country": "GB"}
        for one in (gone, kept)
    ]
    lines = [json.dumps(one) + "\n" for one in flat]
    lines += [lines[1].replace('"town": "Bath"', '"town": "Bath", "town": "York"'), lines[1].replace('"Bath"', "7")]
    lines += [lines[1].replace('"town": "Bath", ', ""), lines[1].replace('"Bath"', "1" * 5000)]
    answer = await client.scrub("".join(lines), kind=NDJSON, **POST)
    assert answer.body.decode() == lines[1] + lines[4]
    assert (await client.counts(answer))["invalid"] == 3


# Parties


async def test_a_list_is_filtered_for_a_party(client: Client):
    name = f"broker-{next(_numbers)}"
    await put_party(client.context, PartyDraft(name, PartyKind.THIRD_PARTY, "Broker", "1 High Street"))
    gone, kept = fresh(), fresh()
    await client.suppress(gone, "objection")
    listed = f"email\n{gone}\n{kept}\n"
    asked = {"purpose": "sharing", "party": name}
    answer = await scrub(client, listed, rows="refused", **asked)
    assert answer.splitlines()[1:] == [f"{gone},suppress,objection", f"{kept},suppress,no_basis"]
    assert (await client.counts(await client.scrub(listed, **asked)))["suppress"] == {"objection": 1, "no_basis": 1}
    assert await scrub(client, listed, purpose="sharing") == f"email\n{kept}\n"


# What is refused


@pytest.mark.parametrize(
    "asked",
    [
        {"channel": "phone"},
        {"channel": "phone", "column": "email", "region": "XX"},
        {"channel": "phone", "column": "email", "links": "true"},
        {"channel": "email", "region": "FR"},
        {"channel": "email", "columns": "a,b,c,d"},
        {"channel": "post"},
        {"channel": "post", "columns": "name,postcode,country"},
        {"channel": "post", "columns": "name,line,line,country"},
        {"channel": "post", "columns": "a,b,c,d", "column": "a"},
        {"channel": "post", "columns": "email,b,c,d"},
        {"purpose": "sharing", "party": "nobody"},
        {"purpose": "marketing", "party": "nobody"},
    ],
)
async def test_what_makes_no_sense_is_refused_before_the_first_row(client: Client, asked):
    assert_problem(await client.scrub(f"email\n{fresh()}\n", **asked), 422)


async def test_postal_addresses_in_parquet_are_refused(client: Client):
    assert_problem(await client.scrub(b"PAR1", kind=PARQUET, **POST), 422, "invalid_input")


# The command


async def test_the_command_filters_numbers_and_postal_addresses(settings, tmp_path):
    gone, post = fresh_phone(), fresh_post()
    assert (await run_command(settings, "suppress", "--channel", "phone", gone)).code == 0
    (tmp_path / "phones.csv").write_text(f"phone\n{gone}\n0{gone[3:]}\n{fresh_phone()}\n")
    done = await run_command(
        settings, "scrub", tmp_path / "phones.csv", "-o", tmp_path / "out.csv",
        "--channel", "phone", "--column", "phone", "--region", "GB",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
    (tmp_path / "post.csv").write_text("name,street,town,postcode,country\n" + as_csv(post))
    done = await run_command(
        settings, "scrub", tmp_path / "post.csv", "-o", tmp_path / "out.csv",
        "--channel", "post", "--columns", POST["columns"],
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "post.csv").read_text()
