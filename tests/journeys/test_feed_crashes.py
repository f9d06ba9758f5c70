"""What crashes, restores and failovers do to transaction ids, and that nobody who follows the list is led astray."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from forbear import bootstrap
from forbear.config import Settings
from forbear.domain.errors import ForbearError, ListUnavailable
from forbear.local.cluster import Cluster, open_cluster
from forbear.local.credentials import DATABASE, OWNER, SERVICE, SUPERUSER
from forbear.local.place import make_place, make_private_folder
from forbear.local.process import run
from forbear.services import decision
from forbear.services.decision import Question
from forbear.services.index_build import build_index
from forbear.services.index_keeper import IndexKeeper
from tests.folders import make_home
from tests.followers import Follower, grant, key_of, lift, open_writers, write
from tests.processes import wait_for


@dataclass(frozen=True)
class Place:
    """A server of the test's own, and the list in it."""

    cluster: Cluster
    settings: Settings

    @asynccontextmanager
    async def administer(self, database: str = DATABASE) -> AsyncIterator[asyncpg.Connection]:
        """A connection that may do anything."""
        connection = await asyncpg.connect(self.cluster.url(SUPERUSER, database))
        try:
            yield connection
        finally:
            await connection.close()

    def program(self, name: str) -> Path:
        """One of PostgreSQL's programs."""
        return self.cluster._binaries.path(name)


@asynccontextmanager
async def make_server(keys: Path | None = None) -> AsyncIterator[Place]:
    """Make a server with an empty list, or with room for one whose keys are given."""
    with make_home(is_fast=True) as home:
        home.mkdir()
        home.chmod(0o711)
        cluster = await open_cluster(home)
        await cluster.start()
        settings = Settings(
            database_url=cluster.url(SERVICE), migrate_url=cluster.url(OWNER), keys=keys or home / "keys.json"
        )
        if keys is None:
            await bootstrap.set_up(settings)
        try:
            yield Place(cluster, settings)
        finally:
            await cluster.stop()


@pytest.fixture
async def server():
    async with make_server() as made:
        yield made


async def decide(context, address: str) -> str:
    """The verdict for a campaign."""
    checked = await decision.check(context, [address], Question("marketing", "*"))
    return checked.verdicts[0].outcome.value


async def decide_as_of_now(context, address: str) -> str:
    """The verdict of the engine, which must have answered."""
    await context.standings.catch_up()
    assert context.standings.engine is not None
    return await decide(context, address)


async def reach(context) -> None:
    """Wait until the list can be asked again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await context.standings.catch_up()
            except ListUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def burn(connection, count: int) -> None:
    """Use up transaction ids."""
    await connection.execute(
        f"DO $$ BEGIN FOR n IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )


# Crashes


async def kill_backend(server: Place) -> None:
    """Kill one backend, upon which PostgreSQL ends all others and recovers."""
    async with server.administer() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(pid, signal.SIGKILL)
        await wait_for(connection.is_closed, "the connection to break")
    await wait_until_up(server)


async def wait_until_up(server: Place) -> None:
    """Wait until PostgreSQL has recovered."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with server.administer():
                    return
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)


async def kill_postmaster(server: Place) -> None:
    """Kill PostgreSQL's first process and start it again."""
    os.kill(server.cluster.pid, signal.SIGKILL)
    await server.cluster.wait()
    await server.cluster.start()


@pytest.mark.parametrize("kill", [kill_backend, kill_postmaster])
async def test_transaction_ids_that_are_used_again_hide_no_opt_out(server, kill):
    """Ids of transactions that wrote nothing to disk are given out again after a crash.

    Whoever remembers a snapshot as it is takes an opt-out with such an id for one that they have seen.
    """
    capped, uncapped = Follower(), Follower(is_capped=False)
    async with bootstrap.open_context(server.settings) as context:
        async with server.administer() as administrator:
            # Nothing of the writers below may reach the disk by itself before the crash.
            await administrator.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            await administrator.execute("SELECT pg_reload_conf()")
        async with open_writers(server.settings, 2) as (writer, reader):
            await write(context, writer, "before@example.com")
            await build_index(context.database, context.standings.folder)
            await context.standings.take_newer_file()
            await write(context, writer, "since@example.com")
            for number in range(60):
                transaction = writer.transaction()
                await transaction.start()
                await write(context, writer, f"rolled-back-{number}@example.com")
                await transaction.rollback()
            for follower in (capped, uncapped):
                await follower.catch_up(reader)
            await context.standings.catch_up()
            await kill(server)
        async with open_writers(server.settings, 1) as (writer,):
            # Before anybody asks again: a follower that asks meanwhile would see that the ids have gone back.
            await write(context, writer, "after@example.com")
            xid = await writer.fetchval(
                "SELECT changed_xid FROM entries WHERE fingerprint = $1", key_of(context, "after@example.com")
            )
            assert xid < uncapped.position.xmax, "the crash used no id again"
            for follower in (capped, uncapped):
                await follower.catch_up(writer)
        await reach(context)
        assert key_of(context, "after@example.com") in capped.standing
        assert key_of(context, "after@example.com") not in uncapped.standing, "the cap would be needless"
        # The same for a process that has run all the while, and for one that opens the file.
        assert context.standings.copy.path is not None
        for address in ("before", "since", "after"):
            assert await decide_as_of_now(context, f"{address}@example.com") == "suppress"
    async with bootstrap.open_context(server.settings) as later:
        for address in ("before", "since", "after"):
            assert await decide_as_of_now(later, f"{address}@example.com") == "suppress"
        assert later.standings.copy.path is not None


