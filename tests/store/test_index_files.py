"""The index files that a copy of the list is opened from."""

import asyncio
import random
import signal
import sys

import pytest
from structlog.testing import capture_logs

from forbear.domain.errors import ListUnavailable
from forbear.services import index_folder
from forbear.services.index_build import build_index
from forbear.store import index_build as build_store
from tests.copies import assert_equal_to_list, fill, is_known
from tests.followers import lift, open_writers, write
from tests.processes import running


async def test_a_file_holds_all_that_stands(context, other, connection):
    await fill(context, connection)
    path = await build_index(context.database, context.standings.folder)
    await assert_equal_to_list(other, connection)
    assert other.standings.copy.path == path
    assert len(other.standings.engine.overlay) == 0
    assert other.standings.engine.has_domains


async def test_a_file_of_an_empty_list_is_one(context, other, connection):
    await build_index(context.database, context.standings.folder)
    await write(context, connection, "ann@example.com")
    await assert_equal_to_list(other, connection)
    assert other.standings.copy.path is not None


async def test_what_changes_after_a_build_lies_over_the_file(context, other, connection):
    await fill(context, connection)
    await build_index(context.database, context.standings.folder)
    await other.standings.catch_up()
    for row in await connection.fetch("SELECT id FROM entries WHERE lifted_at IS NULL AND id % 3 = 0"):
        await lift(connection, row["id"])
    await write(context, connection, "new@example.com")
    await assert_equal_to_list(other, connection)
    assert len(other.standings.engine.overlay) > 10


async def test_a_transaction_open_during_a_build_is_in_no_file_and_not_missed(context, other, settings, connection):
    async with open_writers(settings, 1) as (writer,):
        transaction = writer.transaction()
        await transaction.start()
        await write(context, writer, "late@example.com")
        await write(context, connection, "ann@example.com")
        await build_index(context.database, context.standings.folder)
        await other.standings.catch_up()
        assert not await is_known(other, "late@example.com")
        await transaction.commit()
    await other.standings.catch_up()
    assert await is_known(other, "late@example.com")
    await assert_equal_to_list(other, connection)


async def test_a_running_process_changes_over_to_a_newer_file(context, connection):
    await fill(context, connection)
    await context.standings.catch_up()
    before = context.standings.engine
    first = await build_index(context.database, context.standings.folder)
    await write(context, connection, "since@example.com")
    await context.standings.take_newer_file()
    assert context.standings.engine is not before
    assert context.standings.copy.path == first
    assert await is_known(context, "since@example.com")
    second = await build_index(context.database, context.standings.folder)
    await context.standings.take_newer_file()
    assert context.standings.copy.path == second != first
    assert not first.exists()
    await assert_equal_to_list(context, connection)


async def test_changing_over_never_goes_back_in_time(context, connection):
    """Nobody who has caught up may then meet an engine that has not, whatever file has just come."""
    stopped = asyncio.Event()

    async def keep_building():
        while not stopped.is_set():
            await build_index(context.database, context.standings.folder)
            await context.standings.take_newer_file()

    building = asyncio.create_task(keep_building())
    for number in range(150):
        await write(context, connection, f"person{number}@example.com")
        await context.standings.catch_up()
        assert await is_known(context, f"person{number}@example.com")
    stopped.set()
    await building
    assert context.standings.copy.path is not None


@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty", "other keys", "no record", "no index at all"])
async def test_a_file_that_is_damaged_or_foreign_is_never_used(context, other, connection, damage):
    await fill(context, connection)
    path = await build_index(context.database, context.standings.folder)
    content = bytearray(path.read_bytes())
    if damage == "cut off":
        path.write_bytes(content[:-1000])
    elif damage == "one bit":
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other keys":
        other.standings.folder._key_check = "0" * 32
    elif damage == "no record":
        await connection.execute("UPDATE index_builds SET marks = '{}'")
    else:
        path.write_bytes(random.Random(1).randbytes(8192))  # noqa: S311 - any bytes
    with capture_logs() as logs:
        await assert_equal_to_list(other, connection)
    assert other.standings.copy.path is None
    assert [line["event"] for line in logs] == ["index_refused"]
    newer = await build_index(context.database, other.standings.folder)
    await other.standings.take_newer_file()
    assert other.standings.copy.path == newer
    await assert_equal_to_list(other, connection)


async def test_only_one_process_builds(context, other):
    with other.standings.folder.lock() as is_held:
        assert is_held
        assert await build_index(context.database, context.standings.folder) is None
    assert await build_index(context.database, context.standings.folder)


async def test_what_an_interrupted_build_left_is_removed(context, connection, monkeypatch):
    await fill(context, connection)
    first = await build_index(context.database, context.standings.folder)

    async def fail(*_arguments):
        raise ListUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(build_store, "add_build", fail)
        with pytest.raises(ListUnavailable):
            await build_index(context.database, context.standings.folder)
    assert len(list(first.parent.glob("*.aside"))) == 1
    await context.standings.catch_up()
    assert context.standings.copy.path == first
    second = await build_index(context.database, context.standings.folder)
    assert sorted(path.name for path in first.parent.iterdir()) == [second.name, "lock"]


# Builds a file of the list whose URL, keys and folder it is told, says when half of it is written, and waits.
BUILDER = """
import asyncio, sys, threading
from pathlib import Path
from forbear import bootstrap
from forbear.config import Settings
from forbear.index.table import TableWriter
from forbear.services.index_build import build_index
add = TableWriter.add
def add_half(writer, keys, numbers):
    add(writer, keys[: len(keys) // 2], numbers[: len(keys) // 2])
    print("half", flush=True)
    threading.Event().wait()
TableWriter.add = add_half
async def build():
    bootstrap.configure_logging(as_json=True)
    async with bootstrap.open_context(Settings(database_url=sys.argv[1], keys=Path(sys.argv[2]))) as context:
        await build_index(context.database, context.standings.folder)
asyncio.run(build())
"""


async def test_a_builder_that_is_killed_leaves_the_older_file_in_use(settings, context, other, connection):
    await fill(context, connection)
    first = await build_index(context.database, context.standings.folder)
    await write(context, connection, "since@example.com")
    arguments = [sys.executable, "-c", BUILDER, settings.database_url, settings.keys_path]
    async with running(arguments) as builder:
        assert await builder.stdout.readline() == b"half\n"
        assert await build_index(context.database, context.standings.folder) is None, "it holds the lock"
        (aside,) = first.parent.glob("*.aside")
        builder.kill()
        assert await builder.wait() == -signal.SIGKILL
    assert aside.stat().st_size > 0
    for opened in (context, other):
        await opened.standings.take_newer_file()
        await assert_equal_to_list(opened, connection)
        assert opened.standings.copy.path == first
    second = await build_index(context.database, context.standings.folder)
    assert sorted(path.name for path in first.parent.iterdir()) == [second.name, "lock"]
    await other.standings.take_newer_file()
    assert other.standings.copy.path == second
    await assert_equal_to_list(other, connection)


def test_files_are_named_by_generation(tmp_path, context):
    folder = index_folder.IndexFolder(tmp_path, context.keyring)
    assert folder.begin().name == "list-000000000001.index"
    for name in ("list-000000000009.index", "list-10.index", "list-x.index", "other.index"):
        (tmp_path / name).touch()
    assert folder.begin().name == "list-000000000011.index"
