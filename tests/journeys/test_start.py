"""`forbear start` and the commands beside it, as a person runs them."""

import os
import re
import signal
import socket
import stat
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from forbear.local.credentials import Credentials
from forbear.local.leftovers import list_servers
from forbear.local.place import find_place
from tests.folders import make_home
from tests.processes import ROOT, running, wait_for
from tests.service import launched, started


@pytest.fixture(scope="module")
async def shared():
    """A service for tests after which it is as before."""
    with make_home() as folder:
        async with started(folder) as service:
            yield service


@asynccontextmanager
async def command(home: Path, *arguments: str):
    environment = {"FORBEAR_DATA": str(home)}
    async with running([sys.executable, "-m", "forbear", *arguments], environment=environment) as process:
        yield process


async def run(home: Path, *arguments: str) -> str:
    async with command(home, *arguments) as process:
        output, words = await process.communicate()
        assert process.returncode == 0, words.decode()
        return output.decode()


@pytest.mark.parametrize("is_closed", [False, True])
async def test_started_on_a_fresh_folder_it_decides(is_closed):
    with make_home(is_closed=is_closed) as home:
        async with started(home) as service:
            assert service.pid == service.process.pid
            await service.suppress("anna@example.com")
            assert await service.check("anna@example.com") == "suppress"
            assert await service.check("bert@example.com") == "deliver"
            assert await service.end() == 0
        assert stat.S_IMODE(home.parent.stat().st_mode) == (0o700 if is_closed else 0o711)


async def test_started_again_it_has_the_same_key_and_the_same_list(home):
    async with started(home) as first:
        await first.suppress("anna@example.com")
    async with started(home) as second:
        assert second.api_key == first.api_key
        assert await second.check("anna@example.com") == "suppress"


async def test_what_it_prints_for_a_person_can_be_pasted(home):
    async with launched(home) as service:
        text = ""
        while "Stop it" not in text:
            line = (await service.process.stdout.readline()).decode()
            assert line, service.stderr
            text += line
        pasted = text[text.index("curl") : text.index("Stop it")]
        async with running(["bash", "-c", pasted]) as curl:
            kept, words = await curl.communicate()
        given = (ROOT / "examples" / "campaign.csv").read_bytes().splitlines()
        assert curl.returncode == 0, words
        assert kept.splitlines()[0] == given[0]
        assert 1 < len(kept.splitlines()) <= len(given)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_everything(home, number):
    async with started(home) as service:
        assert service.find_child("web")
        assert service.find_child("worker")
        assert await service.end(number) == 0
        # Scripts read the one line alone from stdout; progress is for people, and keys are for neither log.
        assert await service.process.stdout.read() == b""
        assert re.search(r"PostgreSQL is up \(\d+\.\d s\)", service.stderr)
        assert service.api_key not in service.stderr


async def test_ended_while_it_is_still_setting_up(home):
    async with launched(home, "--json") as service:
        await wait_for(lambda: find_place(home) and find_place(home).socket.exists(), "the first files")
        assert await service.end() == 0
    async with started(home) as service:
        assert await service.is_ready()


async def test_killed_it_takes_everything_with_it_and_the_list_is_kept(home):
    async with started(home) as service:
        await service.suppress("anna@example.com")
        assert await service.end(signal.SIGKILL) == -signal.SIGKILL
    assert "suppress" in await run(home, "check", "anna@example.com")


async def test_killed_and_started_at_once_on_the_same_port(home):
    async with started(home) as service:
        port = service.http.rpartition(":")[2]
        service.process.kill()
        await service.process.wait()
        async with started(home, "--http", f"127.0.0.1:{port}") as again:
            assert again.http == service.http
            assert await again.is_ready()


async def test_postgresql_killed_while_up_comes_back_with_the_list(shared):
    await shared.suppress("carl@example.com")
    killed = shared.find_postmaster()
    os.kill(killed, signal.SIGKILL)
    # Asked all the while, it answers rightly or that it cannot be asked; it never lets anybody through.
    answers = []
    while (503, None) not in answers or answers[-20:] != [(200, "suppress")] * 20:
        answers.append(await shared.ask("carl@example.com"))
        assert answers[-1] in {(200, "suppress"), (503, None)}
    assert "PostgreSQL has ended (signal 9)" in shared.stderr
    assert shared.find_postmaster() != killed
    assert await shared.is_ready()


@pytest.mark.parametrize("name", ["web", "worker"])
async def test_a_process_that_was_killed_is_started_again(shared, name):
    killed = shared.find_child(name)
    os.kill(killed, signal.SIGKILL)
    await wait_for(lambda: shared.find_child(name) not in {None, killed}, f"a new {name}")
    await shared.wait_for_status(200)
    assert f"{name} has ended (signal 9)" in shared.stderr


async def test_a_port_in_use_is_said_before_anything_is_made(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        async with launched(home, "--json", "--http", place) as service:
            assert await service.process.wait() == 1
            assert f"cannot listen on {place}: Address already in use" in service.stderr
            assert "Traceback" not in service.stderr
        assert find_place(home) is None


async def test_a_second_start_on_the_folder_names_the_first(shared):
    async with launched(shared.home, "--json") as second:
        assert await second.process.wait() == 1
        assert f"already runs on {shared.home}: start (process {shared.pid}, " in second.stderr


async def test_a_command_joins_a_service_that_is_up(shared):
    await shared.suppress("dora@example.com")
    assert "suppress" in await run(shared.home, "check", "dora@example.com")
    assert await shared.is_ready()


async def test_a_command_starts_the_server_of_a_service_that_is_down_and_stops_it_again(home):
    await run(home, "suppress", "anna@example.com")
    assert "suppress" in await run(home, "check", "anna@example.com")
    assert not list_servers(find_place(home).data)


async def test_start_waits_for_a_command_that_holds_the_folder(home):
    await run(home, "migrate")
    async with command(home, "worker") as holder:
        await wait_for(lambda: '"state": "ready"' in (home / "lock").read_text(), "the worker to be up")
        async with launched(home, "--json") as service:
            await wait_for(lambda: f"waiting for worker (process {holder.pid}, " in service.stderr, "the message")
            holder.terminate()
            await service.wait_until_ready()
            assert await service.is_ready()


async def test_what_is_secret_is_ours_alone(shared):
    secret_files = [shared.home / name for name in ("api-key", "keys.json", "postgres.json", "lock")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret_files} == {0o600}


async def test_web_and_worker_are_not_given_the_owners_password(shared):
    owner = Credentials.find(shared.home).forbear_owner.encode()
    for pid in (shared.find_child("web"), shared.find_child("worker")):
        assert owner not in Path(f"/proc/{pid}/environ").read_bytes()
        assert owner not in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_with_a_database_url_no_server_is_started(settings, tmp_path):
    environment = {
        "DATABASE_URL": settings.database_url,
        "FORBEAR_MIGRATE_URL": settings.migrate_url,
        "FORBEAR_KEYS": str(settings.keys_path),
    }
    async with started(None, environment=environment, folder=tmp_path) as service:
        assert service.database_url == settings.database_url
        await service.suppress("anna@example.com")
        assert await service.check("anna@example.com") == "suppress"
        assert "PostgreSQL" not in service.stderr
        web = service.find_child("web")
        assert settings.migrate_url.encode() not in Path(f"/proc/{web}/environ").read_bytes()
