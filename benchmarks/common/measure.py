"""Processes and rounds: how long, how much processor time, how much memory."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.processes import ROOT

Measurement = Callable[[], float]
SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended well."""

    seconds: float
    processor_seconds: float
    peak_bytes: int
    """Its largest resident set, shared pages (a mapped file) included; what grew in its last moment may be missed."""


def run_process(
    arguments: Sequence[str | Path], *, cores: int | None = None, environment: Mapping[str, str] = {}
) -> Ended:
    """Run a program to its end, on so many cores; raise with its last words when it fails."""
    bound = ["taskset", "--cpu-list", f"0-{cores - 1}"] if cores else []
    with tempfile.TemporaryFile() as errors:
        started = perf_counter()
        process = subprocess.Popen(
            [*bound, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        with watch_memory(process.pid, "VmHWM") as peak:
            _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{process.args} ended with {process.returncode}:\n{errors.read().decode()[-2000:]}")
    return Ended(seconds, usage.ru_utime + usage.ru_stime, peak[0])


def python(module: str, *arguments: object) -> list[str]:
    """Build the command line of one of our modules."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def interleave(contestants: Mapping[str, Measurement], runs: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """Measure all contestants in turns, so that what else the machine does falls upon each of them alike."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(0 if warm_up else 1, runs + 1):
        for name, measure in contestants.items():
            value = measure()
            told = f"run {number}" if number else "warm-up"
            print(f"  {told:<8} {name}: {value:,.4g}", file=sys.stderr, flush=True)
            if number:
                values[name].append(value)
    return values


@contextmanager
def watch_memory(pid: int, field: str = "RssAnon") -> Iterator[list[int]]:
    """Yield a list whose only item is the largest value seen so far, in bytes.

    Fields are those of /proc/PID/status: RssAnon leaves out what is mapped from files, such as the index.
    """
    peak = [read_memory(pid, field)]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], read_memory(pid, field))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def read_memory(pid: int, field: str = "RssAnon") -> int:
    """One line of /proc/PID/status, in bytes; 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def read_processor_seconds(pid: int) -> float:
    """The processor time that a process has used; what waits for a busy machine uses none."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
