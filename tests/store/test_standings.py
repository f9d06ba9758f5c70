"""The read barrier, and the copy behind it."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from forbear.domain.address import parse_address
from forbear.domain.errors import ListUnavailable
from forbear.domain.suppression import BUILT_IN, Purpose
from forbear.index.addresses import Keys
from forbear.index.rules import DELIVER_CODE, UNSURE_CODE
from forbear.services import index_folder, list_copy, standings
from forbear.services.decision import Question, check
from forbear.services.index_build import build_index
from forbear.services.index_keeper import is_build_due
from forbear.store import feed as feed_store
from forbear.store import kept
from tests.copies import assert_equal_to_list, fill, is_known, keep
from tests.followers import lift, write
from tests.processes import wait_for


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
