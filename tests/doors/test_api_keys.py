"""What an API key may do: each permission, its purposes and scopes, and what it is not told."""

import asyncio

import pytest

from forbear.domain.errors import InvalidInput, NotFound, UnknownScope
from forbear.services.api_keys import Permission, add_api_key, list_api_keys, revoke_api_key
from forbear.web import api
from tests.doors.callers import Answer, Client, assert_problem, fresh

WHY = {"why": "asked us to"}
# What each call needs; an administrator may do everything.
NEEDS = {
    "check": ("check",),
    "explain": ("reasons",),
    "search": ("reasons",),
    "suppress": ("suppress",),
    "lift": ("lift",),
    "erase": ("staff",),
    "links": ("links",),
    "scrub": ("scrub",),
    "scrub rows=refused": ("scrub", "reasons"),
    "scrub rows=all": ("scrub", "reasons"),
    "scrub links": ("scrub", "links"),
    "show scrub": ("scrub",),
}
SCRUB_PARAMETERS = {
    "scrub": {},
    "scrub rows=refused": {"rows": "refused"},
    "scrub rows=all": {"rows": "all"},
    "scrub links": {"links": "true"},
}
ABSENT = "/v1/scrubs/00000000-0000-4000-8000-000000000000"


async def call(client: Client, name: str, address: str, scope: str = "*", purpose: str = "marketing") -> Answer:
    """Make one call about an address."""
    question = {"purpose": purpose, "scope": scope}
    item = {"address": address, "reason": "unsubscribe", "scope": scope}
    if name == "show scrub":
        return await client.ask("GET", ABSENT)
    if name.startswith("scrub"):
        return await client.scrub(f"email\n{address}\n", **question, **SCRUB_PARAMETERS[name])
    path, body = {
        "check": ("check", question | {"addresses": [address]}),
        "explain": ("explain", question | {"address": address}),
        "search": ("suppressions/search", {"address": address, "scope": scope}),
        "suppress": ("suppressions", {"suppressions": [item]}),
        "lift": ("suppressions/1/lift", WHY),
        "erase": ("erasures", {"address": address}),
        "links": ("links", question | {"campaign": "spring", "addresses": [address]}),
    }[name]
    return await client.post(f"/v1/{path}", **body)


@pytest.mark.parametrize("name", NEEDS)
async def test_a_key_with_all_other_permissions_is_refused(client: Client, name):
    for needed in NEEDS[name]:
        others = set(Permission) - {needed, Permission.ADMIN}
        answer = await call(await client.with_key(*others), name, fresh())
        assert repr(needed) in assert_problem(answer, 403, "not_permitted")["detail"]


@pytest.mark.parametrize("name", NEEDS)
async def test_a_key_with_just_that_permission_is_served(client: Client, name):
    answer = await call(await client.with_key(*NEEDS[name]), name, fresh())
    assert answer.status in {200, 404}, answer.body


@pytest.mark.parametrize("name", NEEDS)
async def test_an_administrator_is_served(client: Client, name):
    answer = await call(await client.with_key("admin"), name, fresh())
    assert answer.status in {200, 404}, answer.body


@pytest.mark.parametrize("name", ["check", "explain", "links", "scrub"])
async def test_a_key_is_for_its_purposes_only(client: Client, name):
    limited = await client.with_key(*Permission, purposes=["transactional"])
    answer = await call(limited, name, fresh(), purpose="transactional")
    assert answer.status == 200
    assert "'marketing'" in assert_problem(await call(limited, name, fresh()), 403, "not_permitted")["detail"]


@pytest.mark.parametrize("name", ["check", "explain", "search", "links", "scrub"])
@pytest.mark.parametrize(
    ("own", "asked", "may"),
    [
        ("maison", "maison", True),
        ("maison", "maison/newsletter", True),
        ("maison", "*", False),
        ("maison", "atelier", False),
        ("maison/newsletter", "maison", False),
        ("maison/newsletter", "maison/newsletter", True),
        ("maison/newsletter", "maison/events", False),
    ],
)
async def test_a_key_is_for_its_scopes_only(client: Client, name, own, asked, may):
    limited = await client.with_key(*Permission, scopes=[own])
    answer = await call(limited, name, fresh(), scope=asked)
    if may:
        assert answer.status == 200, answer.body
    else:
        assert repr(asked) in assert_problem(answer, 403, "not_permitted")["detail"]


async def test_an_opt_out_beyond_a_keys_scopes_is_refused_on_its_own(client: Client):
    limited = await client.with_key("suppress", scopes=["maison"])
    mine, other = fresh(), fresh()
    items = [{"address": a, "reason": "unsubscribe", "scope": s} for a, s in ((mine, "maison"), (other, "*"))]
    answer = await limited.post("/v1/suppressions", suppressions=items)
    assert [line["status"] for line in answer.json["results"]] == ["added", "error"]
    assert await client.check(mine, other) == ["suppress:unsubscribe", "deliver"]


async def test_erasing_concerns_everything_so_it_needs_a_key_for_everything(client: Client):
    limited = await client.with_key("staff", scopes=["maison"])
    assert_problem(await call(limited, "erase", fresh()), 403, "not_permitted")


async def test_p8_one_brands_key_sees_nothing_of_another_brand(client: Client):
    address = fresh()
    for scope in ("maison", "atelier", "*", "maison/events"):
        await client.suppress(address, "manual", scope, evidence={"of": scope})
    limited = await client.with_key("reasons", scopes=["maison"])
    told = await limited.post("/v1/explain", purpose="marketing", scope="maison/newsletter", address=address)
    # What holds for everybody holds here too; the brand's other topics are its own business.
    assert {entry["scope"] for entry in told.json["entries"]} == {"maison", "*", "maison/events"}
    found = await limited.post("/v1/suppressions/search", address=address)
    assert {entry["scope"] for entry in found.json["entries"]} == {"maison", "maison/events"}
    topic = await client.with_key("reasons", scopes=["maison/events"])
    found = await topic.post("/v1/suppressions/search", address=address)
    assert {entry["scope"] for entry in found.json["entries"]} == {"maison/events"}


