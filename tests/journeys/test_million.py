"""A million rows over HTTP and by the command line against the oracle, and five million within their memory.

The longest of all tests, because the oracle takes its time: about a minute on two idle cores.
"""

import asyncio
import filecmp
import subprocess
import sys
from pathlib import Path

import pytest

from forbear import bootstrap
from forbear.config import Settings
from forbear.services.scopes import add_scope
from tests.make import write_send_list
from tests.mixed import start_oracle, suppress_mixed
from tests.processes import running
from tests.service import Service, started
from tests.webs import Memory

MILLION = 1_000_000
MEGABYTE = 1024 * 1024
SCOPE = "maison/newsletter"
# Runs a command in a process of its own that says at its end how much memory it ever held (VmHWM of proc(5)).
MEASURED = """
import atexit, pathlib, re, runpy, sys
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(sys.argv_of_tell).write_text(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
sys.argv_of_tell = sys.argv.pop(1)
atexit.register(tell)
runpy.run_module("forbear", run_name="__main__")
"""


@pytest.fixture(scope="module")
async def service(tmp_path_factory):
    """The whole service on a data folder of its own, with the scopes that are used."""
    from tests.folders import make_home  # noqa: PLC0415 - beside its one use

    with make_home(is_fast=True) as home:
        async with started(home) as running_service:
            async with bootstrap.open_context(settings_of(running_service)) as context:
                for scope in ("maison/newsletter", "maison/events", "atelier"):
                    await add_scope(context, scope, {})
            yield running_service


def settings_of(service: Service) -> Settings:
    return Settings(database_url=service.database_url, keys=service.home / "keys.json")


async def scrub_by_http(service: Service, listed: Path, out: Path, scope: str = "*") -> None:
    url = f"{service.http}/v1/scrubs?purpose=marketing&scope={scope}&column=email"
    command = ["curl", "-sSf", "-H", f"Authorization: Bearer {service.api_key}", "-H", "Content-Type: text/csv"]
    await asyncio.to_thread(subprocess.run, [*command, "-T", listed, "-X", "POST", "-o", out, url], check=True)


async def scrub_by_command(service: Service, listed: Path, out: Path, scope: str = "*") -> int:
    """Filter a list by the command line; the most memory that it held, in bytes."""
    peak = out.with_suffix(".peak")
    words = ["scrub", listed, "-o", out, "--scope", scope, "--column", "email", "--data", service.home]
    async with running([sys.executable, "-c", MEASURED, peak, *words]) as process:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    return int(peak.read_text()) * 1024


async def test_a_million_rows_are_filtered_as_the_oracle_says(service: Service, tmp_path):
    listed, entries, expected = tmp_path / "list.csv", tmp_path / "entries.csv", tmp_path / "expected.csv"
    write_send_list(listed, MILLION)
    async with bootstrap.open_context(settings_of(service)) as context:
        assert await suppress_mixed(context, listed, entries) > MILLION * 0.045
    oracle = start_oracle(listed, entries, "marketing", SCOPE, expected, "--kept")
    await scrub_by_http(service, listed, tmp_path / "http.csv", SCOPE)
    await scrub_by_command(service, listed, tmp_path / "command.csv", SCOPE)
    assert await asyncio.to_thread(oracle.wait) == 0
    assert filecmp.cmp(expected, tmp_path / "http.csv", shallow=False)
    assert filecmp.cmp(expected, tmp_path / "command.csv", shallow=False)


def write_plain_list(path: Path, rows: int) -> None:
    """Write a list of that many different addresses."""
    with path.open("w") as file:
        file.write("email,city\n")
        for start in range(0, rows, 100_000):
            numbers = range(start, min(start + 100_000, rows))
            file.writelines(f"person.{number}@example{number % 97}.com,Leeds\n" for number in numbers)


@pytest.fixture(scope="module")
def plain_lists(tmp_path_factory):
    """A small and a large list, and what the large one may cost beyond the small one."""
    folder = tmp_path_factory.mktemp("plain")
    small, large = folder / "small.csv", folder / "large.csv"
    write_plain_list(small, 100_000)
    write_plain_list(large, 5 * MILLION)
    return small, large, 64 * MEGABYTE + 32 * 5 * MILLION


async def test_five_million_rows_over_http_stay_within_their_memory(service: Service, plain_lists, tmp_path):
    small, large, allowed = plain_lists
    web = Memory(service.find_child("web"))
    await scrub_by_http(service, small, tmp_path / "small.csv")
    web.forget_peak()
    await scrub_by_http(service, small, tmp_path / "small.csv")
    before = web.read_peak_bytes()
    await scrub_by_http(service, large, tmp_path / "large.csv")
    grown = web.read_peak_bytes() - before
    assert filecmp.cmp(large, tmp_path / "large.csv", shallow=False)
    assert grown <= allowed, f"{grown / MEGABYTE:.0f} MiB more than for 100,000 rows"


async def test_five_million_rows_by_command_stay_within_their_memory(service: Service, plain_lists, tmp_path):
    small, large, allowed = plain_lists
    before = await scrub_by_command(service, small, tmp_path / "small.csv")
    grown = await scrub_by_command(service, large, tmp_path / "large.csv") - before
    assert filecmp.cmp(large, tmp_path / "large.csv", shallow=False)
    assert grown <= allowed, f"{grown / MEGABYTE:.0f} MiB more than for 100,000 rows"
