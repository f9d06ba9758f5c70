"""Load over HTTP by wrk, which is written in C and takes little of the processor that the server needs.

wrk runs one thread, so that a file's lines are sent in their order and, where there are enough of them, once each.
"""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.common.measure import read_processor_seconds
from benchmarks.common.report import show
from benchmarks.common.service import Web

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: each line of a file as a body to `path`, or (`are_paths`) each as a path with the same body."""

    web: Web
    path: str
    lines: Path
    are_paths: bool = False
    body: str = ""
    content_type: str = "application/json"
    connections: int = 64


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back; latencies in milliseconds."""

    requests: int
    seconds: float
    median_ms: float
    late_ms: float
    """At the 99th percentile."""
    longest_ms: float
    processor_seconds: float
    """What the server used; PostgreSQL not included."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def processor_us(self) -> float:
        """Processor time a request, in microseconds."""
        return 1e6 * self.processor_seconds / self.requests


@dataclass(slots=True)
class LoadTest:
    """Contestants that answer loads, and what is told about each besides its rate."""

    seconds: float
    answered: dict[str, list[Answered]] = field(default_factory=dict)

    def measure(self, name: str, load: Load, first: int = 0) -> Answered:
        """Send a load once."""
        answered = send_load(load, self.seconds, first)
        self.answered.setdefault(name, []).append(answered)
        return answered

    def more_columns(self) -> dict[str, dict[str, str]]:
        """Latencies, and the processor time of one request, as medians over the runs."""
        columns: dict[str, dict[str, str]] = {"ms, median": {}, "ms, 99 %": {}, "processor, µs a request": {}}
        for name, all_answered in self.answered.items():
            values = zip(*((each.median_ms, each.late_ms, each.processor_us) for each in all_answered), strict=True)
            for column, of_all in zip(columns.values(), values, strict=True):
                column[name] = show(median(of_all))
        return columns


def send_load(load: Load, seconds: float, first: int = 0) -> Answered:
    """Send as much as is answered, from the line `first` on; raise when anything was refused."""
    environment = {
        "BENCH_METHOD": "POST",
        "BENCH_PATH": load.path,
        "BENCH_LINES": str(load.lines),
        "BENCH_KIND": "paths" if load.are_paths else "bodies",
        "BENCH_BODY": load.body,
        "BENCH_TYPE": load.content_type,
        "BENCH_AUTHORIZATION": f"Bearer {load.web.api_key}",
        "BENCH_FIRST": str(first),
    }
    arguments = [
        "wrk",
        "-t1",
        f"-c{load.connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "30s",
        "-s",
        _SCRIPT,
        load.web.http,
    ]
    used = read_processor_seconds(load.web.pid)
    ended = subprocess.run(arguments, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout.splitlines()[-1])
    if told.pop("refused") or told.pop("broken"):
        raise SystemExit(f"{load.web.http}{load.path}: requests were refused or broken off:\n{ended.stdout}")
    if not told["requests"]:
        raise SystemExit(f"{load.web.http}{load.path} answered nothing within {seconds:g} s")
    return Answered(**told, processor_seconds=read_processor_seconds(load.web.pid) - used)


def write_lines(path: Path, lines: list[str]) -> Path:
    """Write what is to be sent."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
