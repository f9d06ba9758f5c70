"""Phone numbers, postal addresses and parties at the HTTP door."""

import itertools

from forbear.domain.contact_point import parse_contact_point
from forbear.domain.party import PartyKind
from forbear.domain.suppression import Channel, Source
from forbear.services.parties import PartyDraft, end_party, put_party
from forbear.services.suppression import fingerprint_keys
from forbear.store.suppression import add_grant
from tests.doors.callers import Client, assert_problem

_numbers = itertools.count(1)
ASK = {"purpose": "marketing", "scope": "*"}


def fresh_phone():
    return f"+3361234{next(_numbers):04}"


def fresh_post(**changed):
    address = {"name": f"Ann Lee {next(_numbers)}", "lines": ["1 High Street", "Bath"], "postcode": "BA1 1AA"}
    return address | {"country": "GB"} | changed


async def check(client: Client, channel, *addresses, **asked):
    answer = await client.post("/v1/check", **(ASK | {"channel": channel, "addresses": addresses} | asked))
    assert answer.status == 200, answer.body
    return [result.get("reason", result["verdict"]) for result in answer.json["results"]]


async def suppress(client: Client, channel, address, **more):
    item = {"address": address, "channel": channel, "reason": "objection", "scope": "*", "source": "phone"} | more
    answer = await client.post("/v1/suppressions", suppressions=[item])
    assert answer.status == 200, answer.body
    return answer.json["results"][0]


# Phone


async def test_a_number_is_one_however_it_is_written(client: Client):
    number = fresh_phone()
    national = "0" + number.removeprefix("+33")
    assert await check(client, "phone", number) == ["deliver"]
    assert (await suppress(client, "phone", f"{national[:4]} {national[4:]}", region="FR"))["status"] == "added"
    spellings = [number, f"+33 (0){national[1:]}", f"0033{national[1:]}", national]
    assert await check(client, "phone", *spellings, region="fr") == ["objection"] * 4
    assert (await suppress(client, "phone", number))["status"] == "already"


async def test_a_national_number_without_a_region_is_invalid_and_no_pass(client: Client):
    assert await check(client, "phone", "0612345678", "ann@example.com", "", "+33 6") == ["invalid_address"] * 4
    answer = await client.post("/v1/check", **ASK, addresses=["0612345678"], channel="phone")
    assert answer.json["results"][0]["verdict"] == "invalid"


async def test_a_region_is_one_and_for_numbers_only(client: Client):
    for asked in ({"channel": "phone", "region": "XX"}, {"channel": "email", "region": "FR"}):
        assert_problem(await client.post("/v1/check", **ASK, addresses=["+33612345678"], **asked), 422)


async def test_many_numbers_are_decided_like_few(client: Client):
    numbers = [fresh_phone() for _ in range(150)]
    for number in numbers[::50]:
        await suppress(client, "phone", number)
    found = await check(client, "phone", *numbers, "none")
    assert found == [("objection" if place % 50 == 0 else "deliver") for place in range(150)] + ["invalid_address"]


# Post


async def test_a_postal_address_is_one_however_it_is_punctuated(client: Client):
    given = fresh_post()
    assert await check(client, "post", given) == ["deliver"]
    assert (await suppress(client, "post", given, source="letter"))["status"] == "added"
    other = given | {"name": given["name"].upper(), "lines": ["1, high street - BATH"], "postcode": "ba11aa"}
    text = f"{given['name']} | 1 High Street | Bath | BA1 1AA | UK"
    assert await check(client, "post", other, text, given | {"lines": ["11 High Street", "Bath"]}) == [
        "objection",
        "objection",
        "deliver",
    ]


async def test_a_postal_address_comes_back_as_it_was_given(client: Client):
    given = fresh_post(lines=["1, High Street", "", "Bath"])
    result = await suppress(client, "post", given)
    assert result["address"] == given
    answer = await client.post("/v1/check", **ASK, channel="post", addresses=[given])
    assert answer.json["results"][0]["address"] == given


async def test_what_is_no_postal_address_is_invalid(client: Client):
    broken = [fresh_post(country="England"), fresh_post(name=" "), fresh_post(lines=[]), "Ann Lee, Bath"]
    assert await check(client, "post", *broken) == ["invalid_address"] * 4
    assert await check(client, "email", fresh_post()) == ["invalid_address"]
    assert (await suppress(client, "post", fresh_post(country="England")))["error"].startswith("the country")


# Every channel is its own