# Restores


async def dump(server: Place, path: Path) -> None:
    """Dump the list."""
    await run_program(
        server, "pg_dump", "--format=custom", f"--file={path}", f"--dbname={server.cluster.url(SUPERUSER)}"
    )


async def restore(server: Place, path: Path) -> None:
    """Restore a dump into the server's empty database."""
    await run_program(server, "pg_restore", "--exit-on-error", f"--dbname={server.cluster.url(SUPERUSER)}", path)


async def run_program(server: Place, name: str, *arguments) -> None:
    await asyncio.to_thread(subprocess.run, [server.program(name), *arguments], check=True, capture_output=True)


async def test_a_dump_restored_into_a_new_server_is_followed_again(server, tmp_path):
    async with bootstrap.open_context(server.settings) as context, open_writers(server.settings, 1) as (writer,):
        await burn(writer, 500)
        await write(context, writer, "ann@example.com", "bob@example.com")
        await grant(context, writer, "bob@example.com", "*")
        old_file = await build_index(context.database, context.standings.folder)
    await dump(server, tmp_path / "list")
    async with make_server(server.settings.keys) as new:
        await restore(new, tmp_path / "list")
        async with bootstrap.open_context(new.settings) as context, open_writers(new.settings, 1) as (writer,):
            beyond = "SELECT max(changed_xid) >= pg_snapshot_xmax(pg_current_snapshot()) FROM entries"
            assert await writer.fetchval(beyond), "the new server has given out more ids than the old one"
            with pytest.raises(ListUnavailable, match="adopted"):
                await context.standings.catch_up()
            await IndexKeeper(context.database, context.standings, is_builder=True).look()
            assert not await writer.fetchval(beyond)
            assert await decide_as_of_now(context, "ann@example.com") == "suppress"
            assert await decide_as_of_now(context, "bob@example.com") == "deliver"
            assert context.standings.copy.path is None, "a file of the old server was used"
            await write(context, writer, "cid@example.com")
            assert await decide_as_of_now(context, "cid@example.com") == "suppress"
            follower = Follower()
            assert await follower.catch_up(writer)
            assert not await follower.catch_up(writer), "restored rows come again for ever"
            assert await build_index(context.database, context.standings.folder)
            assert not old_file.exists()


async def test_nothing_is_adopted_before_a_restore_has_ended(server, tmp_path):
    """pg_restore makes indexes when all rows are there; adopted before, rows would come in behind our back."""
    await dump(server, tmp_path / "list")
    async with make_server(server.settings.keys) as new:
        for section in ("pre-data", "data"):
            await run_program(
                new, "pg_restore", f"--section={section}", f"--dbname={new.cluster.url(SUPERUSER)}", tmp_path / "list"
            )
        async with bootstrap.open_context(new.settings) as context:
            with pytest.raises(ListUnavailable):
                await IndexKeeper(context.database, context.standings, is_builder=True).look()
            await run_program(
                new, "pg_restore", "--section=post-data", f"--dbname={new.cluster.url(SUPERUSER)}", tmp_path / "list"
            )
            await IndexKeeper(context.database, context.standings, is_builder=True).look()


async def test_a_running_process_notices_a_restore_into_the_same_server(server, tmp_path):
    async with bootstrap.open_context(server.settings) as context:
        async with open_writers(server.settings, 1) as (writer,):
            (written,) = await write(context, writer, "ann@example.com")
            await dump(server, tmp_path / "list")
            await lift(writer, written.entry_id)
            assert await decide_as_of_now(context, "ann@example.com") == "deliver"
            file = await build_index(context.database, context.standings.folder)
        async with server.administer("postgres") as administrator:
            await administrator.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            await administrator.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0")
            await administrator.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {SERVICE}")
        await restore(server, tmp_path / "list")
        for _ in range(3):
            with pytest.raises(ForbearError):
                await context.standings.catch_up()
        await bootstrap.set_up(server.settings)
        await reach(context)
        # The dump is of a time when it stood, and so it stands again.
        assert await decide_as_of_now(context, "ann@example.com") == "suppress"
        assert context.standings.copy.path != file


@asynccontextmanager
async def copied_data(server: Place) -> AsyncIterator[None]:
    """What is done in the block is undone by putting back a copy of the server's files, as a disk's snapshot is."""
    data = server.cluster.place.data
    await server.cluster.stop()
    copy = data.with_name("copy")
    await asyncio.to_thread(subprocess.run, ["cp", "-a", data, copy], check=True)
    await server.cluster.start()
    yield
    await server.cluster.stop()
    shutil.rmtree(data)
    copy.rename(data)
    await server.cluster.start()


