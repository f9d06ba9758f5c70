"""A real PostgreSQL for every test: one server and one template database a run, one fresh copy a test."""

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import structlog

from forbear.config import Settings
from forbear.local.cluster import Cluster, open_cluster
from forbear.local.credentials import DATABASE, OWNER, SERVICE, SUPERUSER
from forbear.services.adoption import adopt_list
from forbear.services.context import Context
from forbear.store.database import open_owner_connection
from tests.folders import make_home

SCOPES = ("maison", "maison/newsletter", "maison/events", "atelier")
_numbers = itertools.count(1)

# What the developer has set for an installation of theirs must reach no test.
for _name in [name for name in os.environ if name.startswith(("FORBEAR_", "DATABASE_URL"))]:
    del os.environ[_name]


@dataclass(frozen=True)
class Template:
    """A list that was set up once: its database, and the key file that belongs to it."""

    cluster: Cluster
    keys: Path


@pytest.fixture(autouse=True)
def logging_as_at_first() -> Iterator[None]:
    """What one test has set about logging, as commands do in this process, must reach no other."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a data folder may be made that PostgreSQL's account can enter; pytest's own folders are closed to it."""
    with make_home() as folder:
        yield folder


@pytest.fixture(scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    """One PostgreSQL for all tests of this process."""
    with make_home(is_fast=True) as home:
        home.mkdir()
        home.chmod(0o711)
        server = await open_cluster(home)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture(scope="session")
async def template(cluster: Cluster) -> Template:
    """The list that every test gets a copy of: empty, with keys and a few scopes."""
    from forbear import bootstrap  # noqa: PLC0415 - runner tests need none of it
    from forbear.services.scopes import add_scope  # noqa: PLC0415 - likewise

    keys = cluster.home / "keys.json"
    settings = Settings(database_url=cluster.url(SERVICE), migrate_url=cluster.url(OWNER), keys=keys)
    await bootstrap.set_up(settings)
    async with bootstrap.open_context(settings) as context:
        for scope in SCOPES:
            await add_scope(context, scope, {})
    return Template(cluster, keys)


@asynccontextmanager
async def make_list(template: Template, folder: Path) -> AsyncIterator[Settings]:
    """Make a copy of the list, and of its keys in a folder."""
    cluster = template.cluster
    name = f"test_{next(_numbers)}"
    administrator = await asyncpg.connect(cluster.url(SUPERUSER, "postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {DATABASE} OWNER {OWNER}")
        await administrator.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        await administrator.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {SERVICE}")
        keys = Path(shutil.copy(template.keys, folder / "keys.json"))
        made = Settings(database_url=cluster.url(SERVICE, name), migrate_url=cluster.url(OWNER, name), keys=keys)
        # A copied database is another one: nobody follows changes in it before the list is adopted there.
        async with open_owner_connection(made.migrate_url) as owner:
            assert await adopt_list(owner)
        yield made
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


@pytest.fixture
async def settings(template: Template, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a list of its own, with keys and the scopes `*`, `maison`, two topics of it, and `atelier`."""
    async with make_list(template, tmp_path) as made:
        yield made


@pytest.fixture
async def context(settings: Settings) -> AsyncIterator[Context]:
    """The list of `settings`, opened as every process opens it."""
    from forbear import bootstrap  # noqa: PLC0415 - runner tests need none of it

    async with bootstrap.open_context(settings) as opened:
        yield opened
