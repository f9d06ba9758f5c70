"""POST /v1/suppressions, its search, and lifting."""

import re

import pytest

from tests.doors.callers import Client, assert_problem, fresh

LIFT = {"why": "asked us to by telephone"}


async def say(client: Client, *items: dict) -> list[dict]:
    answer = await client.post("/v1/suppressions", suppressions=items)
    assert answer.status == 200, answer.body
    return answer.json["results"]


def item(address=None, **more) -> dict:
    return {"address": address or fresh(), "reason": "unsubscribe", "scope": "*", **more}


async def search(client: Client, **wanted) -> list[dict]:
    answer = await client.post("/v1/suppressions/search", **wanted)
    assert answer.status == 200, answer.body
    return answer.json["entries"]


async def test_adding_again_is_harmless_and_told(client: Client):
    one = item()
    (added,) = await say(client, one)
    (again,) = await say(client, one)
    assert (added["status"], again["status"]) == ("added", "already")
    assert added["id"] == again["id"]
    assert added["address"] == one["address"]


async def test_a_bad_one_holds_up_none_of_the_others(client: Client):
    bad = [
        item("no address"),
        item("a@x.example, b@x.example"),
        item(reason="mood"),
        item(reason="erased"),
        item(scope="unheard-of"),
        item(scope="Not A Scope"),
        item(channel="phone"),
        item(source="crystal_ball"),
        item(since="yesterday"),
        item(since="2026-03-01T00:00:00"),
        item(since="0001-01-01T00:00:00+14:00"),
        item(since="9999-12-31T23:59:59-14:00"),
        item(evidence=[]),
        item(evidence={"report": "x" * 5000}),
        item(evidence={"number": 2**70}),
        item(color="red"),
        {"address": fresh()},
        {},
        None,
        "ann@example.com",
        17,
    ]
    good = item()
    results = await say(client, good, *bad)
    assert [line["status"] for line in results] == ["added"] + ["error"] * len(bad)
    assert all(line["error"] for line in results[1:])
    assert not any("id" in line for line in results[1:])
    assert await client.check(good["address"]) == ["suppress:unsubscribe"]
    assert "unheard-of" in results[5]["error"]


async def test_evidence_may_be_nested_but_not_without_end(client: Client):
    deep = {}
    for _ in range(190):
        deep = {"in": deep}
    assert [line["status"] for line in await say(client, item(evidence=deep))] in (["added"], ["error"])
    answer = await client.ask(
        "POST", "/v1/suppressions", data=b'{"suppressions":' + b"[" * 5000, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 400, "invalid_json")


async def test_repeats_inside_one_call_are_one_entry(client: Client):
    one = item()
    results = await say(client, one, item(), {**one, "address": one["address"].upper()}, one)
    assert [line["status"] for line in results] == ["added", "added", "already", "already"]
    assert len({results[place]["id"] for place in (0, 2, 3)}) == 1


async def test_ten_thousand_at_once_and_not_one_more(own_client: Client):
    many = [item(f"person{number}@example.com") for number in range(10_000)]
    results = await say(own_client, *many)
    assert {line["status"] for line in results} == {"added"}
    assert len({line["id"] for line in results}) == 10_000
    assert (await own_client.check("person9999@example.com")) == ["suppress:unsubscribe"]
    answer = await own_client.post("/v1/suppressions", suppressions=[*many, item()])
    assert_problem(answer, 413, "too_large")


async def test_none_at_all_is_an_error(client: Client):
    assert_problem(await client.post("/v1/suppressions", suppressions=[]), 422, "invalid_body")


async def test_an_odd_address_is_kept_all_the_same(client: Client):
    odd = f"under_score{fresh().partition('@')[0]}@odd_domain.example"
    (line,) = await say(client, item(odd))
    assert line["status"] == "added"


# Search


async def test_searching_by_address_finds_what_speaks_about_it(client: Client):
    address = fresh("ann", "mail.example")
    (line,) = await say(client, item(address, scope="maison"))
    (found,) = await search(client, address=f" {address.upper()} ")
    assert found == {
        "id": line["id"],
        "address": address,
        "kind": "match",
        "channel": "email",
        "scope": "maison",
        "reason": "unsubscribe",
        "source": "api",
        "since": found["since"],
    }
    assert await search(client, address=fresh()) == []


async def test_searching_by_address_finds_its_domain_and_wide_entries(client: Client):
    local = fresh().partition("@")[0]
    results = await say(client, item(f"{local}@gmail.com", reason="objection"), item(f"@{local}.example"))
    (found,) = await search(client, address=f"{local}+x@gmail.com")
    assert found["id"] == results[0]["id"]
    (found,) = await search(client, address=f"ann@{local}.example")
    assert (found["id"], found["kind"], found["address"]) == (results[1]["id"], "domain", f"@{local}.example")


