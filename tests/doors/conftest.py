"""The API behind real HTTP: one served list for all tests that keep to addresses of their own, or one for a test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests

from tests.conftest import Template, make_list
from tests.doors.callers import Client, open_client
from tests.doors.streams import GONE, QUERY, make_rows
from tests.webs import Web, running_web


@pytest.fixture(scope="session")
async def shared_client(template: Template, tmp_path_factory) -> AsyncIterator[Client]:
    """One server for the tests of this process; see `client`."""
    async with (
        make_list(template, tmp_path_factory.mktemp("shared")) as settings,
        open_client(settings) as client,
    ):
        yield client


@pytest.fixture
def client(shared_client: Client) -> Client:
    """An administrator's key to a list that other tests use as well: ask only about addresses made by `fresh`."""
    return shared_client


@pytest.fixture
async def own_client(settings) -> AsyncIterator[Client]:
    """An administrator's key to a list of this test alone."""
    async with open_client(settings) as client:
        yield client


# For scrubs as streams


@pytest.fixture(scope="session")
async def web_list(template, tmp_path_factory):
    """A list with one entry, its folder, and an administrator's view of it."""
    folder = tmp_path_factory.mktemp("streams")
    async with make_list(template, folder) as settings, open_client(settings) as client:
        await client.suppress(GONE)
        yield settings, folder, client


@pytest.fixture(scope="session")
async def web(web_list) -> AsyncIterator[Web]:
    """A real web process, so that its memory is its own; it has filtered before."""
    settings, folder, administrator = web_list
    async with running_web(settings, folder) as process:
        url, rows = f"{process.url}/v1/scrubs?{QUERY}", make_rows(16)[0]
        await asyncio.to_thread(requests.post, url, data=rows, headers=administrator.authorization, timeout=60)
        yield process


@pytest.fixture(scope="session")
def administrator(web_list) -> Client:
    return web_list[2]


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> tuple[Path, bytes]:
    """A list of 32 MiB as a file, and what must come out of it."""
    path = tmp_path_factory.mktemp("large") / "list.csv"
    rows, kept = make_rows(32)
    path.write_bytes(rows)
    return path, kept
