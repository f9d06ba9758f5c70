"""10,000 addresses a call, beside a query of PostgreSQL for the same addresses.

The query looks up plain hashes by primary key, from a Python process on the same machine, without HTTP: it is given
more than a service of one's own would have.
"""

import asyncio
import json
from functools import partial
from time import perf_counter

import asyncpg

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.load import Load, LoadTest, write_lines
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table
from benchmarks.common.rivals import prepare_postgresql

ADDRESSES, CALLS, CONNECTIONS = 10_000, 8, 4
SECONDS_MIN = 4.0
_QUERY = """
    SELECT address FROM unnest($1::text[]) AS given (address)
    JOIN listed ON listed.hash = md5(lower(trim(address)))::uuid
"""


def run(options: Options, lists: Lists) -> Report:
    """Measure, in addresses a second."""
    question = {"purpose": "marketing", "scope": "*"}
    sample = lists.sample(ADDRESSES * CALLS)
    calls = [sample[place : place + ADDRESSES] for place in range(0, len(sample), ADDRESSES)]
    lines = write_lines(
        options.stage / "check-many.jsonl", [json.dumps({**question, "addresses": call}) for call in calls]
    )
    with serving_list(options, lists) as service:
        rival_url = asyncio.run(prepare_postgresql(service.server_url, lists))
        test, per_call = LoadTest(max(options.seconds, SECONDS_MIN)), len(calls[0])
        loads = {
            f"POST /v1/check, {number} connections": Load(service.web, "/v1/check", lines, connections=number)
            for number in (CONNECTIONS, 1)
        }
        contestants = {name: partial(_measure, test, name, load, per_call) for name, load in loads.items()}
        query = lambda: asyncio.run(_ask_postgresql(rival_url, calls, options.seconds))  # noqa: E731 - one of three
        contestants["PostgreSQL query, 1 connection"] = query
        values = interleave(contestants, options.runs)
    return Report("check-many: 10,000 addresses a call", [Table("addresses/s", values, more=test.more_columns())])


def _measure(test: LoadTest, name: str, load: Load, per_call: int) -> float:
    return per_call * test.measure(name, load).rate


async def _ask_postgresql(url: str, calls: list[list[str]], seconds: float) -> float:
    connection = await asyncpg.connect(url)
    try:
        asked, started = 0, perf_counter()
        while perf_counter() - started < seconds:
            call = calls[asked // len(calls[0]) % len(calls)]
            await connection.fetch(_QUERY, call)
            asked += len(call)
        return asked / (perf_counter() - started)
    finally:
        await connection.close()
