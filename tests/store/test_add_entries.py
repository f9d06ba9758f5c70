"""What asserting an entry does to the list, alone and beside others."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from forbear.domain.address import parse_intake
from forbear.domain.errors import Busy
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import decision, suppression
from forbear.services.decision import Question
from forbear.services.suppression import Assertion, assert_entries, erase, fingerprint_keys, make_draft
from forbear.store import suppression as suppression_store

ADDRESS = "ann@gmail.com"
LONG_AGO = datetime(2020, 5, 1, tzinfo=UTC)
U, C = Reason.UNSUBSCRIBE, Reason.COMPLAINT


def say(address=ADDRESS, reason=U, scope="*", source=Source.API, **more) -> Assertion:
    return Assertion(parse_intake(address), reason, scope, source, **more)


async def add(context, *assertions: Assertion, actor="test"):
    """Assert in one statement, as the store does it."""
    async with context.database.connection() as connection:
        drafts = [make_draft(context, assertion) for assertion in assertions]
        return await suppression_store.add_entries(connection, drafts, actor=actor)


async def add_grant(context, scope="*", address=ADDRESS):
    key = fingerprint_keys(context, parse_intake(address)).match
    async with context.database.connection() as connection:
        await suppression_store.add_grant(connection, key, Channel.EMAIL, scope, Source.PREFERENCES, "test")


async def lift(context, entry_id):
    await suppression.lift(context, entry_id, actor="test", why="a test")


async def undo(context, *written):
    async with context.database.transaction() as connection:
        undone = await suppression_store.undo_events(connection, [line.event_id for line in written], actor="test")
    return len(undone)


async def fetch(context, sql, *arguments):
    async with context.database.connection() as connection:
        return [dict(row) for row in await connection.fetch(sql, *arguments)]


async def read_entry(context) -> dict:
    (row,) = await fetch(context, "SELECT *, source::text, reason::text FROM entries WHERE reason <> 'erased'")
    return row


async def read_actions(context) -> list[str]:
    return [row["action"] for row in await fetch(context, "SELECT action::text FROM events ORDER BY id")]


async def count(context, table) -> int:
    return (await fetch(context, f"SELECT count(*) AS count FROM {table}"))[0]["count"]  # noqa: S608 - a table's name


async def is_refused(context, scope="*", address=ADDRESS) -> bool:
    checked = await decision.check(context, [address], Question("marketing", scope))
    return checked.verdicts[0].outcome == "suppress"


async def test_the_first_assertion_adds(context):
    (written,) = await add(context, say(evidence={"form": 7}))
    assert (written.place, written.is_new) == (0, True)
    entry = await read_entry(context)
    assert (entry["id"], entry["lifted_at"]) == (written.entry_id, None)
    assert (entry["reason"], entry["source"], entry["since"]) == ("unsubscribe", "api", entry["asserted_at"])
    assert await read_actions(context) == ["asserted"]
    assert (await count(context, "evidence"), await count(context, "addresses")) == (1, 1)


async def test_the_second_changes_nothing_but_the_history(context):
    await add(context, say())
    before = await read_entry(context)
    (written,) = await add(context, say(source=Source.PAGE, since=LONG_AGO, evidence={"form": 7}))
    assert not written.is_new
    assert await read_entry(context) == before
    assert await read_actions(context) == ["asserted", "already"]
    assert await count(context, "evidence") == 1


async def test_what_was_lifted_is_revived(context):
    (first,) = await add(context, say(since=LONG_AGO))
    await lift(context, first.entry_id)
    assert not await is_refused(context)
    (again,) = await add(context, say(source=Source.PAGE))
    assert (again.entry_id, again.is_new) == (first.entry_id, True)
    entry = await read_entry(context)
    assert (entry["lifted_at"], entry["source"]) == (None, "page")
    assert entry["since"] > LONG_AGO
    assert await is_refused(context)


async def test_what_a_grant_overrode_is_renewed(context):
    await add(context, say())
    await add_grant(context)
    assert not await is_refused(context)
    before = await read_entry(context)
    (written,) = await add(context, say())
    entry = await read_entry(context)
    assert entry["asserted_at"] > before["asserted_at"]
    assert entry["since"] == before["since"]
    assert entry["changed_xid"] > before["changed_xid"]
    assert await is_refused(context)
    assert not written.is_new


async def test_what_is_said_again_about_a_mailbox_or_a_domain_overrides_the_grants_of_every_spelling(context):
    mine, other = "ann@gmail.com", "a.n.n+x@gmail.com"
    for words in (say(mine, Reason.OBJECTION), say("@gmail.com", Reason.OBJECTION)):
        await add(context, words)
        await add_grant(context, address=other)
        assert not await is_refused(context, address=other)
        (written,) = await add(context, words)
        assert await is_refused(context, address=other)
        assert not written.is_new
        before = await fetch(context, "SELECT * FROM entries ORDER BY id")
        await add(context, words)
        assert await fetch(context, "SELECT * FROM entries ORDER BY id") == before, "nothing is renewed in vain"


async def test_what_was_said_before_the_grant_does_not_override_it(context):
    await add(context, say())
    await add_grant(context)
    await add(context, say(since=LONG_AGO))
    assert not await is_refused(context)


async def test_what_is_said_now_is_later_than_a_grant_of_a_clock_that_was_ahead(context):
    await add_grant(context)
    await fetch(context, "UPDATE grants SET granted_at = now() + interval '1 hour'")
    await add(context, say())
    assert await is_refused(context)


async def test_a_standing_entry_is_widened_and_never_narrowed(context):
    await add(context, say())
    assert not await is_refused(context, address="a.n.n+x@gmail.com")
    (written,) = await add(context, say(source=Source.PHONE))
    assert not written.is_new
    assert await is_refused(context, address="a.n.n+x@gmail.com")
    wide = await read_entry(context)
    await add(context, say())
    assert (await read_entry(context))["wide_fingerprint"] == wide["wide_fingerprint"] is not None


async def test_repeats_inside_one_call_are_folded(context):
    written = await add(context, say(), say(), say(source=Source.LETTER, since=LONG_AGO), say(scope="maison"))
    assert [line.is_new for line in written] == [True, False, False, True]
    assert len({line.entry_id for line in written[:3]}) == 1
    rows = await fetch(context, "SELECT * FROM entries WHERE scope = '*'")
    assert rows[0]["since"] == LONG_AGO
    assert rows[0]["asserted_at"] > LONG_AGO
    assert await is_refused(context, address="a.n.n@gmail.com"), "the letter's width is lost"


async def test_a_time_to_come_is_now(context):
    await add(context, say(since=datetime.now(UTC) + timedelta(days=365)))
    entry = await read_entry(context)
    assert entry["since"] <= datetime.now(UTC)
    assert entry["asserted_at"] <= datetime.now(UTC)


async def test_p6_where_an_erased_entry_stands_only_the_fingerprint_is_kept(context):
    await add(context, say(evidence={"form": 7}))
    done = await erase(context, parse_intake(ADDRESS), actor="test")
    assert done.is_new
    await add(context, say(reason=Reason.MANUAL, evidence={"ticket": 7}))
    assert (await count(context, "evidence"), await count(context, "addresses")) == (0, 0)
    assert len(await read_actions(context)) == 3
    # Erased again is erased still.
    assert not (await erase(context, parse_intake(ADDRESS), actor="test")).is_new


async def test_p6_what_was_written_beside_an_erasure_is_swept(context):
    from forbear.services.retention import delete_expired  # noqa: PLC0415 - beside its one use

    (written,) = await add(context, say(evidence={"form": 7}))
    other, _ = await add(context, say("bob@example.com", evidence={"form": 8}), say("cy@example.com"))
    # As if the erasure had not yet been visible to them.
    await fetch(
        context,
        "INSERT INTO entries (fingerprint, kind, channel, scope, reason, source, canon_version, since, asserted_at) "
        "SELECT fingerprint, kind, channel, scope, 'erased', 'erasure', 1, now(), now() FROM entries WHERE id = $1",
        written.entry_id,
    )
    await lift(context, written.entry_id)
    deleted = await delete_expired(context)
    assert (deleted.evidence, deleted.addresses) == (1, 1)
    left = await fetch(context, "SELECT event_id FROM evidence ORDER BY event_id")
    assert [row["event_id"] for row in left][:1] == [other.event_id]
    assert len(left) == 2, "why it was lifted stays"


# Undo


async def test_an_undo_takes_back_what_was_added(context):
    written = await add(context, say())
    assert await undo(context, *written) == 1
    assert not await is_refused(context)
    assert await read_actions(context) == ["asserted", "undone"]


async def test_an_undo_works_once(context):
    written = await add(context, say())
    await undo(context, *written)
    assert await undo(context, *written) == 0


async def test_only_the_last_assertion_may_be_undone(context):
    written = await add(context, say())
    await add(context, say())
    assert await undo(context, *written) == 0
    assert await is_refused(context)


async def test_no_undo_takes_back_a_repetition(context):
    await add(context, say())
    assert await undo(context, *await add(context, say())) == 0
    assert await is_refused(context)


async def test_p5_an_undo_of_what_renewed_an_opt_out_leaves_the_opt_out(context):
    await add(context, say(reason=Reason.OBJECTION))
    await add_grant(context, "maison/newsletter")
    assert not await is_refused(context, "maison/newsletter")
    renewed = await add(context, say(reason=Reason.OBJECTION))
    await undo(context, *renewed)
    assert await is_refused(context), "everything is let through that was never granted"


async def test_p5_an_undo_of_what_widened_an_opt_out_leaves_the_opt_out(context):
    await add(context, say())
    widened = await add(context, say(source=Source.PHONE))
    await undo(context, *widened)
    assert await is_refused(context)


async def test_an_undo_takes_back_a_revival(context):
    (first,) = await add(context, say())
    await lift(context, first.entry_id)
    assert await undo(context, *await add(context, say())) == 1
    assert not await is_refused(context)


# Beside others


@pytest.mark.parametrize("seed", range(3))
async def test_many_at_once_in_any_order_neither_deadlock_nor_lose(context, seed):
    chance = random.Random(seed)  # noqa: S311 - the same order again
    everybody = [
        say(f"person{number}@gmail.com", reason, scope)
        for number in range(12)
        for reason in (U, C)
        for scope in ("*", "maison")
    ]

    async def act(number: int):
        mine = chance.sample(everybody, 30)
        return mine, await assert_entries(context, mine, actor=f"task{number}")

    done = await asyncio.wait_for(asyncio.gather(*(act(number) for number in range(24))), 60)
    entries = await fetch(context, "SELECT id FROM entries")
    assert len(entries) == len({(item.target, item.reason, item.scope) for mine, _ in done for item in mine})
    # Each entry was new to one of them, each assertion has its event, and the same words got the same entry.
    assert sum(line.is_new for _, written in done for line in written) == len(entries)
    assert await count(context, "events") == 24 * 30
    by_key = {}
    for mine, written in done:
        for item, line in zip(mine, written, strict=True):
            assert by_key.setdefault((item.target, item.reason, item.scope), line.entry_id) == line.entry_id


async def test_p1_undone_and_said_at_once_is_said(context):
    for _ in range(20):
        (written,) = await add(context, say())
        undone, _ = await asyncio.gather(undo(context, written), assert_entries(context, [say()], actor="test"))
        assert await is_refused(context), f"lost beside an undo of {undone}"
        await lift(context, written.entry_id)


async def test_p1_lifted_and_said_at_once_is_refused_if_it_was_said_last(context):
    for _ in range(20):
        (written,) = await add(context, say())
        await asyncio.gather(lift(context, written.entry_id), assert_entries(context, [say()], actor="test"))
        actions = await read_actions(context)
        last = [action for action in actions if action != "granted"][-1]
        assert await is_refused(context) == (last != "lifted")
        if last == "lifted":
            continue
        await lift(context, written.entry_id)


async def test_p6_erased_and_said_at_once_leaves_no_address_once_swept(context):
    from forbear.services.retention import delete_expired  # noqa: PLC0415 - beside its one use

    words = [assert_entries(context, [say(evidence={"form": n}, scope="maison")], actor="test") for n in range(6)]
    await asyncio.gather(erase(context, parse_intake(ADDRESS), actor="test"), *words)
    await delete_expired(context)
    assert (await count(context, "evidence"), await count(context, "addresses")) == (0, 0)
    assert await is_refused(context)


async def test_a_grant_says_nothing_about_another_address(context):
    await add(context, say())
    await add_grant(context, address="bob@gmail.com")
    assert await is_refused(context)


async def test_an_entry_that_somebody_has_locked_holds_up_nobody_elses_click(context):
    (known,) = await assert_entries(context, [say("locked@example.com")], actor="test")
    async with context.database.transaction() as connection:
        await connection.execute("SELECT FROM entries WHERE id = $1 FOR UPDATE", known.entry_id)
        late = asyncio.create_task(assert_entries(context, [say("locked@example.com")], actor="test"))
        others = [assert_entries(context, [say(f"person{number}@example.com")], actor="test") for number in range(20)]
        assert all(line.is_new for (line,) in await asyncio.gather(*others))
        assert not late.done()
    (line,) = await late
    assert (line.entry_id, line.is_new) == (known.entry_id, False)


async def test_of_two_writers_in_each_others_way_one_is_told_to_try_again(context):
    entries = await assert_entries(context, [say("one@example.com"), say("two@example.com")], actor="test")
    have_locked = asyncio.Barrier(2)

    async def lock_both(first, second):
        async with context.database.transaction() as connection:
            await connection.execute("SELECT FROM entries WHERE id = $1 FOR UPDATE", first.entry_id)
            await have_locked.wait()
            await connection.execute("SELECT FROM entries WHERE id = $1 FOR UPDATE", second.entry_id)

    ended = await asyncio.gather(lock_both(*entries), lock_both(*reversed(entries)), return_exceptions=True)
    assert sorted(type(error) for error in ended if error) == [Busy]
