"""/v1/contacts: who the organisation knows. No change of one weakens an opt-out (P5)."""

import itertools

import pytest

from tests.doors.callers import Client, assert_problem, fresh

HOME = {"name": "Anna Müller", "lines": ["1 Rue de la Paix", "Paris"], "postcode": "75002", "country": "FR"}
_numbers = itertools.count(1)


def fresh_id() -> str:
    return f"customer-{next(_numbers)}"


async def put(client: Client, external_id: str, **body):
    return await client.ask("PUT", f"/v1/contacts/{external_id}", json=body)


async def show(client: Client, external_id: str) -> dict:
    answer = await client.ask("GET", f"/v1/contacts/{external_id}")
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_contact_is_written_shown_and_changed_in_part(client: Client):
    one, address = fresh_id(), fresh()
    made = await put(
        client, one, name="Anna Müller", email=[address], phone=["06 12 34 56 78"], country="FR", post=[HOME]
    )
    assert made.json == {"external_id": one, "status": "added", "points": {"email": 1, "phone": 1, "post": 1}}
    changed = await put(client, one, language="fr", phone=None)
    assert changed.json["status"] == "changed"
    shown = await show(client, one)
    assert (shown["name"], shown["language"], shown["country"]) == ("Anna Müller", "fr", "FR")
    assert [(point["channel"], point["address"]) for point in shown["points"]] == [("email", address), ("post", HOME)]


async def test_several_contacts_may_share_a_point_and_are_found_by_it(client: Client):
    one, other, number = fresh_id(), fresh_id(), "+33 6 12 34 99 00"
    for external_id in (one, other):
        await put(client, external_id, phone=[number])
    found = await client.post("/v1/contacts/search", channel="phone", region="FR", address="0612349900")
    assert [contact["external_id"] for contact in found.json["contacts"]] == [one, other]
    assert found.json["contacts"][0]["points"][0]["masked"] == "+33...00"
    assert (await client.post("/v1/contacts/search", address=fresh())).json == {"contacts": []}


async def test_p5_a_changed_address_leaves_every_opt_out(client: Client):
    one, old, new, other = fresh_id(), fresh(), fresh(), fresh()
    await client.suppress(old, scope="maison")
    await client.suppress(new, "complaint")
    for address in (old, new, other):
        await put(client, one, email=[address])
    assert await client.check(old, new) == ["suppress:unsubscribe", "suppress:complaint"]
    # Who had left at every address has left at the next one as well.
    assert await client.check(other) == ["suppress:objection"]
    (point,) = (await show(client, one))["points"]
    assert {entry["reason"] for entry in point["entries"]} == {"unsubscribe", "objection"}


async def test_stop_everything_covers_every_point(client: Client):
    one, first, second = fresh_id(), fresh(), fresh()
    opt_outs = [{"scope": "*", "reason": "objection"}]
    await put(client, one, email=[first, second], phone=["+33612345001"], opt_outs=opt_outs)
    assert await client.check(first, second) == ["suppress:objection"] * 2
    answer = await client.post("/v1/check", purpose="marketing", scope="*", channel="phone", addresses=["+33612345001"])
    assert answer.json["results"][0]["verdict"] == "suppress"


async def test_a_choice_against_sharing_comes_with_a_contact(client: Client):
    one, address = fresh_id(), fresh()
    await put(client, one, email=[address], opt_outs=[{"scope": "sharing/third-party", "reason": "no_sharing"}])
    assert await client.check(address, purpose="sharing") == ["suppress:no_sharing"]
    assert await client.check(address) == ["deliver"]


async def test_p4_consents_that_come_with_a_contact_override_nothing(client: Client):
    one, address = fresh_id(), fresh()
    await client.suppress(address)
    consent = {
        "scope": "maison/newsletter",
        "wording_version": "v3",
        "given_at": "2025-02-03T10:00:00Z",
        "origin": "fair",
    }
    for _ in range(2):
        assert (await put(client, one, email=[address], consents=[consent])).status == 200
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]
    (point,) = (await show(client, one))["points"]
    assert [(agreed["wording_version"], agreed["origin"]) for agreed in point["consents"]] == [("v3", "fair")]


async def test_p6_an_erased_address_is_forgotten_with_its_contact(client: Client):
    one, address = fresh_id(), fresh()
    await put(client, one, email=[address], name="Anna")
    await client.post("/v1/erasures", address=address)
    assert_problem(await client.ask("GET", f"/v1/contacts/{one}"), 404, "not_found")
    await put(client, one, email=[address])
    (point,) = (await show(client, one))["points"]
    assert "address" not in point
    assert await client.check(address) == ["suppress:erased"]


