"""Single connections to a list of the test's own."""

import pytest

from forbear import bootstrap
from forbear.store.database import open_owner_connection


@pytest.fixture
async def connection(settings):
    """As the service's role."""
    async with open_owner_connection(settings.database_url) as opened:
        yield opened


@pytest.fixture
async def owner(settings):
    """As the role that owns the tables."""
    async with open_owner_connection(settings.migrate_url) as opened:
        yield opened


@pytest.fixture
async def other(settings):
    """The same list, opened by another process."""
    async with bootstrap.open_context(settings) as opened:
        yield opened
