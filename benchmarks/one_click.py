"""A recipient's one-click POST (RFC 8058), durable, beside a bare aiohttp handler with one insert.

Every link is clicked once: each click is a new entry with its event and evidence. The rival writes the token into one
table with a primary key, through as many connections, on the same server, which syncs for both.
"""

import asyncio
from itertools import count

import asyncpg

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.load import Load, LoadTest, write_lines
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table
from benchmarks.common.rivals import make_rival_database
from benchmarks.common.service import Web

CLICKS_A_SECOND_MAX = 6_000
LINKS_A_CALL = 10_000
_BODY, _TYPE = "List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    test = LoadTest(options.seconds)
    with serving_list(options, lists) as service:
        rival_url = asyncio.run(make_rival_database(service.server_url))
        addresses = lists.make_new(int((options.runs + 1) * options.seconds * CLICKS_A_SECOND_MAX))
        tokens = write_lines(options.stage / "tokens.txt", _make_tokens(service.web, addresses))
        with serving_bare(options.stage, rival_url) as bare:
            sends = {
                "one-click POST": Load(service.web, "/u/", tokens, are_paths=True, body=_BODY, content_type=_TYPE),
                "bare aiohttp + asyncpg insert": Load(
                    bare, "/insert/", tokens, are_paths=True, body=_BODY, content_type=_TYPE
                ),
            }
            clicked = dict.fromkeys(sends, 0)

            def measure(name: str) -> float:
                answered = test.measure(name, sends[name], clicked[name])
                # What is under way when wrk stops is done as well, and must not be clicked again.
                clicked[name] += answered.requests + 2 * sends[name].connections
                assert clicked[name] < len(addresses), "every link was clicked: more of them are needed"
                return answered.rate

            values = interleave({name: lambda name=name: measure(name) for name in sends}, options.runs)
        # wrk takes one request to look at, before it sends any.
        assert set(service.web.check(addresses[1:101])) == {"suppress"}
        entries = asyncio.run(_count_one_click(service.database_url))
    table = Table("requests/s", values, more=test.more_columns())
    notes = [f"{clicked['one-click POST']:,} links were clicked; {entries:,} entries of source one_click stand"]
    return Report("one-click: durable POSTs, 64 connections", [table], notes)


def _make_tokens(web: Web, addresses: list[str]) -> list[str]:
    tokens: list[str] = []
    for place in count(0, LINKS_A_CALL):
        given = addresses[place : place + LINKS_A_CALL]
        if not given:
            return tokens
        question = {"purpose": "marketing", "scope": "*", "campaign": "bench"}
        answer = web.call("/v1/links", {**question, "addresses": given})
        tokens += [result["unsubscribe_url"].rpartition("/u/")[2] for result in answer["results"]]
    raise AssertionError


async def _count_one_click(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM entries WHERE source = 'one_click' AND lifted_at IS NULL"
        )
    finally:
        await connection.close()
