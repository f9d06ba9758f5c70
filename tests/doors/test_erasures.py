"""POST /v1/erasures: forgotten, and suppressed all the same (P6)."""

import pytest

from tests.doors.callers import Client, assert_problem, fresh
from tests.doors.test_explain import explain


async def test_p6_an_erased_address_is_forgotten_and_suppressed(client: Client):
    address = fresh()
    await client.suppress(address, evidence={"ip": "192.0.2.7", "said": address})
    answer = await client.post("/v1/erasures", address=address)
    assert (answer.status, answer.json["status"]) == (200, "erased")
    assert await client.check(address) == ["suppress:erased"]
    told = await explain(client, address)
    assert {entry["reason"] for entry in told["entries"]} == {"unsubscribe", "erased"}
    assert not any("evidence" in entry for entry in told["entries"])
    found = (await client.post("/v1/suppressions/search", address=address)).json["entries"]
    assert len(found) == 2
    assert not any("address" in entry for entry in found)


async def test_p6_what_is_said_afterwards_keeps_the_fingerprint_only(client: Client):
    address = fresh()
    await client.post("/v1/erasures", address=address)
    await client.suppress(address, "complaint", evidence={"said": address})
    told = await explain(client, address)
    assert not any("evidence" in entry for entry in told["entries"])
    found = (await client.post("/v1/suppressions/search", address=address)).json["entries"]
    assert not any("address" in entry for entry in found)


async def test_erasing_again_is_harmless_and_told(client: Client):
    address = fresh()
    first, again = [await client.post("/v1/erasures", address=address) for _ in range(2)]
    assert (first.json["status"], again.json["status"]) == ("erased", "already")
    assert first.json["id"] == again.json["id"]


async def test_an_erased_address_still_gets_what_it_ordered(client: Client):
    address = fresh()
    await client.post("/v1/erasures", address=address)
    assert await client.check(address, purpose="transactional") == ["deliver"]


@pytest.mark.parametrize("address", ["@example.com", "", "no address"])
async def test_only_an_address_can_be_erased(client: Client, address):
    assert_problem(await client.post("/v1/erasures", address=address), 422)
