"""Who holds a data folder, and what happens to those who come while it is held: with real processes."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from forbear.config import Settings
from forbear.domain.errors import Busy, ListUnavailable, Misconfigured
from forbear.local.credentials import OWNER, SERVICE
from forbear.local.leftovers import list_servers
from forbear.local.lock import open_database
from forbear.local.place import find_place
from tests.processes import is_alive, running, wait_for

# A command that has the database open until its stdin ends.
COMMAND = """
import asyncio, sys
from forbear.config import read_settings
from forbear.domain.errors import ForbearError
from forbear.local.lock import open_database

async def main():
    async with open_database(read_settings(), command=sys.argv[1]) as settings:
        print(settings.database_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

try:
    asyncio.run(main())
except ForbearError as error:
    sys.exit(f"{type(error).__name__}: {error.detail}")
"""


def command(home: Path, name: str, **environment: str):
    return running([sys.executable, "-c", COMMAND, name], environment={"FORBEAR_DATA": str(home), **environment})


async def ask(url: str, question: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_a_command_starts_the_server_and_stops_it_again(home):
    async with open_database(Settings(data=home)) as settings:
        assert await ask(settings.database_url, "SELECT current_user::text") == SERVICE
        assert await ask(settings.migrate_url, "SELECT current_user::text") == OWNER
        assert list_servers(find_place(home).data)
    assert not list_servers(find_place(home).data)


async def test_with_a_database_url_nothing_is_started(home):
    given = Settings(database_url="postgresql://somewhere/else")
    async with open_database(given) as settings:
        assert settings is given


async def test_a_command_that_needs_a_list_does_not_make_one(home):
    with pytest.raises(ListUnavailable, match="there is no list"):
        async with open_database(Settings(data=home), may_create=False):
            pass
    assert not home.exists()


async def test_the_second_command_waits_and_says_for_whom(home):
    async with command(home, "import") as first:
        await first.stdout.readline()
        async with command(home, "export") as second:
            said = (await second.stderr.readline()).decode()
            assert f"waiting for import (process {first.pid}, since " in said
            first.stdin.close()
            assert (await second.stdout.readline()).startswith(b"postgresql://")
            second.stdin.close()
            assert await second.wait() == 0
            assert await second.stderr.read() == b""


async def test_waiting_ends_in_time_and_names_the_holder(home):
    async with command(home, "import") as first:
        await first.stdout.readline()
        settings = Settings(data=home, lock_wait_seconds=0)
        with pytest.raises(Busy, match=rf"import \(process {first.pid}, "):
            async with open_database(settings):
                pass


async def test_a_command_joins_a_service_that_is_up(home):
    async with command(home, "web") as service:
        url = (await service.stdout.readline()).decode().strip()
        async with open_database(Settings(data=home), command="check") as settings:
            assert settings.database_url == url
            assert await ask(settings.migrate_url, "SELECT 1") == 1
        assert await ask(url, "SELECT 1") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_command_that_is_ended_leaves_no_server_and_no_lock(home, number):
    async with command(home, "import") as process:
        await process.stdout.readline()
        data = find_place(home).data
        os.kill(process.pid, number)
        await wait_for(lambda: not is_alive(process.pid) or process.stdin.close(), "the end of the command")
        await wait_for(lambda: not list_servers(data), "the end of PostgreSQL")
    async with open_database(Settings(data=home)) as settings:
        assert await ask(settings.database_url, "SELECT 1") == 1


async def test_the_next_command_waits_for_a_server_that_is_still_ending(home):
    async with command(home, "import") as process:
        url = (await process.stdout.readline()).decode().strip()
        # A stopped backend cannot end, and so neither can its server: it outlives the command that was killed.
        connection = await asyncpg.connect(url)
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        process.kill()
        await process.wait()
        data = find_place(home).data
        opening = asyncio.create_task(_ask_once(home))
        await wait_for(lambda: "next" in (home / "lock").read_text(), "the next command to hold the lock")
        assert backend in list_servers(data)
        os.kill(backend, signal.SIGCONT)
        assert await opening == 1
        connection.terminate()


async def test_a_server_that_was_killed_comes_back_while_the_command_runs(home):
    async with command(home, "worker") as process:
        url = (await process.stdout.readline()).decode().strip()
        place = find_place(home)
        killed = int((place.data / "postmaster.pid").read_text().split()[0])
        os.kill(killed, signal.SIGKILL)
        assert "PostgreSQL has ended (signal 9)" in (await process.stderr.readline()).decode()
        await wait_for(lambda: _is_ready_again(home, killed), "PostgreSQL to be back")
        assert await ask(url, "SELECT 1") == 1


async def test_somebody_else_is_told_whose_folder_it_is(home):
    home.mkdir()
    (home / "lock").mkdir()
    with pytest.raises(Misconfigured, match=f"the data folder {home} cannot be used"):
        async with open_database(Settings(data=home)):
            pass


async def _ask_once(home: Path) -> int:
    async with open_database(Settings(data=home), command="next") as settings:
        return await ask(settings.database_url, "SELECT 1")


def _is_ready_again(home: Path, killed: int) -> bool:
    words = json.loads((home / "lock").read_text() or "{}")
    pid_file = find_place(home).data / "postmaster.pid"
    return (
        words.get("state") == "ready"
        and pid_file.exists()
        and not is_alive(killed)
        and pid_file.read_text().split()[0] != str(killed)
    )