async def test_p6_a_contact_is_erased_with_all_its_points(client: Client):
    one, first, second = fresh_id(), fresh(), fresh()
    await put(client, one, email=[first, second])
    answer = await client.ask("POST", f"/v1/contacts/{one}/erase")
    assert answer.json == {"external_id": one, "status": "erased", "erased": 2}
    assert await client.check(first, second) == ["suppress:erased"] * 2
    assert_problem(await client.ask("POST", f"/v1/contacts/{one}/erase"), 404, "not_found")


@pytest.mark.parametrize("path", ["a@example.com", "a%40example.com", "%20", "a%0Ab"])
async def test_p9_an_address_in_a_path_is_refused_and_not_repeated(client: Client, path):
    problem = assert_problem(await put(client, path, name="A"), 422, "invalid_input")
    assert "@" not in str(problem)
    assert_problem(await client.ask("GET", f"/v1/contacts/{path}"), 422, "invalid_input")


@pytest.mark.parametrize(
    "body",
    [
        {"email": ["ann@"]},
        {"phone": ["06 12 34 56 78"]},
        {"phone": ["123"], "country": "FR"},
        {"post": [{**HOME, "country": "France"}]},
        {"country": "ZZZ"},
        {"notice_channel": "phone"},
        {"opt_outs": [{"scope": "unknown"}]},
        {"opt_outs": [{"scope": "*", "reason": "erased"}]},
        {"consents": [{"scope": "sharing", "wording_version": "1", "given_at": "2025-01-01T00:00:00Z"}]},
        {"consents": [{"scope": "*", "wording_version": "1", "given_at": "2999-01-01T00:00:00Z"}]},
        {"unknown": 1},
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_written(client: Client, body):
    one = fresh_id()
    assert_problem(await put(client, one, **body), 422)
    assert_problem(await client.ask("GET", f"/v1/contacts/{one}"), 404)


async def test_writing_and_reading_contacts_are_two_permissions(client: Client):
    one, writer, reader = fresh_id(), await client.with_key("import"), await client.with_key("staff")
    assert (await put(writer, one, email=[fresh()])).status == 200
    assert_problem(await writer.ask("GET", f"/v1/contacts/{one}"), 403)
    assert_problem(await writer.post("/v1/contacts/search", address=fresh()), 403)
    assert (await reader.ask("GET", f"/v1/contacts/{one}")).status == 200
    assert_problem(await put(reader, one), 403)
    assert_problem(await put(await client.with_key("import", scopes=["maison"]), one), 403)


# Consents


def agree(address: str, **more) -> dict:
    given = {"scope": "maison/newsletter", "wording_version": "v3", "given_at": "2025-02-03T10:00:00Z"}
    return {"address": address, **given, **more}


async def test_p4_only_an_attested_opt_in_overrides(client: Client):
    address, evidence = fresh(), {"form": "12"}
    await client.suppress(address, since="2024-01-01T00:00:00Z")
    answer = await client.post("/v1/consents", consents=[agree(address, evidence=evidence)])
    assert answer.json == {"recorded": 1, "grants": []}
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]
    proven = agree(address, wording_version="v4", evidence=evidence, grant=True)
    importer = await client.with_key("import")
    assert_problem(await importer.post("/v1/consents", consents=[proven]), 403)
    assert_problem(await client.post("/v1/consents", consents=[{**proven, "evidence": {}}]), 422)
    attester = await client.with_key("import", "attest")
    answer = await attester.post("/v1/consents", consents=[proven])
    assert (answer.json["recorded"], len(answer.json["grants"])) == (1, 1)
    assert await client.check(address, scope="maison/newsletter") == ["deliver"]
    assert await client.check(address, scope="maison") == ["suppress:unsubscribe"]


async def test_p5_an_attested_opt_in_overrides_nothing_that_was_said_after_it(client: Client):
    address = fresh()
    await client.suppress(address)
    await client.post("/v1/consents", consents=[agree(address, evidence={"form": "12"}, grant=True)])
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]


async def test_a_consent_that_is_withdrawn_opts_out(client: Client):
    address = fresh()
    await client.post("/v1/consents", consents=[agree(address, evidence={"form": "12"}, grant=True)])
    answer = await client.post("/v1/consents/withdraw", address=address, scope="maison/newsletter", source="letter")
    assert (answer.status, answer.json["status"]) == (200, "withdrawn")
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]
    again = await client.post("/v1/consents", consents=[agree(address, evidence={"form": "12"}, grant=True)])
    assert_problem(again, 422)


async def test_consents_are_recorded_all_or_none(client: Client):
    address = fresh()
    for bad in (agree(address, scope="unknown"), agree("ann@"), agree(address, given_at="2999-01-01T00:00:00Z")):
        assert_problem(await client.post("/v1/consents", consents=[agree(address), bad]), 422)
    assert (await client.post("/v1/consents", consents=[agree(address)])).json["recorded"] == 1
