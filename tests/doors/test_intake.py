"""/v1/intake: what comes by phone and letter is in force at once, with evidence, and nothing doubtful is."""

import itertools

import orjson
import pytest

from forbear.domain.keys import Use
from tests.commands import run_command
from tests.doors.callers import Client, assert_problem, fresh
from tests.mail_server import running_mail_server
from tests.people import deliver_all

_numbers = itertools.count(1)
CALL = {
    "channel": "phone",
    "request": "everything",
    "taken_by": "Ines, client service",
    "reference": "T-118",
    "received_on": "2026-11-20",
    "jurisdiction": "us",
}


def home(name: str, number: int = 12) -> dict:
    return {"name": name, "lines": [f"{number} rue de la Paix", "Paris"], "postcode": "75002", "country": "FR"}


def fresh_name() -> str:
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(next(_numbers)))
    return f"Rosa Vidal{letters}"


def fresh_phone() -> str:
    return f"+3361234{next(_numbers):04}"


async def put(client: Client, external_id: str, **body) -> None:
    answer = await client.ask("PUT", f"/v1/contacts/{external_id}", json=body)
    assert answer.status == 200, answer.body


async def take(client: Client, given: dict, **changes) -> dict:
    answer = await client.post("/v1/intake", **{**CALL, "given": given, **changes})
    assert answer.status == 201, answer.body
    return answer.json


async def verdicts(client: Client, *addresses, channel="email", purpose="marketing", scope="*") -> list[str]:
    body = {"purpose": purpose, "scope": scope, "channel": channel, "addresses": addresses}
    answer = await client.post("/v1/check", **body)
    assert answer.status == 200, answer.body
    return [line.get("reason", "deliver") for line in answer.json["results"]]


async def count_receipts(client: Client) -> int:
    async with client.context.database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM outbox WHERE kind = 'receipt'")


async def last_message(client: Client) -> tuple[str, str]:
    """To whom the newest message of the outbox goes, and in which language."""
    async with client.context.database.connection() as connection:
        row = await connection.fetchrow("SELECT mark, sealed FROM outbox ORDER BY id DESC LIMIT 1")
    content = orjson.loads(client.context.keyring.open(Use.MESSAGE, row["sealed"], row["mark"].bytes))
    return content["to"], content["language"]


async def test_stop_everything_covers_every_point_of_the_matched_contact(client: Client):
    one, two, phone, where = fresh(), fresh(), fresh_phone(), home(fresh_name())
    await put(client, "walk-1", email=[one, two], phone=[phone], post=[where])
    taken = await take(client, {"email": two})
    assert (taken["status"], taken["due_on"], taken["law"][:6]) == ("done", "2026-12-07", "15 USC")
    (match,) = taken["matches"]
    assert (match["contact"], match["certainty"], match["decision"]) == ("walk-1", "certain", "applied")
    assert await verdicts(client, one, two) == ["objection"] * 2
    assert await verdicts(client, phone, channel="phone") == ["objection"]
    assert await verdicts(client, where, channel="post") == ["objection"]


async def test_what_nobody_knows_is_stopped_all_the_same(client: Client):
    address, phone, where = fresh(), fresh_phone(), home(fresh_name())
    taken = await take(client, {"email": address, "phone": phone, "post": where}, channel="letter")
    assert (taken["status"], taken["matches"]) == ("done", [])
    assert await verdicts(client, address) == ["objection"]
    assert await verdicts(client, phone, channel="phone") == ["objection"]
    assert await verdicts(client, where, channel="post") == ["objection"]


async def test_ph04_a_call_about_a_number_leaves_the_mailbox_alone_where_nobody_knows_them_together(client: Client):
    address, phone = fresh(), fresh_phone()
    await take(client, {"phone": phone})
    assert await verdicts(client, phone, channel="phone") == ["objection"]
    assert await verdicts(client, address) == ["deliver"]


