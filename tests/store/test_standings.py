"""The read barrier, the copy behind it, and the index files it is opened from."""

import asyncio
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from forbear import bootstrap
from forbear.domain.address import parse_address
from forbear.domain.errors import ListUnavailable
from forbear.domain.suppression import BUILT_IN, Purpose
from forbear.index.addresses import Keys
from forbear.index.rules import DELIVER_CODE, UNSURE_CODE
from forbear.services import index_folder, index_keeper, list_copy, standings
from forbear.services.decision import Question, check
from forbear.services.index_build import build_index
from forbear.services.index_keeper import IndexKeeper, is_build_due
from forbear.services.list_copy import ListCopy
from forbear.store import feed as feed_store
from forbear.store import index_build as build_store
from forbear.store import kept
from tests.engines import read_engine, settle
from tests.followers import grant, key_of, lift, open_writers, read_standing, write
from tests.processes import wait_for


async def is_known(context, address) -> bool:
    """Whether this process knows that something stands about an address, without asking again."""
    key = key_of(context, address)
    return key in read_engine(context.standings.engine, [key])


async def assert_equal_to_list(context, connection):
    """Compare the engine with the tables, read from end to end."""
    await context.standings.catch_up()
    rows = await connection.fetch("SELECT fingerprint, wide_fingerprint FROM entries")
    keys = {key for row in rows for key in row if key}
    keys |= {row["fingerprint"] for row in await connection.fetch("SELECT fingerprint FROM grants")}
    assert read_engine(context.standings.engine, keys) == settle(await read_standing(connection))


async def keep(context, *, is_builder=True):
    """One round of looking after the index, and the build that it may begin."""
    keeper = IndexKeeper(context.database, context.standings, is_builder=is_builder)
    await keeper.look()
    await keeper.finish()


async def fill(context, connection, count=200):
    """Write a list with everything in it."""
    choose = random.Random(count)  # noqa: S311 - the same every time
    written = []
    for number in range(count):
        address = f"person{number % (count // 2)}+tag@gmail.com"
        reason = choose.choice(["unsubscribe", "complaint", "hard_bounce", "friend_only", "objection"])
        scope = choose.choice(["*", "maison", "maison/newsletter"])
        written += await write(context, connection, address, reason=reason, scope=scope)
        if choose.random() < 0.2:
            await grant(context, connection, address, choose.choice(["*", "maison"]))
    await write(context, connection, "@example.org", reason="manual")
    for line in choose.sample(written, count // 10):
        if await connection.fetchval("SELECT lifted_at IS NULL FROM entries WHERE id = $1", line.entry_id):
            await lift(connection, line.entry_id)


@pytest.fixture
async def other(settings):
    """The same list, opened by another process."""
    async with bootstrap.open_context(settings) as opened:
        yield opened


@pytest.fixture
def flights(monkeypatch):
    """What the barrier asked; `gate` may hold back its answers."""
    ask = feed_store.ask_barrier

    class Flights:
        count = 0
        gate = asyncio.Event()

    async def ask_and_count(*arguments):
        Flights.count += 1
        answer = await ask(*arguments)
        await Flights.gate.wait()
        return answer

    Flights.gate.set()
    monkeypatch.setattr(feed_store, "ask_barrier", ask_and_count)
    return Flights


# The barrier


async def test_whoever_asks_at_the_same_time_shares_one_question(context, flights):
    await asyncio.gather(*(context.standings.catch_up() for _ in range(100)))
    assert flights.count == 1


async def test_whoever_asks_during_a_flight_shares_the_next(context, connection, flights):
    await context.standings.catch_up()
    flights.gate.clear()
    early = asyncio.create_task(context.standings.catch_up())
    await wait_for(lambda: flights.count == 2, "the answer to be under way")
    await write(context, connection, "ann@example.com")
    late = [asyncio.create_task(context.standings.catch_up()) for _ in range(10)]
    await asyncio.sleep(0)
    flights.gate.set()
    before = await early
    after = await asyncio.gather(*late)
    assert await is_known(context, "ann@example.com")
    assert flights.count == 3
    assert set(after) != {before}


async def test_the_moment_lies_between_question_and_answer(context, connection):
    for _ in range(20):
        before = datetime.now(UTC)
        as_of = await context.standings.catch_up()
        assert before <= as_of <= datetime.now(UTC)


async def test_whoever_leaves_takes_nobody_along(context, flights):
    await context.standings.catch_up()
    flights.gate.clear()
    callers = [asyncio.create_task(context.standings.catch_up()) for _ in range(3)]
    await wait_for(lambda: flights.count == 2, "the flight to begin")
    callers[0].cancel()
    flights.gate.set()
    gone, *stayed = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert all(isinstance(as_of, datetime) for as_of in stayed)


async def test_a_lost_connection_fails_its_flight_and_no_other(context, connection, owner):
    await context.standings.catch_up()
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("LOCK TABLE entries IN ACCESS EXCLUSIVE MODE")
    callers = [asyncio.create_task(context.standings.catch_up()) for _ in range(3)]
    waiting = await asyncio.wait_for(find_waiting_backend(owner), 30)
    await connection.execute("SELECT pg_terminate_backend($1)", waiting)
    await transaction.rollback()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(error, ListUnavailable) for error in errors)
    assert len(set(map(id, errors))) == 3
    await write(context, connection, "ann@example.com")
    await context.standings.catch_up()
    assert await is_known(context, "ann@example.com")


