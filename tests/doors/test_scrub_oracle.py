"""A list of a hundred thousand rows against the oracle, row for row."""

import asyncio
import csv
import re
from collections import Counter

import pytest

from forbear.domain.suppression import Purpose
from tests import oracle
from tests.conftest import make_list
from tests.doors.callers import Answer, Client, open_client
from tests.formats import CSV, NDJSON, PARQUET
from tests.make import write_send_list
from tests.mixed import read_verdicts, start_oracle, suppress_mixed

ROWS = 100_000
FEWER = 20_000


@pytest.fixture(scope="module")
async def mixed(template, tmp_path_factory):
    """A list, what stands about it, and a client."""
    folder = tmp_path_factory.mktemp("mixed")
    listed, entries = folder / f"{ROWS}.csv", folder / "entries.csv"
    write_send_list(listed, ROWS, odd=0.05)
    # The same rows, as far as it goes.
    write_send_list(folder / f"{FEWER}.csv", FEWER, odd=0.05)
    async with make_list(template, folder) as settings, open_client(settings) as client:
        assert await suppress_mixed(client.context, listed, entries) > ROWS * 0.04
        yield folder, client


async def ask_both(mixed, purpose: str, scope: str, rows: int) -> tuple[Answer, list[str]]:
    """The program's answer with all rows, and the oracle's verdicts."""
    folder, client = mixed
    listed, out = folder / f"{rows}.csv", folder / f"{purpose}-{rows}.txt"
    process = start_oracle(listed, folder / "entries.csv", purpose, scope, out)
    answer = await client.scrub(listed.read_bytes(), purpose=purpose, scope=scope, rows="all")
    assert await asyncio.to_thread(process.wait) == 0
    return answer, out.read_text().split()


async def assert_equal(client: Client, answer: Answer, expected: list[str]) -> None:
    """Compare the verdicts of CSV row for row, and the counts with them."""
    await assert_verdicts(client, answer, read_verdicts(answer.body), expected)


async def assert_verdicts(client: Client, answer: Answer, verdicts: list[str], expected: list[str]) -> None:
    pairs = enumerate(zip(verdicts, expected, strict=True))
    assert [(row, ours, theirs) for row, (ours, theirs) in pairs if ours != theirs] == []
    counted, record = Counter(expected), await client.counts(answer)
    assert record["rows"] == len(expected)
    for word in ("deliver", "invalid", "duplicate"):
        assert record[word] == counted.pop(word)
    assert {f"suppress:{reason}": count for reason, count in record["suppress"].items()} == counted


async def test_a_hundred_thousand_verdicts_are_the_oracles_and_kept_rows_come_out_byte_for_byte(mixed):
    folder, client = mixed
    answer, expected = await ask_both(mixed, "marketing", "maison/newsletter", ROWS)
    await assert_equal(client, answer, expected)
    listed = (folder / f"{ROWS}.csv").read_bytes()
    kept = await client.scrub(listed, scope="maison/newsletter")
    header, *records = [record for record, _ in oracle.read_records(listed.decode("latin-1"), ",")]
    wanted = [record for record, verdict in zip(records, expected, strict=True) if verdict == "deliver"]
    assert kept.body == "".join([header, *wanted]).encode("latin-1")


@pytest.mark.parametrize(
    ("purpose", "scope"),
    [
        ("marketing", "*"),
        ("transactional", "*"),
        ("sharing", "maison"),
        ("gift", "atelier"),
        ("friend", "maison/events"),
        ("notice", "*"),
    ],
)
async def test_verdicts_for_every_kind_of_send_are_the_oracles(mixed, purpose, scope):
    answer, expected = await ask_both(mixed, purpose, scope, FEWER)
    await assert_equal(mixed[1], answer, expected)


@pytest.mark.parametrize("form", [NDJSON, PARQUET], ids=str)
async def test_verdicts_on_json_lines_and_parquet_are_the_oracles(mixed, tmp_path, form):
    folder, client = mixed
    with (folder / f"{FEWER}.csv").open(encoding="latin-1", newline="") as file:
        header, *records = [record for record in csv.reader(file) if record]
    whole = [[text.encode("latin-1").decode("utf-8", "replace") for text in record] for record in records]
    rows = [dict(zip(header, record, strict=True)) for record in whole if len(record) == len(header)]
    assert len(rows) > FEWER * 0.98
    # The oracle reads CSV, which cannot hold all that these can: so it is asked about what both can.
    listed, out = tmp_path / "list.csv", tmp_path / "verdicts.txt"
    listed.write_bytes(CSV.write(rows))
    process = start_oracle(listed, folder / "entries.csv", "marketing", "maison", out)
    answer = await client.scrub(form.write(rows), kind=form.type, scope="maison", rows="all")
    assert await asyncio.to_thread(process.wait) == 0
    found = form.read(answer.body)
    assert [{name: row[name] for name in header} for row in found] == rows
    words = [(row["forbear_verdict"], row["forbear_reason"]) for row in found]
    verdicts = [f"suppress:{reason}" if verdict == "suppress" else verdict for verdict, reason in words]
    assert len({*verdicts}) > 8
    await assert_verdicts(client, answer, verdicts, out.read_text().split())


async def test_the_check_of_the_same_addresses_says_the_same(mixed):
    folder, client = mixed
    rows = (folder / f"{ROWS}.csv").read_bytes().decode("ascii", "replace").split("\n")
    addresses = [row.partition(",")[0] for row in rows[1:9000] if re.fullmatch(r"[\w.+-]+@[^ \ufffd\"]+,.*", row)]
    scrubbed = await client.scrub("\n".join(["email", *addresses]), rows="all", scope="maison")
    checked = await client.check(*addresses, scope="maison", purpose=Purpose.MARKETING)
    assert {"deliver", "suppress:unsubscribe", "invalid:invalid_address"} <= set(checked)
    for address, ours, theirs in zip(addresses, checked, read_verdicts(scrubbed.body), strict=True):
        assert theirs in {ours.removesuffix(":invalid_address"), "duplicate"}, address
