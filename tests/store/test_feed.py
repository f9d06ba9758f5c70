"""Followers miss nothing, whatever order transactions end in, and pay little for asking."""

import asyncio
import itertools
import json
import random

import asyncpg
import pytest

from forbear.domain.suppression import Entry, Grant, Reason
from forbear.local.credentials import SUPERUSER
from forbear.store import feed as feed_store
from forbear.store.feed import NOTHING_SEEN, Place, Position
from forbear.store.queries import load_queries
from tests.followers import Follower, grant, key_of, lift, open_writers, read_standing, write

UNSUBSCRIBED = (Entry(Reason.UNSUBSCRIBE, "*"),)


def test_a_position_is_written_as_postgresql_writes_snapshots():
    for text in ("7:7:", "5:9:5,8"):
        assert str(Position.parse(text)) == text


def test_a_cap_lies_behind_the_highest_transaction_applied():
    snapshot = Position(100, (50, 60, 90))
    assert snapshot.cap(80) == Position(81, (50, 60))
    assert snapshot.cap(500) == snapshot
    assert snapshot.cap(-1) == Position(0)


def test_a_short_position_sees_less_and_never_more():
    assert Position(100, (50, 60)).shorten(2) == Position(100, (50, 60))
    assert Position(100, (50, 60)).shorten(1) == Position(50)


async def test_a_new_follower_learns_all_that_stands(context, connection):
    await write(context, connection, "ann@gmail.com", reason="complaint", scope="maison")
    await write(context, connection, "ann@gmail.com", "@example.com")
    await grant(context, connection, "ann@gmail.com", "maison/newsletter")
    lifted, _ = await write(context, connection, "bob@example.com", "cid@example.com")
    await lift(connection, lifted.entry_id)
    follower = Follower()
    assert await follower.catch_up(connection)
    assert follower.standing == await read_standing(connection)
    assert len(follower.standing) == 4
    assert not await follower.catch_up(connection)


async def test_a_follower_learns_of_every_kind_of_change(context, connection):
    follower = Follower()
    key = key_of(context, "ann@example.com")
    (entry,) = await write(context, connection, "ann@example.com")
    expected = [UNSUBSCRIBED, (), UNSUBSCRIBED, (*UNSUBSCRIBED, Grant("maison")), (Grant("maison"),)]
    steps = [
        None,
        lift(connection, entry.entry_id),
        write(context, connection, "ann@example.com"),
        grant(context, connection, "ann@example.com", "maison"),
        lift(connection, entry.entry_id),
    ]
    for step, rules in zip(steps, expected, strict=True):
        if step:
            await step
        assert await follower.catch_up(connection)
        assert follower.rules[key] == rules
        assert not await follower.catch_up(connection)


async def test_whoever_commits_late_is_not_missed(context, settings, connection):
    follower = Follower()
    async with open_writers(settings, 2) as (early, late):
        began_first = early.transaction()
        await began_first.start()
        await write(context, early, "first@example.com")
        began_later = late.transaction()
        await began_later.start()
        await write(context, late, "second@example.com")
        assert not await follower.catch_up(connection)
        await began_later.commit()
        assert await follower.catch_up(connection)
        assert key_of(context, "second@example.com") in follower.rules
        assert key_of(context, "first@example.com") not in follower.rules
        await write(context, late, "third@example.com")
        assert await follower.catch_up(connection)
        await began_first.commit()
        assert await follower.catch_up(connection)
    assert follower.standing == await read_standing(connection)


async def test_a_row_that_an_older_transaction_changed_last_is_not_missed(context, settings, connection):
    follower = Follower()
    async with open_writers(settings, 2) as (older, newer):
        transaction = older.transaction()
        await transaction.start()
        await write(context, older, "other@example.com")
        (entry,) = await write(context, newer, "ann@example.com")
        await follower.catch_up(connection)
        await lift(older, entry.entry_id)
        await transaction.commit()
        assert await follower.catch_up(connection)
    assert follower.rules[key_of(context, "ann@example.com")] == ()
    assert follower.standing == await read_standing(connection)