async def test_tables_that_are_not_there_yet_are_a_list_that_is_away(context, connection, owner):
    await context.standings.start()
    await context.standings.catch_up()
    await owner.execute("ALTER TABLE entries RENAME TO entries_to_come")
    with pytest.raises(ListUnavailable):
        await context.standings.catch_up()
    await owner.execute("ALTER TABLE entries_to_come RENAME TO entries")
    moved = context.standings.moved
    await write(context, connection, "ann@example.com")
    await asyncio.wait_for(moved.wait(), 30)


async def test_changes_of_many_pages_are_of_one_moment(context, connection, monkeypatch):
    """Pages of several moments would show an address without the entry that has moved from one key to another."""
    await context.standings.catch_up()
    await write(context, connection, *(f"person{number}@example.com" for number in range(25)))
    (domain,) = await write(context, connection, "@closed.example", reason="manual")
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    read_changes, pages = feed_store.read_changes, 0

    async def read_and_move(*arguments, **options):
        nonlocal pages
        page = await read_changes(*arguments, **options)
        pages += 1
        if pages == 2:
            await write(context, connection, "ann@closed.example", reason="manual")
            await lift(connection, domain.entry_id)
        return page

    monkeypatch.setattr(feed_store, "read_changes", read_and_move)
    question = Question(Purpose.MARKETING, "*")
    for _ in range(3):
        checked = await check(context, ["ann@closed.example", "bob@example.com"], question)
        assert [verdict.reason for verdict in checked.verdicts] == ["manual", None]
    assert pages > 4
    await assert_equal_to_list(context, connection)


async def test_what_an_interrupted_catch_up_has_read_decides_nothing(context, connection, monkeypatch):
    await context.standings.catch_up()
    people = [f"person{number}@example.com" for number in range(25)]
    await write(context, connection, *people)
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    read_changes, pages = feed_store.read_changes, 0

    async def break_off(*arguments, **options):
        nonlocal pages
        pages += 1
        if pages == 3:
            raise ListUnavailable
        return await read_changes(*arguments, **options)

    engine = context.standings.engine
    keys = Keys.of(context.keyring.fingerprints.email.make_keys(list(map(parse_address, people))))
    with monkeypatch.context() as broken:
        broken.setattr(feed_store, "read_changes", break_off)
        with pytest.raises(ListUnavailable):
            await context.standings.catch_up()
        decided = engine.decide(keys, Purpose.MARKETING, "*", BUILT_IN)
        assert len(decided.unsure) == 10
        assert sorted(set(decided.codes.tolist())) == [DELIVER_CODE, UNSURE_CODE]
    await assert_equal_to_list(context, connection)


async def find_waiting_backend(owner) -> int:
    """The backend that waits for a lock of ours."""
    waiting = None
    while waiting is None:
        await owner.execute("SELECT pg_stat_clear_snapshot()")
        waiting = await owner.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
    return waiting


async def find_backends(connection) -> list[int]:
    rows = await connection.fetch(
        """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'forbear' AND query LIKE '%unseen_spans%'
        """
    )
    return [row["pid"] for row in rows]


async def test_a_connection_that_ended_between_two_questions_is_replaced(context, connection):
    await context.standings.catch_up()
    (pid,) = await find_backends(connection)
    await connection.execute("SELECT pg_terminate_backend($1)", pid)
    _, held = context.standings._kept._held
    await wait_for(lambda: kept._is_lost(held), "the loss to be noticed")
    await context.standings.catch_up()


async def test_an_idle_process_follows(context, connection):
    await context.standings.start()
    moved = context.standings.moved
    await write(context, connection, "ann@example.com")
    await asyncio.wait_for(moved.wait(), 30)
    assert await is_known(context, "ann@example.com")


async def test_a_list_without_a_file_comes_as_changes(context, connection):
    await fill(context, connection)
    await assert_equal_to_list(context, connection)
    assert context.standings.copy.path is None


async def test_a_large_list_without_a_file_is_not_read(context, connection, monkeypatch):
    monkeypatch.setattr(standings, "ENTRIES_WITHOUT_FILE_MAX", 50)
    await fill(context, connection)
    assert isinstance(await context.standings.catch_up(), datetime)
    assert context.standings.engine is None
    assert is_build_due(context.standings.copy, datetime.now(UTC))
    await keep(context, is_builder=False)
    await context.standings.take_newer_file()
    assert context.standings.copy.path is not None
    await assert_equal_to_list(context, connection)


# Far behind


async def assert_decides(context):
    """The entry written last counts, with an engine and without."""
    checked = await check(context, ["late@example.com", "nobody@example.com"], Question(Purpose.MARKETING, "*"))
    assert [verdict.reason for verdict in checked.verdicts] == ["unsubscribe", None]