async def test_somebody_who_is_only_like_the_person_waits_for_a_decision(client: Client):
    name, right, wrong = fresh_name(), fresh(), fresh()
    await put(client, "like-1", name=name, email=[right], post=[home(name)])
    await put(client, "like-2", name=name, email=[wrong], post=[home(name, 14)])
    taken = await take(client, {"name": name, "post": home(name, 99)})
    assert taken["status"] == "open"
    assert {(match["contact"], match["certainty"], match.get("decision")) for match in taken["matches"]} == {
        ("like-1", "doubtful", None),
        ("like-2", "doubtful", None),
    }
    assert await verdicts(client, right, wrong) == ["deliver"] * 2
    due = (await client.ask("GET", "/v1/intake")).json["intakes"]
    assert taken["id"] in [line["id"] for line in due]
    path = f"/v1/intake/{taken['id']}/resolve"
    await client.post(path, decision="applied", contact="like-1", why="same birthday", operator="ann")
    done = await client.post(path, decision="rejected", contact="like-2", why="the neighbour", operator="ann")
    assert done.json["status"] == "done"
    assert await verdicts(client, right, wrong) == ["objection", "deliver"]
    due = (await client.ask("GET", "/v1/intake")).json["intakes"]
    assert taken["id"] not in [line["id"] for line in due]
    again = await client.post(path, decision="rejected", contact="like-1", why="I have changed my mind")
    assert_problem(again, 422, "invalid_input")
    decided = (await client.ask("GET", f"/v1/intake/{taken['id']}")).json["matches"]
    assert {match["why"] for match in decided} == {"same birthday", "the neighbour"}
    assert all(match["decided_by"].endswith(" ann") for match in decided)


async def test_a_number_that_many_share_is_for_somebody_to_decide(client: Client):
    phone, addresses = fresh_phone(), [fresh() for _ in range(6)]
    for number, address in enumerate(addresses):
        await put(client, f"share-{number}", email=[address], phone=[phone])
    taken = await take(client, {"phone": phone})
    assert {match["certainty"] for match in taken["matches"]} == {"doubtful"}
    assert await verdicts(client, *addresses) == ["deliver"] * 6
    assert await verdicts(client, phone, channel="phone") == ["objection"]


@pytest.mark.parametrize("by", ["phone", "email"])
async def test_of_those_who_share_a_point_the_one_of_the_name_is_certain(client: Client, by):
    shared = {"phone": fresh_phone(), "email": fresh()}[by]
    name, numbers = fresh_name(), [fresh_phone() for _ in range(3)]
    people = {f"{by}-rosa": name, f"{by}-hugo": "Hugo Vidal", f"{by}-anonymous": None}
    for (external_id, own), number in zip(people.items(), numbers, strict=True):
        points = {"phone": [number]} | {by: [shared, number] if by == "phone" else [shared]}
        await put(client, external_id, **points, **({"name": own} if own else {}))
    taken = await take(client, {"name": f"{name.split()[1].upper()}, Rosa", by: shared})
    assert {match["contact"].partition("-")[2]: match["certainty"] for match in taken["matches"]} == {
        "rosa": "certain",
        "hugo": "doubtful",
        "anonymous": "doubtful",
    }
    assert taken["status"] == "open"
    assert await verdicts(client, *numbers, channel="phone") == ["objection", "deliver", "deliver"]
    assert await verdicts(client, shared, channel=by) == ["objection"]


@pytest.mark.parametrize("given", ["Vidal", "Berta Unknown", ""])
async def test_a_name_that_tells_nobody_apart_leaves_all_who_share_a_point_certain(client: Client, given):
    phone, addresses = fresh_phone(), [fresh(), fresh()]
    for address, name in zip(addresses, ("Rosa Vidal", "Hugo Vidal"), strict=True):
        await put(client, address.partition("@")[0], name=name, email=[address], phone=[phone])
    await take(client, {"name": given, "phone": phone})
    assert await verdicts(client, *addresses) == ["objection"] * 2


async def test_who_has_a_point_of_their_own_stays_certain_beside_one_that_is_shared(client: Client):
    phone, own, name = fresh_phone(), fresh(), fresh_name()
    await put(client, "stay-1", name=name, phone=[phone])
    await put(client, "stay-2", name="Hugo Vidal", phone=[phone], email=[own])
    taken = await take(client, {"name": name, "phone": phone, "email": own})
    assert {match["certainty"] for match in taken["matches"]} == {"certain"}