async def test_what_was_rolled_back_is_no_news(context, connection):
    follower = Follower()
    await write(context, connection, "ann@example.com")
    await follower.catch_up(connection)
    for _ in range(20):
        transaction = connection.transaction()
        await transaction.start()
        await write(context, connection, "bob@example.com")
        await transaction.rollback()
    assert not await follower.catch_up(connection)
    assert follower.standing == await read_standing(connection)


async def test_any_order_of_commits_reaches_every_follower(context, settings, connection):
    choose = random.Random(8)  # noqa: S311 - the same every time
    addresses = [f"person{number}@example.com" for number in range(12)]
    followers = [Follower(page_rows=rows) for rows in (1, 2, 1000)]
    async with open_writers(settings, 4) as writers:
        under_way = {}
        for _ in range(400):
            writer = choose.choice(writers)
            if writer in under_way:
                await getattr(under_way.pop(writer), choose.choice(["commit", "commit", "rollback"]))()
            else:
                under_way[writer] = writer.transaction()
                await under_way[writer].start()
                # Each writer has addresses of its own, so that none waits for another's lock.
                own = addresses[writers.index(writer) :: len(writers)]
                for address in choose.sample(own, 2):
                    await change(context, writer, address, choose)
            for follower in choose.sample(followers, 1):
                await follower.catch_up(connection)
        for transaction in under_way.values():
            await transaction.commit()
    for follower in followers:
        await follower.catch_up(connection)
        assert follower.standing == await read_standing(connection)


async def change(context, writer, address, choose):
    key = key_of(context, address)
    standing = await writer.fetch("SELECT id FROM entries WHERE fingerprint = $1 AND lifted_at IS NULL", key)
    match choose.randrange(3):
        case 0 if standing:
            await lift(writer, choose.choice(standing)["id"])
        case 1:
            await grant(context, writer, address, choose.choice(["*", "maison"]))
        case _:
            await write(context, writer, address, reason=choose.choice(["unsubscribe", "complaint"]))


async def test_pages_end_though_others_write_all_the_time(context, settings, connection):
    await write(context, connection, *(f"person{number}@example.com" for number in range(50)))
    follower = Follower(page_rows=5)
    stopped = asyncio.Event()

    async def keep_writing(writer):
        number = 0
        while not stopped.is_set():
            number += 1
            await write(context, writer, *(f"new{number}-{row}@example.com" for row in range(10)))

    async with open_writers(settings, 1) as (writer,):
        writing = asyncio.create_task(keep_writing(writer))
        await follower.catch_up(connection)
        stopped.set()
        await writing
    assert follower.pages < 30
    await follower.catch_up(connection)
    assert follower.standing == await read_standing(connection)


async def test_a_standby_is_told_from_a_primary(connection):
    identity = await feed_store.read_identity(connection)
    assert identity.timeline == 1
    assert identity.system_identifier > 0
    assert identity.storage.count("/") == 4


# A large list


ROWS = 200_000
_numbers = itertools.count(1)
_INSERT = """
    INSERT INTO entries (fingerprint, kind, channel, scope, reason, source, canon_version, since, asserted_at)
    SELECT substr(sha256(n::text::bytea), 1, 16), 'match', 'email', '*', 'manual', 'import', 1, now(), now()
    FROM generate_series({first}, {last}) AS n
"""


@pytest.fixture(scope="module")
async def large_list(template, tmp_path_factory):
    """A list of some hundred thousand entries, written by many transactions."""
    from tests.conftest import make_list  # noqa: PLC0415 - beside its one use

    async with make_list(template, tmp_path_factory.mktemp("large_feed")) as settings:
        async with open_writers(settings, 1) as (writer,):
            for first in range(0, ROWS, 2000):
                await writer.execute(_INSERT.format(first=first, last=first + 1999))
        async with open_writers(settings.model_copy(update={"database_url": settings.migrate_url}), 1) as (owner,):
            await owner.execute("VACUUM ANALYZE entries")
        yield settings