async def test_a_file_that_lacks_too_much_is_not_followed_but_built_anew(context, other, connection, monkeypatch):
    monkeypatch.setattr(list_copy, "FOLLOWED_MIN", 20)
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    monkeypatch.setattr(standings, "ENTRIES_WITHOUT_FILE_MAX", 10)
    await build_index(context.database, context.standings.folder)
    await fill(context, connection)
    await write(context, connection, "late@example.com")
    for opened in (context, other):
        await opened.standings.take_newer_file()
        await opened.standings.catch_up()
        assert opened.standings.engine is None
        await assert_decides(opened)
    await keep(context)
    await other.standings.start()
    await wait_for(lambda: other.standings.engine, "the other to take the new file")
    await context.standings.take_newer_file()
    for opened in (context, other):
        assert opened.standings.copy.path.name == "list-000000000002.index"
        await assert_decides(opened)
        await assert_equal_to_list(opened, connection)


async def test_a_command_follows_a_file_as_far_as_is_worth_it(context, connection, monkeypatch):
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    monkeypatch.setattr(standings, "CHANGES_AT_ONCE_MAX", 5)
    path = await build_index(context.database, context.standings.folder)
    await fill(context, connection)
    await assert_equal_to_list(context, connection)
    assert context.standings.copy.path == path


@pytest.mark.parametrize("has_file", [True, False])
async def test_nobody_waits_for_a_copy_that_falls_far_behind(context, connection, monkeypatch, has_file):
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    monkeypatch.setattr(standings, "POLL_SECONDS", 3600)
    if has_file:
        await build_index(context.database, context.standings.folder)
    await context.standings.start()
    copy = context.standings.copy
    assert (copy.path is not None) is has_file
    await write(context, connection, *(f"person{number}@example.com" for number in range(40)))
    await write(context, connection, "late@example.com")
    with monkeypatch.context() as tight:
        tight.setattr(standings, "CHANGES_AT_ONCE_MAX", 20)
        await context.standings.catch_up()
        assert context.standings.engine is None
        assert context.standings.nearest_copy is copy
        assert not is_build_due(copy, datetime.now(UTC))
        await assert_decides(context)
    await context.standings.take_newer_file()
    assert context.standings.copy is copy
    await assert_decides(context)
    await assert_equal_to_list(context, connection)


async def test_a_newer_file_that_is_far_behind_at_once_leaves_the_older_copy_in_use(context, connection, monkeypatch):
    """Between its reading and its taking over much may have changed; the copy in use has followed all of it."""
    monkeypatch.setattr(list_copy, "PAGE_ROWS", 10)
    monkeypatch.setattr(standings, "CHANGES_AT_ONCE_MAX", 20)
    monkeypatch.setattr(standings, "POLL_SECONDS", 3600)
    await context.standings.start()
    before = context.standings.copy
    await build_index(context.database, context.standings.folder)
    context.standings._next_copy = await context.standings._open(connection)
    for number in range(30):
        await write(context, connection, f"person{number}@example.com")
        await before.catch_up(connection, await feed_store.ask_barrier(connection, before.position), 10)
    await write(context, connection, "late@example.com")
    await context.standings.catch_up()
    assert context.standings.copy is before
    await assert_decides(context)
    await context.standings.take_newer_file()
    assert context.standings.copy.path is not None
    await assert_equal_to_list(context, connection)


async def test_whoever_begins_to_serve_does_not_wait_for_a_file_for_long(context, connection, monkeypatch):
    monkeypatch.setattr(standings, "OPEN_SECONDS_MAX", 0.01)
    await build_index(context.database, context.standings.folder)
    await write(context, connection, "late@example.com")
    open_newest, may_go_on = index_folder.IndexFolder.open_newest, threading.Event()

    def open_slowly(*arguments, **options):
        assert may_go_on.wait(60)
        return open_newest(*arguments, **options)

    monkeypatch.setattr(index_folder.IndexFolder, "open_newest", open_slowly)
    with capture_logs() as logs:
        await context.standings.start()
        assert context.standings.engine is None
        await assert_decides(context)
        may_go_on.set()
        await wait_for(lambda: context.standings.engine, "the file to be opened")
        await wait_for(lambda: len(logs) == 2, "it to be said")
    assert [line["event"] for line in logs] == ["engine_missing", "engine_ready"]
    await assert_decides(context)


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


# Files


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
async def test_a_file_that_is_damaged_or_foreign_is_never_used(context, other, connection, damage, capsys):
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
    await assert_equal_to_list(other, connection)
    assert other.standings.copy.path is None
    assert "index_refused" in capsys.readouterr().out
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


def test_files_are_named_by_generation(tmp_path, context):
    folder = index_folder.IndexFolder(tmp_path, context.keyring)
    assert folder.begin().name == "list-000000000001.index"
    for name in ("list-000000000009.index", "list-10.index", "list-x.index", "other.index"):
        (tmp_path / name).touch()
    assert folder.begin().name == "list-000000000011.index"


# When


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