async def test_searching_by_a_domain_finds_the_entry_of_the_domain_itself(client: Client):
    domain = f"{fresh().partition('@')[0]}.example"
    results = await say(client, item(f"@{domain}"), item(f"ann@{domain}"))
    assert [found["id"] for found in await search(client, address=f"@{domain}")] == [results[0]["id"]]


async def test_every_filter_narrows(own_client: Client):
    old = {"since": "2020-01-01T00:00:00Z"}
    await say(
        own_client,
        item("a@x.example"),
        item("b@x.example", reason="complaint"),
        item("c@x.example", scope="maison"),
        item("d@x.example", source="letter"),
        item("e@x.example", **old),
    )

    async def find(**wanted) -> str:
        return "".join(sorted(found["address"][0] for found in await search(own_client, **wanted)))

    assert await find() == "abcde"
    assert await find(reason="complaint") == "b"
    assert await find(scope="maison") == "c"
    assert await find(source="letter") == "d"
    assert await find(until="2021-01-01T00:00:00+02:00") == "e"
    assert await find(since="2021-01-01T00:00:00Z") == "abcd"
    assert await find(reason="unsubscribe", source="api", scope="*") == "ae"
    assert await find(reason="complaint", scope="maison") == ""


async def test_ht02_pages_are_followed_by_link_without_repeats_while_others_write(own_client: Client):
    await say(own_client, *(item(f"person{number}@example.com") for number in range(25)))
    path, seen = "/v1/suppressions/search", []
    while path:
        answer = await own_client.ask("POST", path, json={"limit": 10})
        assert answer.status == 200
        seen += [found["id"] for found in answer.json["entries"]]
        await say(own_client, item())
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("Link", "<>"))
        path = link and link[1]
    assert len(seen) == len(set(seen)) == 25
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 19, "9" * 5000, "ann@example.com"])
async def test_a_cursor_that_we_did_not_make_is_refused(client: Client, cursor):
    answer = await client.ask("POST", "/v1/suppressions/search", params={"cursor": cursor}, json={})
    assert_problem(answer, 422, "invalid_input")


@pytest.mark.parametrize("wanted", [{"limit": 0}, {"limit": 1001}, {"reason": "mood"}, {"since": "2026-03-01"}])
async def test_a_search_that_makes_no_sense_is_refused(client: Client, wanted):
    assert_problem(await client.post("/v1/suppressions/search", **wanted), 422, "invalid_body")


async def test_a_search_for_an_unregistered_scope_is_an_error_and_not_empty(client: Client):
    assert_problem(await client.post("/v1/suppressions/search", scope="unheard-of"), 422, "unknown_scope")


# Lifting


async def test_lifting_lets_through_and_keeps_the_history(client: Client):
    address = fresh()
    number = await client.suppress(address)
    answer = await client.post(f"/v1/suppressions/{number}/lift", **LIFT, operator="Rosa")
    assert (answer.status, answer.json) == (200, {"id": number, "status": "lifted"})
    assert await client.check(address) == ["deliver"]
    assert await search(client, address=address) == []
    (found,) = await search(client, address=address, with_lifted=True)
    assert found["lifted_at"]
    told = (await client.post("/v1/explain", address=address, purpose="marketing", scope="*")).json
    last = told["entries"][0]["history"][-1]
    assert (last["action"], last["source"], last["evidence"]) == ("lifted", "operator", LIFT)
    assert last["by"].endswith(" Rosa")


async def test_p4_lifting_needs_a_reason(client: Client):
    number = await client.suppress(fresh())
    for body in ({}, {"why": ""}, {"why": None}):
        assert_problem(await client.post(f"/v1/suppressions/{number}/lift", **body), 422, "invalid_body")


async def test_what_was_lifted_cannot_be_lifted_again_but_suppressed_again(client: Client):
    address = fresh()
    number = await client.suppress(address)
    await client.post(f"/v1/suppressions/{number}/lift", **LIFT)
    assert_problem(await client.post(f"/v1/suppressions/{number}/lift", **LIFT), 404, "not_found")
    (line,) = await say(client, item(address))
    assert (line["status"], line["id"]) == ("added", number)


@pytest.mark.parametrize("number", ["0", str(2**63 - 1), str(2**63), "9" * 19, "9" * 5000, "٣", "%D9%A3"])
async def test_an_entry_that_cannot_be_is_not_found(client: Client, number):
    assert_problem(await client.post(f"/v1/suppressions/{number}/lift", **LIFT), 404, "not_found")


@pytest.mark.parametrize("operator", ["nul\0", "x" * 201])
async def test_an_operators_name_that_cannot_be_kept_is_refused(client: Client, operator):
    number = await client.suppress(fresh())
    answer = await client.post(f"/v1/suppressions/{number}/lift", **LIFT, operator=operator)
    assert_problem(answer, 422)