async def test_a_running_process_notices_that_the_server_was_put_back(server):
    async with bootstrap.open_context(server.settings) as context:
        async with open_writers(server.settings, 1) as (writer,):
            (written,) = await write(context, writer, "ann@example.com")
        async with copied_data(server), open_writers(server.settings, 1) as (writer,):
            await burn(writer, 200)
            await lift(writer, written.entry_id)
            await reach(context)
            assert await decide_as_of_now(context, "ann@example.com") == "deliver"
        await reach(context)
        assert await decide_as_of_now(context, "ann@example.com") == "suppress"


async def test_a_file_of_a_time_that_the_server_does_not_remember_is_refused(server):
    """Same server, same timeline, same tables: only the record of the file tells that it is of another history."""
    async with bootstrap.open_context(server.settings) as context:
        async with copied_data(server), open_writers(server.settings, 1) as (writer,):
            await burn(writer, 50)
            await write(context, writer, "other@example.com")
            await reach(context)
            file = await build_index(context.database, context.standings.folder)
        async with open_writers(server.settings, 1) as (writer,):
            await write(context, writer, "ann@example.com")
            await burn(writer, 500)
    async with bootstrap.open_context(server.settings) as later:
        assert await decide_as_of_now(later, "ann@example.com") == "suppress"
        assert await decide_as_of_now(later, "other@example.com") == "deliver"
        assert file.exists()
        assert later.standings.copy.path is None


# Failover


class Standby(Cluster):
    """A server that replays what another one writes."""

    def _says_ready(self, pid: int) -> bool:
        status = self.place.data / "postmaster.pid"
        return super()._says_ready(pid) or (status.exists() and "standby" in status.read_text())


@asynccontextmanager
async def make_standby(primary: Cluster) -> AsyncIterator[Standby]:
    """Make a physical standby of a server."""
    with make_home(is_fast=True) as home:
        home.mkdir()
        home.chmod(0o711)
        place = await make_place(home, primary._account)
        make_private_folder(place.data, primary._account)
        await run(
            [
                primary._binaries.path("pg_basebackup"), f"--host={primary.place.socket}", f"--username={SUPERUSER}",
                f"--pgdata={place.data}", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast",
            ],
            account=primary._account,
            environment={"PGPASSWORD": primary.credentials.postgres},
            folder=place.data,
        )  # fmt: skip
        place.make_socket_folder(primary._account)
        standby = Standby(home, place, primary._binaries, primary._account, primary.credentials)
        await standby.start()
        try:
            yield standby
        finally:
            await standby.stop()


async def wait_until_replayed(primary: Place, standby: Cluster) -> None:
    """Wait until a standby has all that the primary has written."""
    async with primary.administer() as connection:
        written = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
    replica = await asyncpg.connect(standby.url(SUPERUSER))
    async with asyncio.timeout(60):
        while not await replica.fetchval(  # noqa: ASYNC110 - the server sends no word of it
            "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written
        ):
            await asyncio.sleep(0.02)
    await replica.close()


async def promote(standby: Cluster) -> None:
    """Make a standby the primary."""
    connection = await asyncpg.connect(standby.url(SUPERUSER))
    assert await connection.fetchval("SELECT pg_promote(wait => true)")
    await connection.close()


async def test_a_standby_that_takes_over_is_adopted_before_anybody_decides(server, tmp_path):
    """The processes reach both servers under one name, as behind a virtual address."""
    name = server.cluster.home.parent / "name"
    name.symlink_to(server.cluster.place.socket)
    url = server.settings.database_url.replace(str(server.cluster.place.socket), str(name))
    settings = server.settings.model_copy(update={"database_url": url})
    async with bootstrap.open_context(settings) as context, make_standby(server.cluster) as standby:
        async with open_writers(settings, 1) as (writer,):
            await write(context, writer, "ann@example.com")
            await build_index(context.database, context.standings.folder)
            await write(context, writer, "bob@example.com")
        assert await decide_as_of_now(context, "bob@example.com") == "suppress"
        await wait_until_replayed(server, standby)

        await server.cluster.stop()
        name.unlink()
        name.symlink_to(standby.place.socket)
        for _ in range(3):
            with pytest.raises(ListUnavailable):
                await context.standings.catch_up()
        async with bootstrap.open_context(settings) as late:
            with pytest.raises(ListUnavailable, match="standby"):
                await decide(late, "ann@example.com")
            assert late.standings.engine is None, "it was not PostgreSQL itself that was asked"
        await promote(standby)
        with pytest.raises(ListUnavailable, match="adopted"):
            await context.standings.catch_up()
        await IndexKeeper(context.database, context.standings, is_builder=True).look()

        async with open_writers(settings, 1) as (writer,):
            await write(context, writer, "cid@example.com")
        for address in ("ann", "bob", "cid"):
            assert await decide_as_of_now(context, f"{address}@example.com") == "suppress"
        assert context.standings.copy.identity.timeline == 2
        assert context.standings.copy.path is None, "a file of the old timeline was used"