async def test_an_opt_out_is_of_its_channel_only(client: Client):
    email, number, post = f"ann{next(_numbers)}@example.com", fresh_phone(), fresh_post()
    await suppress(client, "phone", number)
    assert await check(client, "email", email) == await check(client, "post", post) == ["deliver"]
    await suppress(client, "email", email)
    assert await check(client, "post", post) == ["deliver"]


async def test_a_search_explanation_and_lift_know_every_channel(client: Client):
    for channel, given in (("phone", fresh_phone()), ("post", fresh_post())):
        number = (await suppress(client, channel, given))["id"]
        found = await client.post("/v1/suppressions/search", address=given, channel=channel)
        assert [(entry["id"], entry["channel"], entry["address"]) for entry in found.json["entries"]] == [
            (number, channel, given)
        ]
        explained = await client.post("/v1/explain", address=given, channel=channel, **ASK)
        assert explained.json["rule"].startswith(f"entry {number}: objection of *")
        assert (await client.post(f"/v1/suppressions/{number}/lift", why="a test")).status == 200
        assert await check(client, channel, given) == ["deliver"]


async def test_a_number_is_erased_and_stays_suppressed(client: Client):
    number = fresh_phone()
    await suppress(client, "phone", number)
    assert (await client.post("/v1/erasures", address=number, channel="phone")).status == 200
    found = await client.post("/v1/suppressions/search", address=number, channel="phone")
    assert {entry["reason"] for entry in found.json["entries"]} == {"objection", "erased"}
    assert not [entry for entry in found.json["entries"] if "address" in entry]
    assert await check(client, "phone", number) == ["erased"]


# Parties


async def register(client: Client, kind):
    name = f"party-{next(_numbers)}"
    await put_party(client.context, PartyDraft(name, kind, "Somebody", "1 High Street\nBath"))
    return name


async def grant(client: Client, channel, given, scope):
    key = fingerprint_keys(client.context, parse_contact_point(channel, given)).match
    async with client.context.database.connection() as connection:
        await add_grant(connection, key, channel, scope, Source.PREFERENCES, "test")


async def test_a_party_is_told_by_its_kind_and_what_people_say(client: Client):
    email = f"ann{next(_numbers)}@example.com"
    salon, broker = await register(client, PartyKind.AFFILIATE), await register(client, PartyKind.THIRD_PARTY)
    ask = {"purpose": "sharing", "scope": "*"}
    assert await check(client, "email", email, party=salon, **ask) == ["deliver"]
    assert await check(client, "email", email, party=broker, **ask) == ["no_basis"]
    await grant(client, Channel.EMAIL, email, f"sharing/{broker}")
    assert await check(client, "email", email, party=broker, **ask) == ["deliver"]
    assert (await suppress(client, "email", email, reason="no_sharing", scope=f"sharing/{broker}"))["status"] == "added"
    assert await check(client, "email", email, party=broker, **ask) == ["no_sharing"]
    assert await check(client, "email", email, party=salon, **ask) == ["deliver"]
    assert await check(client, "email", email, **ask) == ["no_sharing"]
    assert await check(client, "email", email) == ["deliver"]


async def test_a_missing_basis_is_explained(client: Client):
    broker = await register(client, PartyKind.THIRD_PARTY)
    asked = {"address": fresh_phone(), "channel": "phone", "purpose": "sharing", "scope": "*", "party": broker}
    explained = (await client.post("/v1/explain", **asked)).json
    assert (explained["verdict"], explained["reason"]) == ("suppress", "no_basis")
    assert f"a grant in sharing/third-party or sharing/{broker}" in explained["rule"]


async def test_a_party_is_one_that_may_be_asked_about(client: Client):
    ended, printer = await register(client, PartyKind.AFFILIATE), await register(client, PartyKind.PROCESSOR)
    await end_party(client.context, ended)
    salon = await register(client, PartyKind.AFFILIATE)
    for asked in (
        {"purpose": "sharing", "party": "nobody"},
        {"purpose": "sharing", "party": ended},
        {"purpose": "sharing", "party": printer},
        {"purpose": "marketing", "party": salon},
        {"purpose": "sharing", "party": salon, "scope": f"sharing/{salon}"},
    ):
        answer = await client.post("/v1/check", **({"scope": "*", "addresses": ["ann@example.com"]} | asked))
        assert_problem(answer, 422, "invalid_input")


async def test_a_scope_about_sharing_takes_no_other_reason(client: Client):
    result = await suppress(client, "email", "ann@example.com", scope="sharing/third-party", reason="unsubscribe")
    assert (result["status"], "no_sharing" in result["error"]) == ("error", True)
