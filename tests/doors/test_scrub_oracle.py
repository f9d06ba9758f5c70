"""A list of a hundred thousand rows against the oracle, row for row."""

import asyncio
import re
from collections import Counter

import pytest

from forbear.domain.suppression import Purpose
from tests.conftest import make_list
from tests.doors.callers import open_client
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


@pytest.mark.parametrize(
    ("purpose", "scope", "rows"),
    [
        ("marketing", "maison/newsletter", ROWS),
        ("marketing", "*", FEWER),
        ("transactional", "*", FEWER),
        ("sharing", "maison", FEWER),
        ("gift", "atelier", FEWER),
    ],
)
async def test_every_verdict_is_the_oracles(mixed, purpose, scope, rows):
    folder, client = mixed
    listed, entries, out = folder / f"{rows}.csv", folder / "entries.csv", folder / f"{purpose}.txt"
    process = start_oracle(listed, entries, purpose, scope, out)
    answer = await client.scrub(listed.read_bytes(), purpose=purpose, scope=scope, rows="all")
    record = await client.counts(answer)
    assert await asyncio.to_thread(process.wait) == 0
    expected = out.read_text().split()
    verdicts = read_verdicts(answer.body)
    wrong = [
        (n, ours, theirs) for n, (ours, theirs) in enumerate(zip(verdicts, expected, strict=True)) if ours != theirs
    ]
    assert wrong == []
    counted = Counter(expected)
    assert record["rows"] == len(expected)
    for word in ("deliver", "invalid", "duplicate"):
        assert record[word] == counted.pop(word)
    assert {f"suppress:{reason}": count for reason, count in record["suppress"].items()} == counted


async def test_the_rows_that_are_kept_are_the_oracles_byte_for_byte(mixed):
    folder, client = mixed
    listed, entries, out = folder / f"{ROWS}.csv", folder / "entries.csv", folder / "kept.csv"
    process = start_oracle(listed, entries, "marketing", "maison", out, "--kept")
    answer = await client.scrub(listed.read_bytes(), scope="maison")
    assert await asyncio.to_thread(process.wait) == 0
    assert answer.body == out.read_bytes()


async def test_the_check_of_the_same_addresses_says_the_same(mixed):
    folder, client = mixed
    rows = (folder / f"{ROWS}.csv").read_bytes().decode("ascii", "replace").split("\n")
    addresses = [row.partition(",")[0] for row in rows[1:9000] if re.fullmatch(r"[\w.+-]+@[^ \ufffd\"]+,.*", row)]
    scrubbed = await client.scrub("\n".join(["email", *addresses]), rows="all", scope="maison")
    checked = await client.check(*addresses, scope="maison", purpose=Purpose.MARKETING)
    assert {"deliver", "suppress:unsubscribe", "invalid:invalid_address"} <= set(checked)
    for address, ours, theirs in zip(addresses, checked, read_verdicts(scrubbed.body), strict=True):
        assert theirs in {ours.removesuffix(":invalid_address"), "duplicate"}, address
