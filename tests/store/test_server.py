"""Migrations, and the servers that are refused."""

import asyncio
import shutil

import asyncpg
import pytest

from forbear import bootstrap
from forbear.config import Settings
from forbear.domain.errors import Busy, InvalidInput, ListUnavailable, Misconfigured
from forbear.local.credentials import OWNER, SERVICE, SUPERUSER
from forbear.store import api_key as api_key_store
from forbear.store import server as server_store
from forbear.store.database import open_database, open_owner_connection
from forbear.store.queries import sql_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of sql/ that a test may change."""
    copy = shutil.copytree(sql_folder(), tmp_path / "sql")
    monkeypatch.setattr(server_store, "sql_folder", lambda: copy)
    return copy


def add_migration(folder, text: str) -> str:
    path = folder / "migrations" / "9000_try.sql"
    path.write_text(text)
    return path.stem


async def test_migrating_again_does_nothing(owner):
    assert await server_store.migrate(owner, SERVICE) == []


async def test_a_new_migration_is_applied_once(owner, folder):
    name = add_migration(folder, "CREATE TABLE tried (id integer);")
    assert await server_store.migrate(owner, SERVICE) == [name]
    assert await server_store.migrate(owner, SERVICE) == []


async def test_a_migration_that_fails_leaves_nothing(owner, folder):
    add_migration(folder, "CREATE TABLE tried (id integer); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await server_store.migrate(owner, SERVICE)
    assert await owner.fetchval("SELECT to_regclass('tried')") is None
    add_migration(folder, "CREATE TABLE tried (id integer);")
    assert await server_store.migrate(owner, SERVICE)


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(owner, folder):
    (first, *_) = sorted((folder / "migrations").glob("*.sql"))
    first.write_text(first.read_text() + "-- changed\n")
    with pytest.raises(Misconfigured, match="migration 0001 was changed after it was applied"):
        await server_store.migrate(owner, SERVICE)


async def test_a_file_that_is_not_named_like_a_migration_is_refused(owner, folder):
    (folder / "migrations" / "hotfix.sql").write_text("SELECT 1;")
    with pytest.raises(Misconfigured, match=r"hotfix\.sql is not named like a migration"):
        await server_store.migrate(owner, SERVICE)


async def test_a_program_that_is_newer_than_its_database_does_not_start(settings, folder):
    add_migration(folder, "SELECT 1;")
    with pytest.raises(Misconfigured, match="lacks migration 9000"):
        async with bootstrap.open_context(settings):
            pass


async def test_a_program_that_is_older_than_its_database_starts(settings, owner, folder):
    add_migration(folder, "SELECT 1;")
    await server_store.migrate(owner, SERVICE)
    (folder / "migrations" / "9000_try.sql").unlink()
    async with bootstrap.open_context(settings):
        pass


async def test_many_that_migrate_at_once_take_turns(settings, folder):
    add_migration(folder, "CREATE TABLE tried (id integer);")

    async def migrate():
        async with open_owner_connection(settings.migrate_url) as connection:
            return await server_store.migrate(connection, SERVICE)

    done = await asyncio.gather(*(migrate() for _ in range(5)))
    assert sorted(map(len, done)) == [0, 0, 0, 0, 1]


async def test_a_migration_steps_back_from_a_table_in_use_and_gets_it_in_the_end(
    owner, connection, folder, monkeypatch
):
    monkeypatch.setattr(server_store, "LOCK_TIMEOUT", "50ms")
    add_migration(folder, "ALTER TABLE entries ADD COLUMN tried integer;")
    async with connection.transaction():
        await connection.execute("LOCK TABLE entries IN ROW EXCLUSIVE MODE")
        task = asyncio.create_task(server_store.migrate(owner, SERVICE))
        # Who comes meanwhile is held up for moments only: without stepping back, this would wait for ever.
        for _ in range(3):
            await asyncio.wait_for(connection.fetchval("SELECT count(*) FROM entries"), 10)
        assert not task.done()
    assert len(await asyncio.wait_for(task, 10)) == 1


async def test_a_migration_that_never_gets_its_table_says_so(owner, connection, folder, monkeypatch):
    monkeypatch.setattr(server_store, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(server_store, "LOCK_WAIT_SECONDS", 0)
    add_migration(folder, "ALTER TABLE entries ADD COLUMN tried integer;")
    async with connection.transaction():
        await connection.execute("LOCK TABLE entries IN ROW EXCLUSIVE MODE")
        with pytest.raises(Busy, match="9000"):
            await server_store.migrate(owner, SERVICE)


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
async def test_p2_a_server_that_answers_before_it_has_written_is_refused(settings, owner, setting):
    name = settings.database_url.partition("?")[0].rpartition("/")[2]
    await owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
    with pytest.raises(Misconfigured, match="synchronous_commit"):
        async with bootstrap.open_context(settings):
            pass


async def test_a_server_that_hides_who_it_is_names_the_grant_that_is_missing(cluster, settings):
    """As a provider may have set it up; in plain PostgreSQL everybody may call these."""
    name = settings.database_url.partition("?")[0].rpartition("/")[2]
    async with open_owner_connection(cluster.url(SUPERUSER, name)) as superuser:
        for function in ("pg_control_system()", "pg_walfile_name(pg_lsn)"):
            await superuser.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        for role in (OWNER, SERVICE):
            with pytest.raises(Misconfigured) as refused:
                async with open_owner_connection(cluster.url(role, name)) as connection:
                    await server_store.check_server(connection)
            _, grant, rest = refused.value.detail.partition("GRANT EXECUTE ON FUNCTION ")
            assert rest == f"pg_control_system(), pg_walfile_name(pg_lsn) TO {role}"
            await superuser.execute(grant + rest)
        async with bootstrap.open_context(settings) as context:
            await context.standings.catch_up()


async def test_a_database_that_was_never_migrated_is_told_so(cluster, settings):
    empty = Settings(
        database_url=cluster.url(SERVICE, "postgres"), migrate_url=cluster.url(OWNER, "postgres"), keys=settings.keys
    )
    with pytest.raises((Misconfigured, ListUnavailable)):
        async with bootstrap.open_context(empty):
            pass


# What PostgreSQL and its driver say becomes ours


@pytest.mark.parametrize("name", ["nul\0", "broken \ud800"])
async def test_a_text_that_cannot_be_stored_is_the_askers_error(context, name):
    with pytest.raises(InvalidInput):
        async with context.database.connection() as connection:
            await api_key_store.add_api_key(
                connection, name=name, secret_hash=b"x" * 32, permissions=[], purposes=[], scopes=[]
            )


async def test_a_number_out_of_range_is_the_askers_error(context):
    with pytest.raises(InvalidInput):
        async with context.database.connection() as connection:
            await api_key_store.revoke_api_key(connection, 2**40)


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:1/x", "postgresql://x@/x?host=/nowhere"])
async def test_p3_a_server_that_is_away_is_unavailable(url):
    async with open_database(url, connections_max=1, statement_timeout_seconds=1) as database:
        with pytest.raises(ListUnavailable):
            async with database.connection():
                pass


async def run(database, *statements):
    async with database.connection() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_p3_a_connection_that_is_cut_is_unavailable_and_the_next_one_works(context):
    with pytest.raises(ListUnavailable):
        await run(context.database, "SELECT pg_terminate_backend(pg_backend_pid())")
    await run(context.database, "SELECT 1")


async def test_p3_a_statement_that_takes_too_long_is_unavailable(context):
    with pytest.raises(ListUnavailable):
        await run(context.database, "SET statement_timeout = '50ms'", "SELECT pg_sleep(10)")
