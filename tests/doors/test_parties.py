"""/v1/parties, and the same on the command line."""

import json

from tests.commands import run_command
from tests.doors.callers import Client, assert_problem

LYON = {"name": "salon-lyon", "kind": "affiliate", "title": "Salon Lyon", "postal_address": "1 rue\n69001 Lyon"}


async def put(client: Client, **body):
    return await client.ask("PUT", "/v1/parties", json=body)


async def test_a_party_is_registered_changed_listed_and_ended(own_client: Client):
    made = await put(own_client, **LYON)
    assert (made.status, made.json["status"]) == (200, "added")
    changed = await put(own_client, **{**LYON, "title": "Lyon", "products": "watches"})
    assert changed.json["status"] == "changed"
    ended = await own_client.ask("POST", "/v1/parties/salon-lyon/end")
    assert (ended.status, ended.json["status"]) == (200, "ended")
    (party,) = (await own_client.ask("GET", "/v1/parties")).json["parties"]
    assert (party["title"], party["products"], "ended_at" in party) == ("Lyon", "watches", True)
    assert_problem(await put(own_client, **LYON), 422, "invalid_input")
    assert_problem(await own_client.ask("POST", "/v1/parties/salon-lyon/end"), 404, "not_found")


async def test_sl02_a_party_without_a_postal_address_is_refused(client: Client):
    problem = assert_problem(await put(client, **{**LYON, "name": "nowhere", "postal_address": " "}), 422)
    assert "postal address" in problem["detail"]
    assert_problem(await put(client, name="nowhere", kind="affiliate", title="A"), 422, "invalid_body")


async def test_only_an_administrator_changes_parties(client: Client):
    sharer = await client.with_key("share")
    assert (await sharer.ask("GET", "/v1/parties")).status == 200
    assert_problem(await put(sharer, **LYON), 403)
    assert_problem(await sharer.ask("POST", "/v1/parties/salon-lyon/end"), 403)
    assert_problem(await (await client.with_key("check")).ask("GET", "/v1/parties"), 403)
    assert_problem(await put(await client.with_key("admin", scopes=["maison"]), **LYON), 403)


async def test_the_commands_say_the_same(settings):
    words = ("--kind", "third_party", "--title", "Acme", "--address", r"1 Road\nTown")
    added = await run_command(settings, "parties", "add", "acme", *words)
    assert (added.code, added.err) == (0, "the party acme is registered\n")
    refused = await run_command(settings, "parties", "add", "acme2", *words[:4], "--address", "")
    assert refused.code == 1
    ended = await run_command(settings, "parties", "end", "acme")
    assert (ended.code, ended.err) == (0, "the party acme has ended\n")
    listed = await run_command(settings, "parties", "list", "--json")
    assert json.loads(listed.out)["postal_address"] == "1 Road\nTown"
    assert "Acme, 1 Road, Town" in (await run_command(settings, "parties", "list")).out
