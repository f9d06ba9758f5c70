"""No verdict is older than the answers before it, whatever is killed: histories, checked address by address."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from forbear import bootstrap
from forbear.config import Settings
from forbear.domain.errors import ListUnavailable
from forbear.local.cluster import open_cluster
from forbear.local.credentials import OWNER, SERVICE, SUPERUSER
from forbear.services.index_build import build_index
from forbear.services.scopes import add_scope
from tests.folders import make_home
from tests.histories import WRITERS, Call, find_contradictions, read_history
from tests.processes import ROOT, wait_for

READERS = 2


class Crowd:
    """The processes of one history."""

    def __init__(self, folder: Path, barrier: str):
        self.folder = folder
        self._barrier = barrier
        self._rounds = [0] * WRITERS
        self._processes: dict[tuple[str, int], asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        self._write_rounds()
        for number in range(WRITERS):
            await self._start("write", number)
        for number in range(READERS):
            await self._start("read", number)
        await wait_for(lambda: all(self._size(*key) > 10_000 for key in self._processes), "everybody to be at it")

    async def replace(self, verb: str, number: int) -> None:
        """Kill a process and start another in its place; a writer gets new addresses."""
        await self._end(verb, number)
        if verb == "write":
            self._rounds[number] += 1
            self._write_rounds()
        await self._start(verb, number)

    async def stop(self) -> None:
        for key in list(self._processes):
            await self._end(*key)

    def count_writes(self) -> int:
        return sum(path.read_bytes().count(b'["write"') for path in self.folder.glob("write-*.log"))

    def check(self) -> list[str]:
        writes, reads, open_calls = read_history(self.folder)
        assert len(reads) > len(writes) > 400
        return find_contradictions(writes, reads, open_calls)

    async def _start(self, verb, number):
        self._processes[verb, number] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.histories", verb, str(self.folder), str(number), self._barrier),
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            cwd=ROOT,
        )

    async def _end(self, verb, number):
        process = self._processes.pop((verb, number))
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def _size(self, verb, number) -> int:
        path = self.folder / f"{verb}-{number}.log"
        return path.stat().st_size if path.exists() else 0

    def _write_rounds(self):
        aside = self.folder / "rounds.new"
        aside.write_text(json.dumps(self._rounds))
        aside.replace(self.folder / "rounds")


@pytest.fixture
async def server():
    with make_home(is_fast=True) as home:
        home.mkdir()
        home.chmod(0o711)
        cluster = await open_cluster(home)
        await cluster.start()
        yield cluster
        await cluster.stop()


@asynccontextmanager
async def crowd(server, folder: Path, barrier: str):
    """Processes at full rate upon a list of the test's own, and a builder whose files they change over to."""
    settings = Settings(database_url=server.url(SERVICE), migrate_url=server.url(OWNER), keys=server.home / "keys.json")
    await bootstrap.set_up(settings)
    names = {"database_url": settings.database_url, "keys": str(settings.keys)}
    (folder / "settings").write_text(json.dumps(names))
    async with bootstrap.open_context(settings) as context:
        for scope in ("maison", "maison/newsletter"):
            await add_scope(context, scope, {})
        people = Crowd(folder, barrier)
        builder = asyncio.create_task(build_for_ever(context))
        try:
            await people.start()
            yield people
        finally:
            await people.stop()
            builder.cancel()
            await asyncio.gather(builder, return_exceptions=True)


async def build_for_ever(context) -> None:
    while True:
        with suppress(ListUnavailable):
            await build_index(context.database, context.standings.folder)
        await asyncio.sleep(1)


async def kill_backend(server) -> None:
    """Kill one of PostgreSQL's processes, so that it ends all others and recovers."""
    connection = await asyncpg.connect(server.url(SUPERUSER))
    os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
    await wait_for(connection.is_closed, "the connection to break")


async def kill_postmaster(server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await server.start()


async def test_no_verdict_is_older_than_the_answers_before_it(server, tmp_path):
    choose = random.Random()  # noqa: S311 - any order will do
    async with crowd(server, tmp_path, "whole") as people:
        troubles = [
            lambda: people.replace("write", choose.randrange(WRITERS)),
            lambda: kill_backend(server),
            lambda: people.replace("read", choose.randrange(READERS)),
            lambda: kill_postmaster(server),
            lambda: people.replace("write", choose.randrange(WRITERS)),
        ]
        for trouble in troubles:
            await work_for(people, 300)
            await trouble()
        await work_for(people, 300)
    assert people.check() == []


@pytest.mark.parametrize("barrier", ["shared", "rare", "torn"])
async def test_a_barrier_that_is_broken_is_found_out(server, tmp_path, barrier):
    """The check would be worth nothing if it did not fail here."""
    async with crowd(server, tmp_path, barrier) as people:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            await work_for(people, 300)
            if people.check():
                return
    pytest.fail("nobody noticed")


async def work_for(people: Crowd, writes: int) -> None:
    """Let everybody work until so many more writes are recorded."""
    count = people.count_writes()
    await wait_for(lambda: people.count_writes() >= count + writes, "the writers to get on", 120)


# The check itself


def calls(*values: tuple[int, int, str]) -> list[Call]:
    return [Call("a", *value) for value in values]


WRITES = calls((10, 20, "suppress"), (30, 40, "deliver"), (50, 60, "suppress"))


@pytest.mark.parametrize(
    "reads",
    [
        [(1, 5, "deliver")],
        [(5, 12, "deliver")],
        [(5, 12, "suppress")],
        [(21, 25, "suppress")],
        [(15, 35, "deliver")],
        [(12, 13, "suppress"), (14, 15, "suppress")],
        [(12, 18, "suppress"), (13, 19, "deliver")],
        [(61, 70, "suppress")],
    ],
)
def test_what_can_be_explained_is_no_contradiction(reads):
    assert find_contradictions(WRITES, calls(*reads), {}) == []


@pytest.mark.parametrize(
    "reads",
    [
        [(1, 5, "suppress")],
        [(21, 25, "deliver")],
        [(41, 45, "suppress")],
        [(61, 70, "deliver")],
        [(12, 13, "suppress"), (14, 15, "deliver")],
        [(21, 25, "manual")],
        [(32, 33, "deliver"), (34, 45, "suppress")],
    ],
)
def test_an_old_verdict_is_a_contradiction(reads):
    assert len(find_contradictions(WRITES, calls(*reads), {})) == 1


def test_what_nobody_saw_the_end_of_is_judged_until_it_began():
    assert find_contradictions(WRITES, calls((62, 66, "deliver")), {"a": 65}) == []
    assert len(find_contradictions(WRITES, calls((62, 64, "deliver")), {"a": 65})) == 1
