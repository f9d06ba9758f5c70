"""When an index file is built, and who waits for it."""

import asyncio
import io
from datetime import UTC, datetime, timedelta

import pytest

from forbear.domain.suppression import Reason
from forbear.services import batches, imports, index_keeper, standings
from forbear.services.index_build import build_index
from forbear.services.index_keeper import IndexKeeper, is_build_due
from forbear.services.list_copy import ListCopy
from forbear.store import feed as feed_store
from forbear.store import index_build as build_store
from tests.copies import fill, keep
from tests.followers import open_writers


def make_copy(changes: int, keys: int, age: timedelta = timedelta()) -> ListCopy:
    """A copy with a file of so many keys, and so many changes since."""

    class Header:
        built_at = (datetime.now(UTC) - age).isoformat()

    class Table:
        header = Header

        def __len__(self):
            return keys

    class Engine:
        overlay = range(changes)
        table = Table()

    return ListCopy(Engine, None, feed_store.NOTHING_SEEN, None)


@pytest.mark.parametrize(
    ("changes", "keys", "age", "patience", "is_due"),
    [
        (100_000, 0, timedelta(), 1, False),
        (100_001, 0, timedelta(), 1, True),
        (100_001, 20_000_000, timedelta(), 1, False),
        (1_000_001, 20_000_000, timedelta(), 1, True),
        (1_000_001, 20_000_000, timedelta(), 3, False),
        (1, 1000, timedelta(days=2), 1, True),
        (0, 1000, timedelta(days=2), 1, False),
    ],
)
def test_a_build_is_due_after_many_changes_or_a_day_with_any(changes, keys, age, patience, is_due):
    assert is_build_due(make_copy(changes, keys, age), datetime.now(UTC), patience=patience) is is_due


async def test_imports_wait_for_a_builder_that_is_alive_and_behind(context, connection, monkeypatch):
    alive = timedelta(seconds=30)
    assert not await build_store.is_builder_behind(connection, alive)
    await fill(context, connection)
    await keep(context)
    assert not await build_store.is_builder_behind(connection, alive)
    monkeypatch.setattr(index_keeper, "PACE_CHANGES_MIN", 10)
    await keep(context)
    assert await build_store.is_builder_behind(connection, alive)
    await connection.execute("UPDATE index_builds SET seen_at = seen_at - interval '1 minute'")
    assert not await build_store.is_builder_behind(connection, alive)
    await keep(context)
    await build_index(context.database, context.standings.folder)
    assert not await build_store.is_builder_behind(connection, alive)


async def test_an_import_goes_on_when_the_builder_has_caught_up(context, settings, connection, monkeypatch):
    monkeypatch.setattr(index_keeper, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(index_keeper, "PACE_CHANGES_MIN", 10)
    await fill(context, connection)
    await keep(context)
    async with open_writers(settings, 1) as (importer,):
        waiting = asyncio.create_task(index_keeper.wait_for_builders(importer))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await build_index(context.database, context.standings.folder)
        await keep(context)
        await asyncio.wait_for(waiting, 30)


async def test_taking_an_import_back_waits_for_the_builder_page_by_page(context, connection, monkeypatch):
    monkeypatch.setattr(index_keeper, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(batches, "PAGE_ROWS", 20)
    data = "\n".join(["email", *(f"person{number}@example.com" for number in range(50))]).encode()
    options = imports.ImportOptions("list.csv", Reason.UNSUBSCRIBE, "*", "test")
    batch = await imports.stage_import(context, io.BytesIO(data), options)
    await imports.apply_import(context, batch.id)
    ask, standing = build_store.is_builder_behind, []

    async def ask_twice(asked, within):
        """Behind at first, before every page."""
        count = await connection.fetchval("SELECT count(*) FROM entries WHERE lifted_at IS NULL")
        standing.append(count)
        return standing.count(count) < 3 or await ask(asked, within)

    monkeypatch.setattr(build_store, "is_builder_behind", ask_twice)
    undone = await batches.undo_batch(context, batch.id, actor="test")
    assert undone.lifted == 50
    assert standing == [50, 50, 50, 30, 30, 30, 10, 10, 10]


async def test_a_builder_says_that_it_is_alive_while_it_builds(context, other, connection, monkeypatch):
    monkeypatch.setattr(index_keeper, "CHANGES_MIN", 10)
    monkeypatch.setattr(index_keeper, "PACE_CHANGES_MIN", 10)
    await fill(context, connection)
    begun, may_end = asyncio.Event(), asyncio.Event()
    count_rules = build_store.count_rules

    async def count_slowly(*arguments):
        begun.set()
        await may_end.wait()
        return await count_rules(*arguments)

    monkeypatch.setattr(build_store, "count_rules", count_slowly)
    keeper = IndexKeeper(context.database, context.standings, is_builder=True)
    await keeper.look()
    await begun.wait()
    await connection.execute("UPDATE index_builds SET seen_at = seen_at - interval '1 hour'")
    await keeper.look()
    assert await build_store.is_builder_behind(connection, timedelta(seconds=30))
    may_end.set()
    await keeper.finish()
    await keeper.look()
    assert not await build_store.is_builder_behind(connection, timedelta(seconds=30))
    assert context.standings.copy.path is not None


async def test_a_build_that_failed_is_left_alone_for_a_while(context, connection, monkeypatch):
    monkeypatch.setattr(index_keeper, "CHANGES_MIN", 10)
    await fill(context, connection)
    attempts = 0

    def fail(*_arguments):
        nonlocal attempts
        attempts += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("forbear.services.index_build.TableWriter", fail)
    keeper = IndexKeeper(context.database, context.standings, is_builder=True)
    for _ in range(3):
        await keeper.look()
        await keeper.finish()
    assert attempts == 1


async def test_imports_wait_while_the_first_file_is_built(context, connection, monkeypatch):
    monkeypatch.setattr(standings, "ENTRIES_WITHOUT_FILE_MAX", 10)
    alive = timedelta(seconds=30)
    await fill(context, connection)
    begun, may_end = asyncio.Event(), asyncio.Event()
    add_build = build_store.add_build

    async def add_slowly(*arguments):
        begun.set()
        await may_end.wait()
        await add_build(*arguments)

    monkeypatch.setattr(build_store, "add_build", add_slowly)
    keeper = IndexKeeper(context.database, context.standings, is_builder=True)
    await keeper.look()
    await begun.wait()
    await keeper.look()
    assert await build_store.is_builder_behind(connection, alive)
    may_end.set()
    await keeper.finish()
    assert not await build_store.is_builder_behind(connection, alive)
    await keeper.look()
    assert context.standings.engine
    assert not await build_store.is_builder_behind(connection, alive)
