"""A file of new addresses imported into the list, beside COPY and one INSERT of plain hashes.

The import reads, checks, fingerprints and seals every address, and writes entry, event and sealed address in pages,
so that it can be looked at, resumed and undone; the rival does none of that. The list grows with every run.
"""

import asyncio
from pathlib import Path
from time import perf_counter

import asyncpg

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.load import write_lines
from benchmarks.common.measure import interleave, run_process
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, show_bytes
from benchmarks.common.rivals import prepare_postgresql
from benchmarks.common.service import Service, forbear

ADDRESSES, SMALL_ADDRESSES = 200_000, 20_000
_OPTIONS = ("--reason", "unsubscribe", "--scope", "*", "--yes")


def run(options: Options, lists: Lists) -> Report:
    """Measure, in addresses a second of the whole command."""
    addresses = SMALL_ADDRESSES if options.is_small else ADDRESSES
    path = options.stage / "import.csv"
    peaks: dict[str, str] = {}

    def import_file(service: Service) -> float:
        write_lines(path, ["email", *lists.make_new(addresses)])
        ended = run_process(forbear("import", path, *_OPTIONS, "--data", service.home))
        peaks["forbear import"] = show_bytes(ended.peak_bytes)
        return addresses / ended.seconds

    with serving_list(options, lists) as service:
        rival_url = asyncio.run(prepare_postgresql(service.server_url, lists))
        contestants = {
            "forbear import": lambda: import_file(service),
            "PostgreSQL, COPY and INSERT of md5": lambda: addresses / asyncio.run(_copy(rival_url, path)),
        }
        values = interleave(contestants, options.runs, warm_up=False)
    notes = [f"{addresses:,} addresses a run"]
    return Report("import: new addresses into the list", [Table("addresses/s", values, more={"memory": peaks})], notes)


async def _copy(url: str, path: Path) -> float:
    """Insert the hashes of a file; the seconds that it took. They are taken out again, not measured."""
    connection = await asyncpg.connect(url)
    try:
        started = perf_counter()
        await connection.execute("CREATE TEMPORARY TABLE line (email text)")
        await connection.copy_to_table("line", source=path, format="csv", header=True)
        insert = "INSERT INTO listed SELECT md5(lower(trim(email)))::uuid FROM line ON CONFLICT DO NOTHING"
        await connection.execute(insert)
        seconds = perf_counter() - started
        await connection.execute("DELETE FROM listed USING line WHERE hash = md5(lower(trim(email)))::uuid")
    finally:
        await connection.close()
    return seconds
