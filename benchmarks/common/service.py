"""The program as a real process: the whole service, a second web process, one command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from forbear.local.credentials import SUPERUSER, Credentials
from forbear.local.place import find_place
from tests.processes import ROOT

READY_SECONDS_MAX = 600.0
"""A first start may build an index of the whole list."""
STOP_SECONDS_MAX = 60.0
POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Web:
    """A web process that can be asked."""

    http: str
    api_key: str
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        return {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}

    def call(self, path: str, body: Mapping[str, object]) -> dict:
        """Make one JSON call."""
        request = urllib.request.Request(self.http + path, json.dumps(body).encode(), self.headers)  # noqa: S310 - ours
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
            return json.loads(answer.read())

    def check(self, addresses: Sequence[str]) -> list[str]:
        """The verdicts on addresses, for marketing of everything."""
        answer = self.call("/v1/check", {"purpose": "marketing", "scope": "*", "addresses": addresses})
        return [result["verdict"] for result in answer["results"]]


@dataclass(frozen=True, slots=True)
class Service:
    """`forbear start` on a data folder."""

    home: Path
    web: Web
    database_url: str

    @property
    def server_url(self) -> str:
        """PostgreSQL's superuser on the same server: rivals get a database of their own beside ours."""
        return find_server_url(self.home, "postgres")


def find_server_url(home: Path, database: str) -> str:
    """The URL of PostgreSQL's superuser in a data folder's server."""
    credentials, place = Credentials.find(home), find_place(home)
    assert credentials is not None
    assert place is not None
    return credentials.url(SUPERUSER, place.socket, database)


def forbear(*arguments: object) -> list[str]:
    """Build the command line of a subcommand."""
    return [sys.executable, "-m", "forbear", *map(str, arguments)]


@contextmanager
def serving(home: Path, environment: Mapping[str, str] = {}) -> Iterator[Service]:
    """Run the whole service on a data folder."""
    arguments = forbear("start", "--data", home, "--http", "127.0.0.1:0", "--json")
    with running(arguments, home.with_suffix(".log"), environment=environment) as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"forbear start did not come up: see {home.with_suffix('.log')}")
        told = json.loads(line)
        web_pid = next(pid for pid in list_children(process.pid) if "web" in read_words(pid))
        yield Service(home, Web(told["http"], told["api_key"], web_pid), told["database_url"])


@contextmanager
def serving_web(home: Path, api_key: str, environment: Mapping[str, str] = {}) -> Iterator[Web]:
    """Run one more web process on the data folder of a running service; it may not answer yet."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{chosen.getsockname()[1]}"
    log = home.with_suffix(".web.log")
    with running(forbear("web", "--data", home, "--http", place), log, environment=environment) as process:
        yield Web(f"http://{place}", api_key, process.pid)


def wait_for_verdict(web: Web, address: str, verdict: str = "suppress") -> None:
    """Return once a web process gives this verdict; raise when it gives another."""
    limit = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < limit:
        with suppress(urllib.error.URLError, ConnectionError):
            found = web.check([address])[0]
            assert found == verdict, f"the verdict is {found}"
            return
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"no answer within {READY_SECONDS_MAX:.0f} s")


@contextmanager
def running(
    arguments: Sequence[str], log: Path, *, environment: Mapping[str, str] = {}
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program whose first words we read on stdout; it is ended with the block."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def list_children(pid: int) -> list[int]:
    """The processes that a process has started."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (task / "children").read_text().split())
    return children


def read_words(pid: int) -> list[str]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
