"""POST /v1/links."""

import base64
import hashlib
import re

import pytest

from forbear.domain.tokens import read_link_token
from tests.doors.callers import Client, assert_problem, fresh, open_client


async def make(client: Client, *addresses: str, scope="maison/newsletter", campaign="spring", **more) -> list[dict]:
    body = {"purpose": "marketing", "scope": scope, "campaign": campaign, "addresses": addresses, **more}
    answer = await client.post("/v1/links", **body)
    assert answer.status == 200, answer.body
    return answer.json["results"]


async def test_each_address_gets_its_links_in_the_order_asked(client: Client):
    one, other = fresh(), fresh()
    results = await make(client, one, "no address", other)
    assert [line["address"] for line in results] == [one, "no address", other]
    assert results[1] == {"address": "no address", "error": "invalid_address"}
    token = results[0]["unsubscribe_url"].removeprefix(f"{client.url}/u/")
    assert results[0]["preferences_url"] == f"{client.url}/p/{token}"
    link = read_link_token(client.context.keyring, token)
    assert (link.address, link.scope, link.campaign) == (one, "maison/newsletter", "spring")


async def test_oc02_oc03_the_header_pair_is_as_rfc_8058_wants_it(client: Client):
    (line,) = await make(client, fresh())
    assert line["list_unsubscribe"] == f"<{line['unsubscribe_url']}>"
    assert line["list_unsubscribe_post"] == "List-Unsubscribe=One-Click"
    assert line["return_path"] is None


async def test_where_mail_is_received_the_header_has_a_mailto_and_bounces_come_back(settings):
    async with open_client(settings, mail_domain="in.example.com", public_url="https://mail.example.com") as client:
        one, other = await make(client, "ann@example.com", "bob@example.com")
    match = re.fullmatch(
        r"<(https://mail\.example\.com/u/[\w-]+)>, <mailto:(u?[a-z2-7]{1,56})@in\.example\.com\?subject=unsubscribe>",
        one["list_unsubscribe"],
    )
    assert match[1] == one["unsubscribe_url"]
    assert re.fullmatch(r"[a-z2-7]{1,56}@in\.example\.com", one["return_path"])
    assert len({match[2], one["return_path"].partition("@")[0], other["return_path"].partition("@")[0]}) == 3
    assert len(f"List-Unsubscribe: {one['list_unsubscribe']}") < 998


async def test_oc15_the_longest_header_line_stays_below_998_octets(settings):
    from forbear.services.scopes import add_scope  # noqa: PLC0415 - beside its one use

    scope = "s" * 63 + "/" + "t" * 64
    address = "a" * 64 + "@" + ".".join(["b" * 63, "c" * 63, "d" * 57, "example"])[-189:]
    async with open_client(settings, mail_domain="in.example.com", public_url="https://mail.example.com") as client:
        await add_scope(client.context, scope, {})
        (line,) = await make(client, address, scope=scope, campaign="ü" * 64)
        assert len(f"List-Unsubscribe: {line['list_unsubscribe']}") < 998
        page = await client.ask("GET", line["unsubscribe_url"].removeprefix("https://mail.example.com"))
    assert page.status == 200


async def test_a_click_on_a_link_that_was_made_opts_out_of_its_scope(client: Client):
    address = fresh()
    (line,) = await make(client, address)
    answer = await client.session.post(line["unsubscribe_url"], data={"List-Unsubscribe": "One-Click"})
    assert answer.status == 200
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]
    assert await client.check(address, scope="maison/events") == ["deliver"]


async def test_sec02_no_form_of_the_address_stands_in_anything_that_was_made(settings):
    address = "camille.lantern@example.com"
    async with open_client(settings, mail_domain="in.example.com") as client:
        (line,) = await make(client, address)
    text = " ".join(str(value) for name, value in line.items() if name != "address").lower()
    forms = [address, address.encode().hex(), base64.b64encode(address.encode()).decode().rstrip("=")]
    forms += [base64.b32encode(address.encode()).decode().rstrip("=")]
    forms += [getattr(hashlib, name)(address.encode()).hexdigest() for name in ("md5", "sha1", "sha256")]
    assert not [form for form in forms if form.lower() in text]


@pytest.mark.parametrize("campaign", ["ann@example.com", "two\nlines", "nul\0", "x" * 129, "ü" * 65, "\x1b[31m"])
async def test_a_campaign_whose_name_could_harm_is_refused(client: Client, campaign):
    answer = await client.post("/v1/links", scope="maison", campaign=campaign, addresses=[fresh()])
    assert_problem(answer, 422)


async def test_an_unregistered_scope_makes_no_links(client: Client):
    answer = await client.post("/v1/links", scope="unheard-of", campaign="x", addresses=[fresh()])
    assert_problem(answer, 422, "unknown_scope")


async def test_more_than_the_limit_is_refused_whole(client: Client):
    answer = await client.post("/v1/links", scope="*", campaign="x", addresses=["ann@example.com"] * 10_001)
    assert_problem(answer, 413, "too_large")