async def test_only_what_was_asked_for_is_stopped(client: Client):
    address = fresh()
    await take(client, {"email": address}, request="scopes", scopes=["maison/newsletter"])
    assert await verdicts(client, address, scope="maison/newsletter") == ["unsubscribe"]
    assert await verdicts(client, address, scope="atelier") == ["deliver"]
    other = fresh()
    await take(client, {"email": other}, request="no_sharing", jurisdiction="us-ca")
    assert await verdicts(client, other) == ["deliver"]
    assert await verdicts(client, other, purpose="sharing") == ["no_sharing"]


async def test_a_change_is_due_until_somebody_says_that_it_is_done(client: Client):
    taken = await take(client, {"email": fresh()}, request="change", jurisdiction="eu", note="new surname")
    assert (taken["status"], taken["due_on"], taken["note"]) == ("open", "2026-12-20", "new surname")
    done = await client.post(f"/v1/intake/{taken['id']}/resolve", decision="done", why="changed in the shop")
    assert done.json["status"] == "done"


async def test_p8_the_entry_says_who_took_the_call_and_by_which_reference(client: Client):
    address = fresh()
    await take(client, {"email": address})
    told = (await client.post("/v1/explain", address=address, purpose="marketing", scope="*")).json
    (entry,) = told["entries"]
    assert entry["source"] == "phone"
    evidence = entry["history"][0]["evidence"]
    assert (evidence["reference"], evidence["taken_by"]) == ("T-118", "Ines, client service")
    assert evidence["received_on"] == "2026-11-20"


async def test_points_are_masked_unless_the_key_may_see_them(client: Client):
    address, name = fresh("camille"), fresh_name()
    await put(client, "mask-1", name=name, email=[address])
    taken = await take(client, {"email": address})
    assert taken["points"] == [{"channel": "email", "address": address}]
    agent = await client.with_key("suppress")
    shown = await agent.ask("GET", f"/v1/intake/{taken['id']}")
    assert address.encode() not in shown.body
    assert name.encode() not in shown.body
    assert shown.json["matches"][0]["points"] == [{"channel": "email", "address": "c...@example.com"}]
    assert_problem(
        await agent.post(f"/v1/intake/{taken['id']}/resolve", decision="done", why="x"), 403, "not_permitted"
    )


async def test_a_receipt_waits_for_whoever_gave_an_address(client: Client):
    before = await count_receipts(client)
    await take(client, {"phone": fresh_phone()})
    assert await count_receipts(client) == before
    await take(client, {"email": fresh()}, language="fr")
    assert await count_receipts(client) == before + 1


async def test_a_receipt_goes_to_the_one_contact_who_is_certain_where_no_address_was_given(client: Client):
    phone, first, name = fresh_phone(), fresh(), fresh_name()
    await put(client, "told-1", name=name, language="fr", email=[first, fresh()], phone=[phone])
    await take(client, {"phone": phone})
    assert await last_message(client) == (first, "fr")
    await put(client, "told-2", name="Hugo Vidal", email=[fresh()], phone=[phone])
    before = await count_receipts(client)
    await take(client, {"phone": phone})
    assert await count_receipts(client) == before
    await take(client, {"phone": phone, "name": name})
    assert await count_receipts(client) == before + 1
    assert await last_message(client) == (first, "fr")


async def test_a_receipt_goes_to_nobody_who_is_only_like_the_person(client: Client):
    name = fresh_name()
    await put(client, "untold-1", name=name, email=[fresh()])
    before = await count_receipts(client)
    await take(client, {"name": name})
    assert await count_receipts(client) == before


async def test_a_receipt_is_withheld_from_an_address_that_bounced(own_client: Client):
    phone, dead, alive = fresh_phone(), fresh(), fresh()
    await own_client.suppress(dead, "hard_bounce")
    async with running_mail_server() as server:
        for address in (dead, alive):
            await put(own_client, address.partition("@")[0], email=[address], phone=[phone])
            await take(own_client, {"phone": phone})
            await put(own_client, address.partition("@")[0], email=[address], phone=[])
        await deliver_all(own_client.context, server)
        assert [one.recipients for one in server.received] == [[alive]]


