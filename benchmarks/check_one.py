"""One address a call, 64 connections, beside an aiohttp handler that does nothing.

The empty handler gets the same requests and reads no body. The load comes from wrk on the same machine.
"""

import json

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.load import Load, send_load, write_lines
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, show

ADDRESSES = 100_000


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    question = {"purpose": "marketing", "scope": "*"}
    addresses = lists.sample(min(ADDRESSES, lists.rows))
    bodies = [json.dumps({**question, "addresses": [address]}) for address in addresses]
    lines = write_lines(options.stage / "check-one.jsonl", bodies)
    late: dict[str, str] = {}

    def measure(name: str, load: Load) -> float:
        answered = send_load(load, options.seconds)
        late[name] = f"{show(answered.median_ms)} / {show(answered.late_ms)}"
        return answered.rate

    with serving_list(options, lists) as service, serving_bare(options.stage) as bare:
        web = service.web
        loads = {
            "POST /v1/check, one address": Load(web.http, "/v1/check", lines, web.api_key),
            "empty aiohttp handler": Load(bare, "/empty", lines),
        }
        contestants = {name: lambda name=name, load=load: measure(name, load) for name, load in loads.items()}
        values = interleave(contestants, options.runs)
    table = Table("requests/s", values, more={"ms, median / 99 %": late})
    return Report("check-one: one address a call, 64 connections", [table])
