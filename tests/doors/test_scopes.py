"""/v1/scopes, and the same on the command line."""

import base64

from tests.commands import run_command
from tests.doors.callers import Client, assert_problem, fresh

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script/><rect width="1"/></svg>'
LOOK = {"accent": "#80581f", "accent_dark": "#d9b477"}


async def put(client: Client, **body):
    return await client.ask("PUT", "/v1/scopes", json=body)


async def list_names(client: Client) -> list[str]:
    return [scope["name"] for scope in (await client.ask("GET", "/v1/scopes")).json["scopes"]]


async def test_a_scope_is_registered_and_changed(client: Client):
    words = {"titles": {"en": "Openings"}, "descriptions": {"en": "What is on"}}
    made = await put(client, name="gallery/openings", position=2, **words)
    assert made.status == 200
    changed = await put(client, name="gallery/openings", is_offered=False, titles={"fr": "Vernissages"})
    assert changed.json == {
        **words,
        "name": "gallery/openings",
        "titles": {"en": "Openings", "fr": "Vernissages"},
        "position": 2,
        "is_offered": False,
        "has_logo": False,
    }
    assert await client.check(fresh(), scope="gallery/openings") == ["deliver"]


async def test_a_brand_has_a_look(client: Client):
    logo = base64.b64encode(SVG).decode()
    made = await put(client, name="boutique", look=LOOK, logo=logo)
    assert (made.json["look"], made.json["has_logo"]) == (LOOK, True)
    assert (await put(client, name="boutique", logo="")).json["has_logo"] is False
    for bad in ({"look": {**LOOK, "accent": "#ffffff"}}, {"logo": "?"}, {"logo": base64.b64encode(b"GIF").decode()}):
        assert_problem(await put(client, name="boutique", **bad), 422, "invalid_input")


async def test_the_brand_sharing_is_reserved_and_sends_nothing(client: Client):
    assert_problem(await put(client, name="sharing/acme"), 422)
    body = {"purpose": "marketing", "scope": "sharing/third-party", "addresses": [fresh()]}
    assert_problem(await client.post("/v1/check", **body), 422)
    assert_problem(await client.post("/v1/links", scope="sharing", addresses=[fresh()]), 422)


async def test_a_key_sees_and_changes_what_it_reaches(client: Client):
    reader = await client.with_key("check", scopes=["maison"])
    assert set(await list_names(reader)) >= {"maison", "maison/events"}
    assert not {"*", "atelier"} & set(await list_names(reader))
    assert_problem(await put(reader, name="maison/new"), 403)
    administrator = await client.with_key("admin", scopes=["maison"])
    assert_problem(await put(administrator, name="atelier/new"), 403)


async def test_the_commands_say_the_same(settings, tmp_path):
    logo = tmp_path / "logo.svg"
    logo.write_bytes(SVG)
    added = await run_command(settings, "scopes", "add", "maison/events", "--title", "fr=Soirées", "--hidden")
    assert (added.code, added.err) == (0, "maison/events is registered\n")
    changed = await run_command(settings, "scopes", "set", "maison", "--accent", "#80581f,#d9b477", "--logo", logo)
    assert (changed.code, changed.err) == (0, "maison is changed\n")
    listed = (await run_command(settings, "scopes", "list")).out.splitlines()
    assert [line.split() for line in listed if "events" in line] == [["maison/events", "fr=Soirées", "(hidden)"]]
    for words in (["unknown", "--title", "A"], ["maison", "--accent", "#80581f"], ["maison", "--title", "=A"]):
        assert (await run_command(settings, "scopes", "set", *words)).code == 1
