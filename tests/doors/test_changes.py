"""GET /v1/changes: readers outside miss nothing."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from forbear import bootstrap
from forbear.web import changes
from tests.doors.callers import Client, assert_problem, fresh, open_client
from tests.followers import lift, open_writers, write


async def read(client: Client, after: str | None = None, **query) -> tuple[list[dict], str]:
    """One answer: its changes, and the cursor to go on with."""
    if after:
        query["after"] = after
    answer = await client.ask("GET", "/v1/changes", params=query)
    assert answer.status == 200, answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json["changes"], answer.json["next"]


async def read_all(client: Client, after: str | None = None, **query) -> tuple[list[dict], str]:
    """Every answer until one is empty."""
    found = []
    while True:
        page, after = await read(client, after, **query)
        if not page:
            return found, after
        found += page


async def wait_until_waiting(client: Client, count: int = 1) -> None:
    """Wait until readers wait in the server."""
    async with asyncio.timeout(30):
        while client.app[changes.WAITING].count != count:  # noqa: ASYNC110 - the server sends no word of it
            await asyncio.sleep(0.01)


async def test_without_a_cursor_the_whole_list_comes(own_client):
    ids = [await own_client.suppress(fresh(), scope="maison"), await own_client.suppress("@example.org")]
    await own_client.post(f"/v1/suppressions/{ids[1]}/lift", why="a test")
    found, after = await read(own_client)
    assert [change["id"] for change in found] == ids
    assert found[0].keys() == {"id", "address", "fingerprint", "channel", "scope", "reason", "since"}
    assert (found[0]["channel"], found[0]["scope"], found[0]["reason"]) == ("email", "maison", "unsubscribe")
    assert len(found[0]["fingerprint"]) == 32
    assert found[1]["address"] == "@example.org"
    assert found[1]["lifted_at"] > found[1]["since"]
    assert (await read(own_client, after))[0] == []


async def test_then_only_what_has_changed(own_client):
    first, second = fresh(), fresh()
    one = await own_client.suppress(first)
    two = await own_client.suppress(second)
    _, after = await read_all(own_client)
    await own_client.post(f"/v1/suppressions/{two}/lift", why="a test")
    (change,), after = await read(own_client, after)
    assert (change["id"], change["address"], "lifted_at" in change) == (two, second, True)
    await own_client.suppress(second)
    await own_client.suppress(first, reason="complaint")
    found, after = await read(own_client, after)
    assert [(change["id"], change["reason"], "lifted_at" in change) for change in found] == [
        (two, "unsubscribe", False),
        (found[1]["id"], "complaint", False),
    ]
    assert found[1]["id"] not in {one, two}
    assert (await read(own_client, after))[0] == []


async def test_pages_follow_each_other_and_stay_the_same(own_client):
    ids = [await own_client.suppress(fresh()) for _ in range(7)]
    first, after = await read(own_client, limit=3)
    second, following = await read(own_client, after, limit=3)
    assert (await read(own_client, after, limit=3))[0] == second
    third, last = await read(own_client, following, limit=3)
    assert [change["id"] for change in (*first, *second, *third)] == ids
    assert (await read(own_client, last))[0] == []


async def test_an_erased_address_is_not_named(own_client):
    address = fresh()
    await own_client.suppress(address)
    await own_client.post("/v1/erasures", address=address)
    found, _ = await read_all(own_client)
    assert {change["reason"] for change in found} == {"unsubscribe", "erased"}
    assert len({change["fingerprint"] for change in found}) == 1
    assert not any("address" in change for change in found)


async def test_a_reader_waits_for_a_change(own_client):
    _, after = await read_all(own_client)
    waiting = asyncio.create_task(read(own_client, after, wait=60))
    await wait_until_waiting(own_client)
    entry_id = await own_client.suppress(fresh())
    found, _ = await asyncio.wait_for(waiting, 30)
    assert [change["id"] for change in found] == [entry_id]


async def test_a_reader_that_waited_in_vain_goes_on_from_where_it_was(own_client):
    _, after = await read_all(own_client)
    found, after = await read(own_client, after, wait=1)
    assert found == []
    entry_id = await own_client.suppress(fresh())
    found, _ = await read(own_client, after)
    assert [change["id"] for change in found] == [entry_id]


async def test_only_so_many_may_wait(own_client, monkeypatch):
    monkeypatch.setattr(changes, "WAITING_MAX", 1)
    _, after = await read_all(own_client)
    waiting = asyncio.create_task(read(own_client, after, wait=60))
    await wait_until_waiting(own_client)
    refused = await own_client.ask("GET", "/v1/changes", params={"after": after, "wait": 1})
    assert_problem(refused, 503, "busy")
    assert (await own_client.ask("GET", "/v1/changes", params={"after": after})).status == 200
    await own_client.suppress(fresh())
    await waiting


async def test_waiting_readers_are_answered_when_the_server_ends(settings):
    async with open_client(settings) as client:
        _, after = await read_all(client)
        waiting = asyncio.create_task(read(client, after, wait=60))
        await wait_until_waiting(client)
        await client.app.shutdown()
        assert (await asyncio.wait_for(waiting, 30))[0] == []


async def test_a_change_that_commits_late_is_not_missed(own_client, settings):
    async with open_writers(settings, 2) as (late, other):
        transaction = late.transaction()
        await transaction.start()
        (written,) = await write(own_client.context, late, "late@example.com")
        await write(own_client.context, other, "other@example.com")
        found, after = await read_all(own_client)
        assert [change["address"] for change in found] == ["other@example.com"]
        await transaction.commit()
        found, _ = await read_all(own_client, after)
        assert [change["id"] for change in found] == [written.entry_id]


async def test_a_reader_that_follows_under_load_ends_with_exactly_the_list(own_client, settings):
    stopped = asyncio.Event()
    held: dict[int, dict] = {}

    async def follow() -> str:
        after = None
        while True:
            ends = stopped.is_set()
            page, after = await read(own_client, after, limit=7)
            held.update({change["id"]: change for change in page})
            if ends and not page:
                return after

    following = asyncio.create_task(follow())
    async with open_writers(settings, 4) as writers:
        await asyncio.gather(*(churn(own_client, writer, number) for number, writer in enumerate(writers)))
    stopped.set()
    after = await following
    async with open_writers(settings, 1) as (reader,):
        rows = await reader.fetch("SELECT id, lifted_at IS NULL AS stands FROM entries")
    assert len(rows) > 100
    assert {number: "lifted_at" not in change for number, change in held.items()} == {
        row["id"]: row["stands"] for row in rows
    }
    assert (await read(own_client, after))[0] == []


async def churn(client: Client, writer, number: int) -> None:
    """Suppress, revive, lift and roll back, in transactions of different lengths."""
    choose = random.Random(number)  # noqa: S311 - the same every time
    for step in range(60):
        transaction = writer.transaction()
        await transaction.start()
        for _ in range(choose.randrange(1, 4)):
            address = f"person{number}-{choose.randrange(40)}@example.com"
            (written,) = await write(client.context, writer, address)
            if choose.random() < 0.4:
                await lift(writer, written.entry_id)
        await (transaction.rollback() if step % 5 == 0 else transaction.commit())


async def test_a_cursor_of_before_a_restore_is_refused(own_client, settings):
    await own_client.suppress(fresh())
    _, after = await read_all(own_client)
    async with replaced_storage(settings):
        refused = await own_client.ask("GET", "/v1/changes", params={"after": after})
        assert_problem(refused, 503, "list_unavailable")
    refused = await own_client.ask("GET", "/v1/changes", params={"after": after})
    assert_problem(refused, 422, "invalid_input")
    found, _ = await read_all(own_client)
    assert len(found) == 1


@asynccontextmanager
async def replaced_storage(settings):
    """Make the tables anew, as a restore does; at the end of the block the list is adopted."""
    async with open_writers(settings.model_copy(update={"database_url": settings.migrate_url}), 1) as (owner,):
        await owner.execute("VACUUM FULL entries")
    yield
    await bootstrap.set_up(settings)


async def test_the_key_must_be_for_exports_and_for_all_scopes(client: Client):
    for key in (await client.with_key("check", "reasons"), await client.with_key("export", scopes=["maison"])):
        assert_problem(await key.ask("GET", "/v1/changes"), 403, "not_permitted")
    assert (await (await client.with_key("export")).ask("GET", "/v1/changes")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        {"after": "nonsense"},
        {"after": "é"},
        {"after": "A" * 80},
        {"wait": "-1"},
        {"wait": "61"},
        {"wait": "soon"},
        {"limit": "10001"},
        {"limit": "1.5"},
    ],
)
async def test_what_cannot_be_read_is_refused(client: Client, query):
    assert_problem(await client.ask("GET", "/v1/changes", params=query), 422, "invalid_input")


async def test_a_cursor_with_one_changed_character_is_refused(client: Client):
    _, after = await read(client)
    place = len(after) // 2
    broken = after[:place] + ("A" if after[place] != "A" else "B") + after[place + 1 :]
    assert_problem(await client.ask("GET", "/v1/changes", params={"after": broken}), 422, "invalid_input")
