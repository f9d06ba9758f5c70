"""A send list filtered over HTTP with curl -T, beside a handler that sends it back unread; and the server's memory.

The echo shows what carrying the bytes both ways costs the same server. Memory is the largest anonymous memory of the
web process during a scrub of a short and of a long list: the mapped index is left out, as there is one a machine.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter

import aiohttp

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.measure import interleave, run_process, watch_memory
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, render_rows, show_bytes
from benchmarks.common.service import Web
from benchmarks.scrub_file import count_lines

SHORT_ROWS, LONG_ROWS = 100_000, 5_000_000
QUERY = "purpose=marketing&scope=*&column=email"
_PIECE_BYTES = 256 * 1024


def run(options: Options, lists: Lists) -> Report:
    """Measure, in rows a second."""
    send, kept = lists.take_rows(options.take)
    out = options.stage / "kept.csv"

    def curl() -> float:
        ended = run_process(curl_command(service.web, send, out))
        assert count_lines(out) - 1 == kept
        return options.take / ended.seconds

    def stream() -> float:
        started = perf_counter()
        asyncio.run(stream_list(service.web, send, out))
        seconds = perf_counter() - started
        assert count_lines(out) - 1 == kept
        return options.take / seconds

    with serving_list(options, lists) as service, serving_bare(options.stage) as bare:
        echo = ["curl", "-sS", "--fail", "-X", "POST", "-T", str(send), "-o", str(out), f"{bare.http}/echo"]
        contestants = {
            "scrub, curl -T": curl,
            "scrub, aiohttp client": stream,
            "aiohttp echo, curl -T": lambda: options.take / run_process(echo).seconds,
        }
        values = interleave(contestants, options.runs)
        memory = _measure_memory(service.web, options, lists)
    out.unlink()
    return Report("scrub-http: rows over HTTP", [Table("rows/s", values)], [], [memory])


def curl_command(web: Web, send: Path, out: Path) -> list[str]:
    """The command line that filters a list over HTTP."""
    key = f"Authorization: Bearer {web.api_key}"
    return ["curl", "-sS", "--fail", "-T", str(send), "-o", str(out), "-H", key, f"{web.http}/v1/scrubs?{QUERY}"]


async def stream_list(web: Web, send: Path, out: Path) -> None:
    """Filter a list with aiohttp's client, which reads while it sends."""
    headers = {"Authorization": web.headers["Authorization"], "Content-Type": "text/csv"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        url = f"{web.http}/v1/scrubs?{QUERY}"
        async with session.post(url, data=_read_pieces(send), headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            with out.open("wb") as kept:
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    kept.write(piece)


async def _read_pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _measure_memory(web: Web, options: Options, lists: Lists) -> str:
    """Compare a short list with a long one."""
    rows = [["rows", "largest anonymous memory", "beyond the shorter list", "bytes a row more"]]
    shortest, fewest = 0, 0
    for count in sorted({min(SHORT_ROWS, options.take), min(LONG_ROWS, options.take)}):
        send, _ = lists.take_rows(count)
        with watch_memory(web.pid) as peak:
            run_process(curl_command(web, send, options.stage / "kept.csv"))
        shortest, fewest = shortest or peak[0], fewest or count
        more = (peak[0] - shortest) / (count - fewest) if count > fewest else 0
        rows.append([f"{count:,}", show_bytes(peak[0]), show_bytes(peak[0] - shortest), f"{more:.1f}"])
    return render_rows(rows)