async def test_sec13_without_the_permission_no_reason_is_told(client: Client):
    address = fresh()
    await client.suppress(address, "complaint")
    limited = await client.with_key("check")
    assert await limited.check(address, "no address") == ["suppress", "invalid:invalid_address"]
    assert await (await client.with_key("check", "reasons")).check(address) == ["suppress:complaint"]


async def test_plain_addresses_are_shown_to_whoever_may_export_or_asked_for_that_very_one(client: Client):
    local = fresh().partition("@")[0]
    address, other = f"{local}+shop@gmail.com", f"{local}@gmail.com"
    await client.suppress(address, "objection")
    limited = await client.with_key("reasons")

    async def find(caller: Client, **wanted) -> list[str | None]:
        answer = await caller.post("/v1/suppressions/search", **wanted, limit=1)
        return [entry.get("address") for entry in answer.json["entries"]]

    assert await find(limited, address=address) == [address]
    assert await find(limited, address=other) == [None]
    assert await find(limited) == [None]
    assert await find(await client.with_key("reasons", "export")) == [address]


# 401, 403 and 404 tell nothing about what is somebody else's


async def test_sec14_somebody_elses_scrub_is_answered_as_one_that_does_not_exist(client: Client):
    owner, stranger = await client.with_key("scrub"), await client.with_key("scrub")
    done = await owner.scrub(f"email\n{fresh()}\n")
    path = f"/v1/scrubs/{done.headers['Scrub-Id']}"
    assert (await owner.ask("GET", path)).status == 200
    assert (await client.ask("GET", path)).status == 200, "an administrator sees every scrub"
    foreign, absent = await stranger.ask("GET", path), await stranger.ask("GET", ABSENT)
    assert_problem(foreign, 404, "not_found")
    assert {**foreign.json, "instance": ""} == {**absent.json, "instance": ""}
    without = await client.with_key("check")
    assert [(await without.ask("GET", p)).status for p in (path, ABSENT)] == [403, 403]
    nobody = type(client)(client.context, client.session, client.port, "forbear_wrong")
    assert [(await nobody.ask("GET", p)).status for p in (path, ABSENT)] == [401, 401]


async def test_sec14_an_entry_out_of_reach_is_answered_as_one_that_does_not_exist(client: Client):
    address = fresh()
    foreign = await client.suppress(address, scope="atelier")
    limited = await client.with_key("lift", scopes=["maison"])
    answers = [await limited.post(f"/v1/suppressions/{number}/lift", **WHY) for number in (foreign, 2**62)]
    for answer in answers:
        assert_problem(answer, 404, "not_found")
    assert answers[0].json["detail"] == answers[1].json["detail"]
    assert await client.check(address, scope="atelier") == ["suppress:unsubscribe"]


@pytest.mark.parametrize(
    ("own", "entry"), [("maison", "maison"), ("maison", "maison/events"), ("maison/events", "maison/events")]
)
async def test_an_entry_within_reach_is_lifted(client: Client, own, entry):
    number = await client.suppress(fresh(), scope=entry)
    limited = await client.with_key("lift", scopes=[own])
    assert (await limited.post(f"/v1/suppressions/{number}/lift", **WHY)).status == 200


# Keys come and go


async def test_a_revoked_key_ends_within_seconds(client: Client, monkeypatch):
    limited = await client.with_key("check")
    assert await limited.check(fresh()) == ["deliver"]
    (number,) = [row.key.id for row in await list_api_keys(client.context)][-1:]
    await revoke_api_key(client.context, number)
    # It is believed for as long as it is remembered, and no longer.
    monkeypatch.setattr(api, "KEY_FRESH_SECONDS", 0.0)
    assert_problem(await call(limited, "check", fresh()), 401, "unauthenticated")
    with pytest.raises(NotFound):
        await revoke_api_key(client.context, number)


async def test_a_key_is_asked_for_once_in_some_seconds(client: Client):
    limited = await client.with_key("check")
    assert await asyncio.gather(*(limited.check(fresh()) for _ in range(20))) == [["deliver"]] * 20


async def test_the_secret_of_a_key_is_kept_nowhere(client: Client):
    _, secret = await add_api_key(client.context, "a test's", permissions=["check"])
    assert len(secret) > 43
    async with client.context.database.connection() as connection:
        rows = await connection.fetch("SELECT to_jsonb(api_keys)::text AS line, secret_hash FROM api_keys")
    assert not any(secret in row["line"] or secret.encode() in row["secret_hash"] for row in rows)


@pytest.mark.parametrize(
    ("error", "chosen"),
    [
        (InvalidInput, {"permissions": []}),
        (InvalidInput, {"permissions": ["everything"]}),
        (InvalidInput, {"permissions": ["check"], "purposes": []}),
        (InvalidInput, {"permissions": ["check"], "purposes": ["spam"]}),
        (InvalidInput, {"permissions": ["check"], "scopes": []}),
        (InvalidInput, {"permissions": ["check"], "scopes": ["Maison"]}),
        (UnknownScope, {"permissions": ["check"], "scopes": ["unheard-of"]}),
        (InvalidInput, {"permissions": ["check"], "name": " "}),
    ],
)
async def test_a_key_that_could_do_nothing_is_not_made(client: Client, error, chosen):
    with pytest.raises(error):
        await add_api_key(client.context, **{"name": "a test's", **chosen})
