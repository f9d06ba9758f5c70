"""The index file built from the whole list, beside PostgreSQL building a B-tree over plain hashes of it.

Measured from the start of a worker process until the file has its name, and by what the worker says the build took.
"""

import asyncio
import json
import shutil
import time
from pathlib import Path
from time import perf_counter

import asyncpg

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list, wait_for_index
from benchmarks.common.measure import interleave, watch_memory
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, show_bytes
from benchmarks.common.rivals import prepare_postgresql
from benchmarks.common.service import POLL_SECONDS, forbear, running

WORD_SECONDS_MAX = 10.0


def run(options: Options, lists: Lists) -> Report:
    """Measure, in seconds."""
    sizes: dict[str, str] = {}
    peaks: dict[str, str] = {}
    alone: list[str] = []

    def build(home: Path, entries: int) -> float:
        folder, log = options.stage / "index", options.stage / "build.log"
        shutil.rmtree(folder, ignore_errors=True)
        started = perf_counter()
        with running(forbear("worker", "--data", home), log, environment={"FORBEAR_INDEX": str(folder)}) as worker:
            with watch_memory(worker.pid) as peak:
                file = wait_for_index(folder)
            seconds = perf_counter() - started
            alone.append(_wait_for_word(log))
            sizes["index file"] = f"{file.stat().st_size / entries:.1f}"
            peaks["index file"] = show_bytes(peak[0])
        shutil.rmtree(folder)
        return seconds

    with serving_list(options, lists) as service:
        rival_url = asyncio.run(prepare_postgresql(service.server_url, lists))
        entries = asyncio.run(_ask(service.database_url, "SELECT count(*) FROM entries WHERE lifted_at IS NULL"))
        size = asyncio.run(_ask(rival_url, "SELECT pg_relation_size('listed_pkey')"))
        sizes["PostgreSQL B-tree"] = f"{size / options.entries:.1f}"
        contestants = {
            "index file": lambda: build(service.home, entries),
            "PostgreSQL B-tree": lambda: asyncio.run(_build_b_tree(rival_url)),
        }
        values = interleave(contestants, options.runs, warm_up=False)
    table = Table("s", values, is_rate=False, more={"bytes an entry": sizes, "memory of the worker": peaks})
    notes = [f"{entries:,} entries; the build alone, as the worker says: {', '.join(alone)} s"]
    return Report("index-build: a new index file", [table], notes)


def _wait_for_word(log: Path) -> str:
    """Wait for what the worker says about its build a moment after the file is there; the seconds."""
    limit = perf_counter() + WORD_SECONDS_MAX
    while perf_counter() < limit:
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
        for line in lines:
            if line["event"] == "index_built":
                return str(line["seconds"])
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"the worker has not said how long its build took: see {log}")


async def _build_b_tree(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET maintenance_work_mem = '1GB'")
        started = perf_counter()
        await connection.execute("CREATE INDEX rebuilt ON listed (hash)")
        seconds = perf_counter() - started
        await connection.execute("DROP INDEX rebuilt")
        return seconds
    finally:
        await connection.close()


async def _ask(url: str, query: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
