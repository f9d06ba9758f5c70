"""One address a call, 64 connections, beside an aiohttp handler that does nothing.

The empty handler gets the same requests and reads no body. The load comes from wrk on the same machine.
"""

import json

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.load import Load, LoadTest, write_lines
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table

ADDRESSES = 100_000


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    question = {"purpose": "marketing", "scope": "*"}
    addresses = lists.sample(min(ADDRESSES, lists.rows))
    bodies = [json.dumps({**question, "addresses": [address]}) for address in addresses]
    lines = write_lines(options.stage / "check-one.jsonl", bodies)
    test = LoadTest(options.seconds)
    with serving_list(options, lists) as service, serving_bare(options.stage) as bare:
        ours, empty = Load(service.web, "/v1/check", lines), Load(bare, "/empty", lines)
        contestants = {
            "POST /v1/check, one address": lambda: test.measure("POST /v1/check, one address", ours).rate,
            "empty aiohttp handler": lambda: test.measure("empty aiohttp handler", empty).rate,
        }
        values = interleave(contestants, options.runs)
    table = Table("requests/s", values, more=test.more_columns())
    return Report("check-one: one address a call, 64 connections", [table])
