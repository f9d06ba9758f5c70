"""A send list filtered with personal links, beside links made of plain hashes.

forbear's links are sealed (AES-GCM-SIV) and carry address, scope and campaign, so that nothing about a recipient has
to be stored for them to work; the rivals' are hashes that somebody has to look up again. DuckDB filters as well;
Python makes an HMAC for every row and filters nothing.
"""

import csv
import hmac
import os
import sys
from pathlib import Path

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.measure import python
from benchmarks.common.options import Options
from benchmarks.common.report import Report
from benchmarks.common.rivals import prepare_duckdb
from benchmarks.common.service import forbear
from benchmarks.scrub_file import Contest

ROWS_MAX = 1_000_000


def run(options: Options, lists: Lists) -> Report:
    """Measure, in rows a second of the whole command."""
    rows = min(options.take, ROWS_MAX)
    send, kept = lists.take_rows(rows)
    cores = os.cpu_count() or 1
    duckdb_file = prepare_duckdb(lists)
    with serving_list(options, lists) as service:
        contest = Contest(send, rows, kept, options.stage)
        where = ("--output", contest.out, "--column", "email", "--data", service.home)
        contest.add("forbear scrub --links", forbear("scrub", send, *where, "--links", "--campaign", "bench"))
        rival = python(
            "benchmarks.common.rivals", "duckdb-hash", send, contest.out, duckdb_file, "--links", "--threads"
        )
        contest.add(f"DuckDB, sha256 links, {cores} threads", [*rival, str(cores)])
        script = python("benchmarks.scrub_links", send, contest.out)
        contest.add("Python, HMAC links, nothing filtered", script, keeps_all=True)
        table = contest.run(options)
    return Report("scrub-links: rows with personal links", [table], [f"{rows:,} rows"])


def make_links(send: Path, out: Path) -> None:
    """Add a link to every row, as a script would that has no list."""
    with send.open(newline="") as source, out.open("w", newline="") as target:
        reader, writer = csv.reader(source), csv.writer(target, lineterminator="\n")
        writer.writerow([*next(reader), "unsubscribe_url"])
        for row in reader:
            digest = hmac.digest(b"secret", row[0].lower().encode(), "sha256").hex()
            writer.writerow([*row, f"https://list.example/u/{digest}"])


if __name__ == "__main__":
    make_links(Path(sys.argv[1]), Path(sys.argv[2]))
