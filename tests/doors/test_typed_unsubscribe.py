"""Unsubscribing by a typed address: at once, alike for everybody, within limits, and undone as a whole."""

from dataclasses import replace

import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Purpose, Reason, Source
from forbear.services import batches, suppression
from forbear.services.context import LimitOptions
from forbear.services.suppression import Assertion
from tests.doors.recipients import ADDRESS, ONE_CLICK, Door, open_door
from tests.people import add_person

PATH = "/unsubscribe"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture
async def door(context):
    async with open_door(context) as opened:
        yield opened


@pytest.fixture
async def narrow(context):
    """The same with limits that are soon reached."""
    limits = LimitOptions(typed_per_network_max=2, typed_per_hour_max=3)
    options = replace(context.options, limits=limits)
    async with open_door(replace(context, options=options), trusted_proxies=("127.0.0.1",)) as opened:
        yield opened


async def leave(door: Door, address: str = ADDRESS, **how):
    return await door.post(PATH, {"email": address}, **how)


async def test_us04_one_page_with_one_field_and_one_button(door: Door):
    page = await door.get(PATH)
    assert page.status == 200
    assert (page.text.count("<input"), page.text.count("<button"), page.text.count("<form")) == (1, 1, 1)


async def test_sec12_a_typed_address_is_honoured_at_once_and_says_so(door: Door):
    answer = await leave(door, "  <Camille@Example.com> ")
    assert (answer.status, "You are unsubscribed." in answer.text) == (200, True)
    assert await door.list_entries() == [("unsubscribe", "*", "typed")]
    for scope in ("maison/newsletter", "atelier", "*"):
        assert await door.verdict(scope) == "suppress"
    assert await door.verdict(purpose=Purpose.TRANSACTIONAL) == "deliver"


async def test_sec11_the_answer_and_its_statements_are_the_same_for_everybody(door: Door):
    await add_person(door.context, "known@example.com")
    out = Assertion(parse_address("out@example.com"), Reason.OBJECTION, "*", Source.LETTER)
    await suppression.suppress(door.context, [out], actor="test")
    await leave(door, "first@example.com")
    answers, statements = [], []
    for who in ("unknown", "known", "out", "first"):
        with door.recording() as seen:
            answers.append(await leave(door, f"{who}@example.com"))
        statements.append(list(seen))
    assert len({answer.body for answer in answers}) == 1
    assert len({frozenset(answer.headers.keys()) for answer in answers}) == 1
    assert statements[0] == statements[1] == statements[2] == statements[3]
    assert len(statements[0]) >= 3


@pytest.mark.parametrize("text", ["", "camille", "a@b@c", "@example.com", "a@example.com, b@example.com"])
async def test_what_is_no_address_is_said_beside_it(door: Door, text):
    before = await door.photograph()
    answer = await leave(door, text)
    assert (answer.status, 'role="alert"' in answer.text) == (422, True)
    assert await door.photograph() == before


async def test_what_was_typed_comes_back_escaped(door: Door):
    answer = await leave(door, '"><script>alert(1)</script>')
    assert "<script" not in answer.text


async def test_a_form_that_another_site_sends_is_shown_first(door: Door):
    before = await door.photograph()
    answer = await leave(door, headers=CROSS_SITE)
    assert (answer.status, f'value="{ADDRESS}"' in answer.text) == (422, True)
    assert await door.photograph() == before
    assert (await leave(door, headers={"Sec-Fetch-Site": "same-origin"})).status == 200


async def test_p10_looking_at_the_form_changes_nothing_whatever_stands_in_the_url(door: Door):
    before = await door.photograph()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await door.ask(method, f"{PATH}?email=x&choice=everything")
        assert answer.status in {200, 405}
    assert await door.photograph() == before


async def test_a_network_that_asks_too_often_is_told_to_come_back(narrow: Door):
    other = {"X-Forwarded-For": "198.51.100.7"}
    assert [(await leave(narrow, f"{who}@example.com")).status for who in "abc"] == [200, 200, 429]
    answer = await leave(narrow, "c@example.com")
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert "so nothing was done" in answer.text
    assert (await leave(narrow, "d@example.com", headers=other)).status == 200
    assert (await leave(narrow, "e@example.com", headers=other)).status == 429


async def test_one_click_is_never_limited(narrow: Door):
    for who in range(6):
        token = narrow.token(f"c{who}@example.com")
        assert (await narrow.post(f"/u/{token}", ONE_CLICK)).status == 200
        await leave(narrow, f"d{who}@example.com")


async def test_p5_an_hour_of_typed_addresses_is_undone_and_a_persons_own_click_stays(door: Door):
    for who in ("a", "b", "c"):
        await leave(door, f"{who}@example.com")
    await door.post(f"/u/{door.token('b@example.com', '*')}", ONE_CLICK)
    (batch,) = await batches.list_batches(door.context)
    assert batch.name.startswith("typed 20")
    undone = await batches.undo_batch(door.context, batch.id, actor="operator:ann")
    assert (undone.lifted, undone.kept) == (2, 1)
    assert [await door.verdict(address=f"{who}@example.com") for who in "abc"] == ["deliver", "suppress", "deliver"]
    await leave(door, "a@example.com")
    assert await door.verdict(address="a@example.com") == "suppress"
