"""An opt-out answered by one process until it is refused in another; a verdict older than the answer ends the run.

Opt-outs go to one web process; as soon as each is answered, another web process is asked about its address, again and
again until it says suppress. What is measured is from the answer to that verdict; every first verdict must be it.
"""

import asyncio
from time import perf_counter

import aiohttp

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.options import Options
from benchmarks.common.report import Report, render_rows, show
from benchmarks.common.service import Web, serving_web, wait_for_verdict

OPT_OUTS, SMALL_OPT_OUTS = 20_000, 1_000
AT_ONCE = 16


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    count = SMALL_OPT_OUTS if options.is_small else OPT_OUTS
    listed = lists.sample(1, are_hits=True)[0]
    with serving_list(options, lists) as service, serving_web(service.home, service.web.api_key) as other:
        wait_for_verdict(other, listed)
        found = sorted(asyncio.run(_follow_all(service.web, other, lists.make_new(count))))
    stale = sum(is_stale for _, is_stale in found)
    waited = sorted(milliseconds for milliseconds, _ in found)
    if stale:
        raise SystemExit(f"{stale:,} of {count:,} verdicts were older than the answer before them")
    rows = [
        ["opt-outs", "stale verdicts", "median, ms", "99 %, ms", "longest, ms"],
        [f"{count:,}", str(stale), *(show(waited[int(share * (count - 1))]) for share in (0.5, 0.99, 1))],
    ]
    notes = [f"{AT_ONCE} at once; the time is that of one call of /v1/check, since the first verdict is the right one"]
    return Report("effect: from an opt-out's answer to its effect in another process", [], notes, [render_rows(rows)])


async def _follow_all(one: Web, other: Web, addresses: list[str]) -> list[tuple[float, bool]]:
    waiting = iter(addresses)
    async with aiohttp.ClientSession() as session:

        async def follow() -> list[tuple[float, bool]]:
            return [await _follow(session, one, other, address) for address in waiting]

        done = await asyncio.gather(*(follow() for _ in range(AT_ONCE)))
    return [each for part in done for each in part]


async def _follow(session: aiohttp.ClientSession, one: Web, other: Web, address: str) -> tuple[float, bool]:
    """Opt out and ask until it holds; the milliseconds, and whether an older verdict was given in between."""
    opt_out = {"suppressions": [{"address": address, "reason": "unsubscribe", "scope": "*"}]}
    question = {"purpose": "marketing", "scope": "*", "addresses": [address]}
    added = await _post(session, one, "/v1/suppressions", opt_out)
    assert added["results"][0]["status"] == "added"
    answered = perf_counter()
    is_stale = False
    while (await _post(session, other, "/v1/check", question))["results"][0]["verdict"] != "suppress":
        is_stale = True
    return 1000 * (perf_counter() - answered), is_stale


async def _post(session: aiohttp.ClientSession, web: Web, path: str, body: dict) -> dict:
    async with session.post(web.http + path, json=body, headers=web.headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()
