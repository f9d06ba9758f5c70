"""The API behind real HTTP: one served list for all tests that keep to addresses of their own, or one for a test."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Template, make_list
from tests.doors.callers import Client, open_client


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
