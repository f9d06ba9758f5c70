"""POST /v1/explain: why an address is, or is not, let through (P8)."""

import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Channel, Source
from forbear.services.suppression import fingerprint_keys
from forbear.store.suppression import add_grant
from tests.doors.callers import Client, assert_problem, fresh


async def explain(client: Client, address: str, purpose: str = "marketing", scope: str = "*") -> dict:
    answer = await client.post("/v1/explain", address=address, purpose=purpose, scope=scope)
    assert answer.status == 200, answer.body
    return answer.json


async def grant(client: Client, address: str, scope: str) -> None:
    key = fingerprint_keys(client.context, parse_address(address)).match
    async with client.context.database.connection() as connection:
        await add_grant(connection, key, Channel.EMAIL, scope, Source.PREFERENCES, "test")


async def test_p8_a_verdict_comes_with_rule_entry_source_time_actor_and_evidence(client: Client):
    address = fresh()
    evidence = {"letter": "2026-17", "pages": 2}
    number = await client.suppress(
        address, "objection", "maison", source="letter", since="2026-02-03T04:05:06Z", evidence=evidence
    )
    await client.suppress(address, "objection", "maison")
    told = await explain(client, address, scope="maison/newsletter")
    assert (told["verdict"], told["reason"]) == ("suppress", "objection")
    assert told["rule"] == (
        f"entry {number}: objection of maison for this address blocks marketing for the scope maison/newsletter"
    )
    (entry,) = told["entries"]
    assert (entry["id"], entry["source"], entry["since"]) == (number, "letter", "2026-02-03T04:05:06+00:00")
    assert [(line["action"], line["source"]) for line in entry["history"]] == [
        ("asserted", "letter"),
        ("already", "api"),
    ]
    assert entry["history"][0]["evidence"] == evidence
    assert entry["by"].startswith("api_key:")


async def test_nothing_stands_is_an_explanation_too(client: Client):
    told = await explain(client, fresh())
    assert (told["verdict"], told["entries"], told["grants"]) == ("deliver", [], [])
    assert told["rule"]


@pytest.mark.parametrize("kind", ["match", "wide", "domain"])
async def test_it_says_by_which_form_an_entry_was_found(client: Client, kind):
    local = fresh().partition("@")[0]
    listed, asked = {
        "match": (f"{local}@example.com", f"{local}@example.com"),
        "wide": (f"{local}+shop@gmail.com", f"{local}@gmail.com"),
        "domain": (f"@{local}.example", f"ann@{local}.example"),
    }[kind]
    await client.suppress(listed, "objection")
    told = await explain(client, asked)
    assert told["verdict"] == "suppress"
    assert told["entries"][0]["kind"] == kind


async def test_a_grant_that_overrides_is_shown(client: Client):
    address = fresh()
    await client.suppress(address)
    await grant(client, address, "maison/newsletter")
    told = await explain(client, address, scope="maison/newsletter")
    assert told["verdict"] == "deliver"
    assert [line["scope"] for line in told["grants"]] == ["maison/newsletter"]
    assert len(told["entries"]) == 1
    assert (await explain(client, address))["verdict"] == "suppress"


async def test_explanation_and_check_never_differ(client: Client):
    address, other = fresh(), fresh()
    await client.suppress(address, "complaint", "maison")
    await client.suppress(address, "soft_bounce")
    await client.suppress(address, "no_sharing", "atelier")
    await grant(client, address, "maison")
    for asked in (address, other):
        for purpose in ("marketing", "friend", "gift", "transactional", "notice", "sharing"):
            for scope in ("*", "maison", "maison/newsletter", "atelier"):
                told = await explain(client, asked, purpose, scope)
                word = ":".join(filter(None, (told["verdict"], told.get("reason"))))
                assert await client.check(asked, purpose=purpose, scope=scope) == [word]


@pytest.mark.parametrize("address", ["", "no address", "@example.com", "a@b, c@d"])
async def test_what_is_no_address_cannot_be_explained(client: Client, address):
    answer = await client.post("/v1/explain", address=address, purpose="marketing", scope="*")
    assert_problem(answer, 422, "invalid_address")
