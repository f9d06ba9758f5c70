"""Load over HTTP by wrk, which is written in C and takes little of the processor that the server needs.

wrk runs one thread, so that a file's lines are sent in their order and, where there are enough of them, once each.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: each line of a file as a body to `path`, or (`are_paths`) each as a path with the same body."""

    url: str
    path: str
    lines: Path
    api_key: str = ""
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

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def send_load(load: Load, seconds: float, first: int = 0) -> Answered:
    """Send as much as is answered, from the line `first` on; raise when anything was refused."""
    environment = {
        "BENCH_METHOD": "POST",
        "BENCH_PATH": load.path,
        "BENCH_LINES": str(load.lines),
        "BENCH_KIND": "paths" if load.are_paths else "bodies",
        "BENCH_BODY": load.body,
        "BENCH_TYPE": load.content_type,
        "BENCH_AUTHORIZATION": f"Bearer {load.api_key}",
        "BENCH_FIRST": str(first),
    }
    arguments = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", _SCRIPT, load.url]
    ended = subprocess.run(arguments, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout.splitlines()[-1])
    if told.pop("refused") or told.pop("broken"):
        raise SystemExit(f"{load.url}{load.path}: requests were refused or broken off:\n{ended.stdout}")
    if not told["requests"]:
        raise SystemExit(f"{load.url}{load.path} answered nothing within {seconds:g} s")
    return Answered(**told)


def write_lines(path: Path, lines: list[str]) -> Path:
    """Write what is to be sent."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