@pytest.fixture
async def large(large_list):
    async with open_writers(large_list, 1) as (opened,):
        await opened.execute("SET plan_cache_mode = force_generic_plan")
        yield opened


async def explain(connection, name, *arguments) -> tuple[set[str], int]:
    """The tables that a statement reads from end to end, and the pages it touches."""
    prepared = f"asked_{next(_numbers)}"
    statement = load_queries("feed")[name]
    types = [parameter.name for parameter in (await connection.prepare(statement)).get_parameters()]
    await connection.execute(f"PREPARE {prepared} ({', '.join(types)}) AS {statement}")
    values = ", ".join(map(quote, arguments))
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {prepared} ({values})")
    plan = json.loads(text)[0]["Plan"]
    return set(list_scans(plan)), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def quote(value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, tuple):
        return "'{" + ",".join(map(str, value)) + "}'"
    return f"'{value}'"


def list_scans(plan):
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in {"entries", "grants"}:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from list_scans(part)


async def test_hundreds_of_thousands_of_changes_come_in_pages(large):
    follower = Follower(page_rows=10_000)
    await follower.catch_up(large)
    assert follower.pages == ROWS // 10_000 + 1
    assert len(follower.standing) == ROWS
    assert not await follower.catch_up(large)


async def find_position(connection) -> Position:
    """Where a follower stands that has seen everything."""
    highest = await connection.fetchval("SELECT max(changed_xid) FROM entries")
    return (await feed_store.ask_barrier(connection, NOTHING_SEEN)).snapshot.cap(highest)


async def test_asking_costs_index_look_ups_only(large):
    position = await find_position(large)
    assert not (await feed_store.ask_barrier(large, position)).is_behind
    scans, pages = await explain(large, "ask_barrier", position.xmax, position.xips)
    assert scans == set()
    assert pages < 40
    for behind in (position.xmax - 1, position.xmax - 50, 0):
        scans, pages = await explain(large, "ask_barrier", behind, ())
        assert scans == set()
        assert pages < 40


async def test_reading_changes_costs_what_they_are(large):
    position = await find_position(large)
    for behind in (position.xmax, position.xmax - 1, 0):
        scans, pages = await explain(large, "read_changes", behind, (), None, *Place(), *Place(), 10)
        assert scans == set()
        assert pages < 400


async def test_a_foreign_transaction_that_stays_open_costs_one_look_up(context, cluster, large_list, large):
    """Of another database, with an id: nothing of ours may be read again and again until it ends."""
    foreign = await asyncpg.connect(cluster.url(SUPERUSER, "postgres"))
    async with foreign.transaction():
        xid = await foreign.fetchval("SELECT pg_current_xact_id()")
        async with open_writers(large_list, 1) as (writer,):
            for number in range(200):
                await write(context, writer, f"meanwhile{number}@example.com")
        position = await find_position(large)
        assert position.xips == (xid,)
        assert not (await feed_store.ask_barrier(large, position)).is_behind
        scans, pages = await explain(large, "ask_barrier", position.xmax, position.xips)
        assert scans == set()
        assert pages < 40
    assert not (await feed_store.ask_barrier(large, position)).is_behind
    await foreign.close()


async def test_rows_that_are_not_committed_yet_cost_nothing(large_list, large):
    position = await find_position(large)
    async with open_writers(large_list, 1) as (writer,):
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute(_INSERT.format(first=ROWS, last=ROWS + 19_999))
        assert not (await feed_store.ask_barrier(large, position)).is_behind
        scans, pages = await explain(large, "ask_barrier", position.xmax, position.xips)
        assert scans == set()
        assert pages < 40
        await transaction.rollback()
    # The first to pass over what was rolled back marks it, so that nobody else must.
    await feed_store.ask_barrier(large, position)
    _, pages = await explain(large, "ask_barrier", position.xmax, position.xips)
    assert pages < 400