async def test_a_receipt_speaks_the_language_of_the_contact_unless_another_is_named(client: Client):
    spoken = []
    for named in ({}, {"language": "de"}):
        mail = fresh()
        await put(client, mail.partition("@")[0], email=[mail], language="ja")
        await take(client, {"email": mail}, **named)
        spoken.append((await last_message(client))[1])
    assert spoken == ["ja", "de"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"given": {}}, "invalid_input"),
        ({"given": {"email": "nobody"}}, "invalid_address"),
        ({"given": {"email": "@example.com"}}, "invalid_address"),
        ({"given": {"phone": "06 12 34 56 78"}}, "invalid_address"),
        ({"request": "scopes"}, "invalid_input"),
        ({"request": "scopes", "scopes": ["nowhere"]}, "unknown_scope"),
        ({"scopes": ["maison"]}, "invalid_input"),
        ({"received_on": "2999-01-01"}, "invalid_input"),
        ({"reference": "rosa@example.com"}, "invalid_input"),
        ({"reference": "  "}, "invalid_input"),
        ({"jurisdiction": "mars"}, "invalid_body"),
        ({"taken_by": ""}, "invalid_body"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_written(client: Client, changes, word):
    async def count() -> int:
        async with client.context.database.connection() as connection:
            return await connection.fetchval("SELECT count(*) FROM intakes")

    before = await count()
    answer = await client.post("/v1/intake", **{**CALL, "given": {"email": "rosa@example.org"}, **changes})
    assert_problem(answer, 422, word)
    assert await count() == before


async def test_requests_that_are_none_are_not_found(client: Client):
    assert_problem(await client.ask("GET", "/v1/intake/999999999"), 404, "not_found")
    assert_problem(await client.ask("GET", "/v1/intake/9999999999999999999"), 404, "not_found")
    taken = await take(client, {"email": fresh()}, request="change")
    path = f"/v1/intake/{taken['id']}/resolve"
    assert_problem(await client.post(path, decision="applied", contact="nobody", why="x"), 404, "not_found")
    assert_problem(await client.post(path, decision="applied", why="x"), 422, "invalid_input")


async def test_lists_go_on_where_a_page_ends(own_client: Client, monkeypatch):
    monkeypatch.setattr("forbear.web.intake._PAGE_ROWS", 2)
    for day in ("2026-11-20", "2026-11-18", "2026-11-19"):
        await take(own_client, {"email": fresh()}, request="change", received_on=day)
    for status, days in (("open", ["18", "19", "20"]), ("all", ["19", "18", "20"])):
        found, path = [], f"/v1/intake?status={status}"
        while path:
            answer = await own_client.ask("GET", path)
            found += [line["received_on"][-2:] for line in answer.json["intakes"]]
            path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert found == days


async def test_sec26_what_was_decided_cannot_be_changed(own_client: Client):
    await take(own_client, {"email": fresh()})
    async with own_client.context.database.pool.acquire() as connection:
        for sql in (
            "UPDATE intake_decisions SET why = ''",
            "DELETE FROM intake_decisions",
            "UPDATE intakes SET taken_by = 'x'",
        ):
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute(sql)


async def test_the_command_line_takes_shows_lists_and_resolves(settings):
    name = ("--name", "Rosa Vidal")
    words = ("intake", "add", "--channel", "letter", "--reference", "L-1", "--jurisdiction", "us")
    made = await run_command(
        settings, *words, "--request", "everything", "--received", "2026-11-20", *name, "--email", "rosa@example.org"
    )
    assert made.code == 0, made.err
    assert "request 1 (L-1): everything by letter, nothing is left to do" in made.out
    assert "r...@example.org" in made.out
    asked = await run_command(settings, *words, "--request", "change", "--received", "2026-11-20", *name)
    assert "due 2026-12-07" in asked.out
    listed = await run_command(settings, "intake", "list")
    assert [line.split()[:3] for line in listed.out.splitlines()] == [["2", "due", "2026-12-07"]]
    done = await run_command(settings, "intake", "resolve", "2", "--decision", "done", "--why", "changed")
    assert done.code == 0, done.err
    assert (await run_command(settings, "intake", "list")).out == ""
    checked = await run_command(settings, "check", "--purpose", "marketing", "rosa@example.org")
    assert "objection" in checked.out
