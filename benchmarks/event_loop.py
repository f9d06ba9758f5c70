"""The longest that scrubs keep the event loop from anybody else.

While scrubs run in a web process, /livez is asked of it every few milliseconds; what an answer takes beyond what an
empty aiohttp handler in another process takes at the same time is the loop's being held. Both suffer alike from the
scrubs' use of the processors.
"""

import asyncio
from time import perf_counter

import aiohttp

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.options import Options
from benchmarks.common.report import Report, render_rows, show
from benchmarks.scrub_http import curl_command

SCRUBS = 2
PAUSE_SECONDS = 0.002


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    send, _ = lists.take_rows(options.take)
    with serving_list(options, lists) as service, serving_bare(options.stage) as bare:
        commands = [curl_command(service.web, send, options.stage / f"kept-{number}.csv") for number in range(SCRUBS)]
        urls = {"/livez, no scrubs": None, f"/livez, {SCRUBS} scrubs": commands}
        rows = [["what", "requests", "median, ms", "99 %, ms", "longest of each run, ms"]]
        for name, running in urls.items():
            found = [asyncio.run(_watch(service.web.http, bare.http, running, options)) for _ in range(options.runs)]
            for place, asked in enumerate((name, f"empty handler, {name.partition(', ')[2]}")):
                rows.append(_summarise(asked, [both[place] for both in found]))
    for number in range(SCRUBS):
        (options.stage / f"kept-{number}.csv").unlink()
    notes = [f"scrubs of {options.take:,} rows over HTTP, again and again"]
    return Report("event-loop: how long scrubs hold it", [], notes, [render_rows(rows)])


async def _watch(
    http: str, bare: str, commands: list[list[str]] | None, options: Options
) -> tuple[list[float], list[float]]:
    """Ask both servers for a while, with scrubs under way all the time."""
    scrubs = [asyncio.create_task(_repeat(command)) for command in commands or ()]
    try:
        limit = perf_counter() + options.seconds
        async with aiohttp.ClientSession() as session:
            ours = _ask(session, "GET", f"{http}/livez", limit)
            return tuple(await asyncio.gather(ours, _ask(session, "POST", f"{bare}/empty", limit)))
    finally:
        for scrub in scrubs:
            scrub.cancel()
        await asyncio.gather(*scrubs, return_exceptions=True)


async def _ask(session: aiohttp.ClientSession, method: str, url: str, limit: float) -> list[float]:
    """Ask one thing again and again; how many milliseconds each answer took."""
    taken: list[float] = []
    while perf_counter() < limit:
        started = perf_counter()
        async with session.request(method, url) as answer:
            await answer.read()
        taken.append(1000 * (perf_counter() - started))
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def _repeat(command: list[str]) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(*command)
        try:
            assert await process.wait() == 0
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise


def _summarise(name: str, runs: list[list[float]]) -> list[str]:
    taken = sorted(value for run in runs for value in run)
    shares = [show(taken[int(share * (len(taken) - 1))]) for share in (0.5, 0.99)]
    return [name, f"{len(taken):,}", *shares, " / ".join(show(max(run)) for run in runs)]
