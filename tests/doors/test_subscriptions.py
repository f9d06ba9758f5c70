"""Signing up: by a form or through a shop, asked of the address first, and alike for everybody."""

import re
from dataclasses import replace

import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Reason, Source
from forbear.services import suppression
from forbear.services.context import LimitOptions
from forbear.services.scopes import ScopeChange, add_scope, put_scope
from forbear.services.suppression import Assertion
from tests.doors.callers import open_client
from tests.doors.recipients import ADDRESS, Door, open_door
from tests.mail_server import running_mail_server
from tests.people import add_person, take_link

LETTER = {"email": ADDRESS, "email:maison/newsletter": "on"}


@pytest.fixture
async def door(context):
    await add_scope(context, "maison", {"en": "Maison & Fils"})
    await put_scope(context, "maison/newsletter", ScopeChange({"en": "The Letter"}, {"en": "On Fridays, with tea."}))
    await put_scope(context, "maison/events", ScopeChange(is_offered=False))
    async with open_door(context) as opened:
        yield opened


@pytest.fixture
async def server():
    async with running_mail_server() as running:
        yield running


async def test_a_form_shows_what_is_offered_of_a_brand_or_of_all(door: Door):
    page = await door.get("/subscribe")
    assert re.findall(r'type="checkbox" name="([^"]+)"', page.text) == ["email:atelier", "email:maison/newsletter"]
    assert "On Fridays, with tea." in page.text
    assert " checked" not in page.text
    own = await door.get("/subscribe/maison")
    assert "Hear from Maison &amp; Fils" in own.text
    assert re.findall(r'name="(email:[^"]+)"', own.text) == ["email:maison/newsletter"]
    assert 'action="/subscribe/maison"' in own.text


async def test_signing_up_asks_the_address_and_its_button_makes_the_grant(door: Door, server):
    objection = Assertion(parse_address(ADDRESS), Reason.OBJECTION, "*", Source.LETTER)
    await suppression.suppress(door.context, [objection], actor="test")
    answer = await door.post("/subscribe", LETTER, headers={"Accept-Language": "fr"})
    assert (answer.status, "Consultez votre messagerie" in answer.text) == (200, True)
    assert await door.verdict() == "suppress"
    path, text = await take_link(door.context, server, ADDRESS)
    assert "Maison & Fils" in text
    assert '<html lang="fr">' in (await door.get(path)).text
    done = await door.post(path)
    link = re.search(r'href="(/p/[\w-]+)"', done.text)[1]
    assert (await door.get(link)).status == 200
    assert [await door.verdict(scope) for scope in ("maison/newsletter", "maison/events")] == ["deliver", "suppress"]


async def test_sec11_the_answer_and_its_statements_are_the_same_for_everybody(door: Door):
    await add_person(door.context, "known@example.com")
    out = Assertion(parse_address("out@example.com"), Reason.HARD_BOUNCE, "*", Source.BOUNCE)
    await suppression.suppress(door.context, [out], actor="test")
    await door.post("/subscribe", {**LETTER, "email": "first@example.com"})
    answers, statements = [], []
    for who in ("unknown", "known", "out"):
        with door.recording() as seen:
            answers.append(await door.post("/subscribe", {**LETTER, "email": f"{who}@example.com"}))
        statements.append(list(seen))
    assert len({answer.body for answer in answers}) == 1
    assert statements[0] == statements[1] == statements[2]
    assert len(statements[0]) >= 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": ADDRESS}, "tick at least one"),
        ({**LETTER, "email": "camille"}, "one e-mail address"),
        ({"email": ADDRESS, "email:maison/events": "on"}, "tick at least one"),
        ({"email": ADDRESS, "email:*": "on"}, "tick at least one"),
        ({"email": ADDRESS, "email:sharing/third-party": "on"}, "tick at least one"),
    ],
)
async def test_what_cannot_be_asked_is_said_and_nothing_is_done(door: Door, fields, words):
    before = await door.photograph()
    answer = await door.post("/subscribe", fields)
    assert (answer.status, words in answer.text) == (422, True)
    assert await door.photograph() == before


async def test_a_form_that_another_site_sends_is_shown_first_with_what_it_said(door: Door):
    before = await door.photograph()
    answer = await door.post("/subscribe", LETTER, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 422
    assert re.search(r'name="email:maison/newsletter" value="on" checked', answer.text)
    assert await door.photograph() == before


async def test_p10_looking_changes_nothing(door: Door):
    before = await door.photograph()
    for path in ("/subscribe", "/subscribe/maison", "/subscribe/nobody", "/subscribe?email:maison/newsletter=on"):
        assert [(await door.ask(method, path)).status for method in ("GET", "HEAD")] == [200, 200]
    assert await door.photograph() == before


async def test_a_network_that_asks_too_often_is_told_to_come_back(door: Door):
    options = replace(door.context.options, limits=LimitOptions(subscriptions_per_network_max=1))
    async with open_door(replace(door.context, options=options)) as narrow:
        statuses = [(await narrow.post("/subscribe", {**LETTER, "email": f"{who}@example.com"})).status for who in "ab"]
    assert statuses == [200, 429]


# Shops


async def test_a_shop_asks_an_address_and_gets_one_answer(settings):
    body = {
        "address": ADDRESS,
        "scopes": ["maison/newsletter"],
        "language": "de",
        "origin": "checkout",
        "wording_version": "shop-3",
        "evidence": {"order": 7},
    }
    async with open_client(settings) as client:
        first = await client.post("/v1/subscriptions", **body)
        again = await client.post("/v1/subscriptions", **body)
        assert [(answer.status, answer.json) for answer in (first, again)] == [(202, {"status": "asked"})] * 2


@pytest.mark.parametrize("scopes", [[], ["*"], ["nowhere"], ["sharing/third-party"]])
async def test_a_shop_is_told_what_cannot_be_asked(settings, scopes):
    async with open_client(settings) as client:
        answer = await client.post("/v1/subscriptions", address=ADDRESS, scopes=scopes)
        assert answer.status == 422
