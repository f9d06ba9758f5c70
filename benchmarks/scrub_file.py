"""A send list filtered from file to file, beside DuckDB, PostgreSQL, a Python set and grep.

Everybody starts from nothing and ends with the kept rows in a file: a command's whole time is measured, its start
and its loading included. What everybody keeps is compared by number. Memory is the largest resident set; for forbear
the mapped index is part of it, and PostgreSQL's own processes are not.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.common.data import Lists
from benchmarks.common.home import serving_list
from benchmarks.common.measure import Ended, interleave, python, run_process
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, show, show_bytes
from benchmarks.common.rivals import prepare_duckdb, prepare_postgresql
from benchmarks.common.service import Service, forbear

GREP_ENTRIES, GREP_ROWS = 200_000, 100_000
"""It takes 2 KiB of memory an entry, so with the whole list it would not end."""
_RIVALS = "benchmarks.common.rivals"


class Contest:
    """Contestants on one send list: a measurement each, in rows a second."""

    def __init__(self, send: Path, rows: int, kept: int, folder: Path) -> None:
        self.send, self.out = send, folder / "kept.csv"
        self._rows, self._kept = rows, kept
        self.ended: dict[str, list[Ended]] = {}
        self.contestants: dict[str, Callable[[], float]] = {}

    def add(self, name: str, arguments: list[str], *, cores: int | None = None, keeps_all: bool = False) -> None:
        """Add a command that writes the kept rows to `out`."""
        wanted = self._rows if keeps_all else self._kept
        self.contestants[name] = lambda: self._measure(name, wanted, lambda: run_process(arguments, cores=cores))

    def _measure(self, name: str, wanted: int, run: Callable[[], Ended]) -> float:
        self.out.unlink(missing_ok=True)
        ended = run()
        kept = count_lines(self.out) - 1
        assert kept == wanted, f"{name} kept {kept:,} rows instead of {wanted:,}"
        self.ended.setdefault(name, []).append(ended)
        return self._rows / ended.seconds

    def run(self, options: Options) -> Table:
        """Measure all in turns."""
        values = interleave(self.contestants, options.runs)
        self.out.unlink(missing_ok=True)
        used = {name: show(median(each.processor_seconds for each in ended)) for name, ended in self.ended.items()}
        peaks = {name: show_bytes(max(each.peak_bytes for each in ended)) for name, ended in self.ended.items()}
        return Table("rows/s", values, more={"processor, s": used, "memory": peaks})


def run(options: Options, lists: Lists) -> Report:
    """Measure."""
    send, kept = lists.take_rows(options.take)
    with serving_list(options, lists) as service:
        contest = Contest(send, options.take, kept, options.stage)
        _add_all(contest, service, lists)
        tables = [contest.run(options), _run_grep(options, lists)]
    notes = [
        f"{options.take:,} rows, {send.stat().st_size / 1024**2:,.0f} MiB, {kept:,} of them kept by everybody",
        "DuckDB and PostgreSQL compare plain hashes (md5, and DuckDB's own 64-bit hash); forbear's are keyed",
    ]
    return Report("scrub-file: rows from file to file", tables, notes)


def _add_all(contest: Contest, service: Service, lists: Lists) -> None:
    cores = os.cpu_count() or 1
    duckdb_file = prepare_duckdb(lists)
    rival_url = asyncio.run(prepare_postgresql(service.server_url, lists))
    ours = forbear("scrub", contest.send, "--output", contest.out, "--column", "email", "--data", service.home)
    contest.add("forbear scrub", ours)
    for kind in ("duckdb-hash", "duckdb-md5"):
        command = python(_RIVALS, kind, contest.send, contest.out, duckdb_file, "--threads")
        contest.add(f"{kind}, {cores} threads", [*command, str(cores)])
    contest.add("forbear scrub, 1 core", ours, cores=1)
    for kind in ("duckdb-hash", "duckdb-md5"):
        command = python(_RIVALS, kind, contest.send, contest.out, duckdb_file, "--threads")
        contest.add(f"{kind}, 1 core", [*command, "1"], cores=1)
    contest.add("PostgreSQL, COPY and anti-join", python(_RIVALS, "postgresql", contest.send, contest.out, rival_url))
    contest.add("Python set of strings", python(_RIVALS, "python-set", contest.send, contest.out, lists.plain))


def _run_grep(options: Options, lists: Lists) -> Table:
    """Compare with grep -vxFf, which takes whole lines only, so it gets the addresses alone and in lower case."""
    entries, rows = min(GREP_ENTRIES, lists.entries), min(GREP_ROWS, options.take)
    patterns, lines = options.stage / "grep-entries.txt", options.stage / "grep-rows.txt"
    _copy_lines(lists.plain, patterns, entries)
    lines.write_text("".join(f"{address.lower()}\n" for address in lists.sample(rows)))
    contest = Contest(lines, rows, rows - _count_common(lines, patterns) - 1, options.stage)
    out, listed = contest.out, patterns
    script = f'LC_ALL=C exec grep -vxFf "{listed}" "{lines}" > "{out}"'
    contest.add(f"grep -vxFf, {entries:,} entries, {rows:,} rows", ["sh", "-c", script])
    return contest.run(options)


def _copy_lines(source: Path, target: Path, count: int) -> None:
    with source.open("rb") as lines, target.open("wb") as out:
        out.writelines(line for line, _ in zip(lines, range(count), strict=False))


def _count_common(lines: Path, patterns: Path) -> int:
    return len(set(lines.read_bytes().splitlines()) & set(patterns.read_bytes().splitlines()))


def count_lines(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 22), b""))
