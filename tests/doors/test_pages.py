"""The pages that recipients see, through real HTTP."""

import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Purpose, Reason, Source
from forbear.domain.tokens import UndoToken, write_undo_token
from forbear.services import suppression
from forbear.services.scopes import add_scope
from forbear.services.suppression import Assertion
from tests.doors.recipients import ADDRESS, FORM, MASKED, ONE_CLICK, Door, open_door

PAGE = {"via": "page"}


@pytest.fixture
async def door(context):
    await add_scope(context, "maison", {"en": "Maison & Fils"})
    await add_scope(context, "maison/newsletter", {"en": "The <Friday> Letter"})
    async with open_door(context) as opened:
        yield opened


@asynccontextmanager
async def later(door: Door, **passed):
    """The same pages with a clock that is ahead."""
    ahead = replace(door.context, now=lambda: door.context.now() + timedelta(**passed))
    async with open_door(ahead) as opened:
        yield opened


def undo_token_in(answer) -> str:
    return re.search(r'name="undo" value="([\w-]+)"', answer.text)[1]


def heading_of(answer) -> str:
    return re.sub(r"<.*?>", "", re.search(r"<h1>(.*?)</h1>", answer.text)[1])


async def test_a_link_shows_the_brand_the_masked_address_the_list_and_one_button(door: Door):
    token = door.token()
    answer = await door.get(f"/u/{token}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<p class="brand">Maison &amp; Fils</p>' in answer.text
    assert MASKED in answer.text
    assert "The &lt;Friday&gt; Letter" in answer.text
    assert answer.text.count("<button") == 1
    assert f'action="/u/{token}"' in answer.text
    assert f'href="/p/{token}"' in answer.text


@pytest.mark.parametrize("path", ["/u/{}", "/u/{}/", "/p/{}", "/u/broken", "/u/{}/undo", "/robots.txt"])
async def test_head_has_the_length_of_get_and_no_body(door: Door, path):
    path = path.format(door.token())
    got, head = await door.get(path), await door.ask("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


async def test_the_button_opts_out_and_says_so(door: Door):
    answer = await door.post(f"/u/{door.token()}", PAGE)
    assert (answer.status, heading_of(answer)) == (200, "You are unsubscribed.")
    assert "<title>You are unsubscribed \N{EN DASH} Maison &amp; Fils</title>" in answer.text
    assert MASKED in answer.text
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "page")]
    assert (await door.read_evidence())["body"] == "page"


async def test_the_button_pressed_again_says_that_it_was_done_and_offers_no_undo(door: Door):
    await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
    answer = await door.post(f"/u/{door.token()}", PAGE)
    assert (answer.status, heading_of(answer)) == (200, "You are already unsubscribed.")
    assert 'name="undo"' not in answer.text


async def test_us02_the_answer_offers_to_stop_everything(door: Door):
    answer = await door.post(f"/u/{door.token()}", PAGE)
    path = re.search(r'action="(/p/[\w-]+)"', answer.text)[1]
    assert 'name="choice" value="everything"' in answer.text
    stopped = await door.post(path, {"choice": "everything"})
    assert (stopped.status, heading_of(stopped)) == (200, "Everything is stopped.")
    assert 'value="everything"' not in stopped.text
    assert ("objection", "*", "preferences") in await door.list_entries()
    assert await door.verdict("atelier", Purpose.GIFT) == "suppress"


async def test_the_answer_offers_the_other_topics_and_takes_them_off(door: Door):
    answer = await door.post(f"/u/{door.token()}", PAGE)
    keys = re.search(r'name="on" value="([^"]+)"', answer.text)[1]
    assert keys.split() == ["email:maison/events", "email:atelier"]
    saved = await door.post(f"/p/{door.token()}", {"on": keys, "off": "", "email:atelier": "on", "choice": "save"})
    assert heading_of(saved) == "Your choice is kept."
    assert [await door.verdict(scope) for scope in ("maison/events", "atelier")] == ["suppress", "deliver"]


async def test_sec10_undo_works_once_and_adds_to_the_history(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    first = await door.post(f"/u/{door.token()}/undo", undo)
    assert (first.status, heading_of(first)) == (200, "Undone.")
    assert await door.verdict() == "deliver"
    again = await door.post(f"/u/{door.token()}/undo/", undo)
    assert (again.status, heading_of(again)) == (409, "This can no longer be undone.")
    assert await door.list_actions() == ["asserted", "undone"]


async def test_undo_says_that_the_list_comes_again(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    assert re.search(r"receives [^.]+ again", (await door.post(f"/u/{door.token()}/undo", undo)).text)


async def test_undo_does_not_open_beside_a_link_of_another_address(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    assert (await door.post(f"/u/{door.token('somebody@example.org')}/undo", undo)).status == 409
    assert await door.verdict() == "suppress"


async def test_sec10_a_used_undo_does_not_take_back_a_later_opt_out(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    await door.post(f"/u/{door.token()}/undo", undo)
    await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
    assert (await door.post(f"/u/{door.token()}/undo", undo)).status == 409
    assert await door.verdict() == "suppress"


async def test_sec10_undo_after_its_window_changes_nothing(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    before = await door.photograph()
    async with later(door, minutes=15, seconds=2) as closed:
        assert (await closed.post(f"/u/{door.token()}/undo", undo)).status == 409
    assert await door.photograph() == before
    async with later(door, minutes=14) as still_open:
        assert (await still_open.post(f"/u/{door.token()}/undo", undo)).status == 200


async def test_p5_undo_after_a_later_click_of_the_provider_changes_nothing(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
    assert (await door.post(f"/u/{door.token()}/undo", undo)).status == 409
    assert await door.verdict() == "suppress"


async def test_p5_undo_after_a_later_complaint_leaves_the_complaint(door: Door):
    undo = {"undo": undo_token_in(await door.post(f"/u/{door.token()}", PAGE))}
    complaint = Assertion(parse_address(ADDRESS), Reason.COMPLAINT, "maison/newsletter", Source.COMPLAINT)
    await suppression.suppress(door.context, [complaint], actor="feedback")
    answer = await door.post(f"/u/{door.token()}/undo", undo)
    assert await door.verdict() == "suppress"
    assert "Another opt-out" in answer.text
    assert "will not be sent there" in answer.text


async def test_undo_of_everything_leaves_the_list_left(door: Door):
    await door.post(f"/u/{door.token()}", PAGE)
    undo = {"undo": undo_token_in(await door.post(f"/p/{door.token()}", {"choice": "everything"}))}
    assert (await door.post(f"/u/{door.token()}/undo", undo)).status == 200
    assert (await door.verdict(), await door.verdict("atelier")) == ("suppress", "deliver")


@pytest.mark.parametrize("fields", [b"", {"undo": ""}, {"undo": "AAAA"}, {"undo": "\u00e9\x00"}])
async def test_undo_without_its_token_changes_nothing(door: Door, fields):
    await door.post(f"/u/{door.token()}", PAGE)
    answer = await door.post(f"/u/{door.token()}/undo", fields)
    assert (answer.status, heading_of(answer)) == (409, "This can no longer be undone.")
    assert await door.verdict() == "suppress"


async def test_sec01_a_link_is_no_undo_and_an_undo_is_no_link(door: Door):
    token = door.token()
    undo = undo_token_in(await door.post(f"/u/{token}", PAGE))
    before = await door.photograph()
    assert (await door.post(f"/u/{token}/undo", {"undo": token})).status == 409
    assert (await door.get(f"/u/{undo}")).status == 404
    assert "damaged" in (await door.post(f"/u/{undo}", ONE_CLICK, headers=FORM)).text
    assert await door.photograph() == before


async def test_getting_the_undo_page_helps_and_changes_nothing(door: Door):
    answer = await door.get(f"/u/{door.token()}/undo")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await door.ask("DELETE", f"/u/{door.token()}")).headers["Allow"] == "GET, HEAD, POST"


async def test_us02_the_first_thing_that_preferences_offer_is_to_stop_everything(door: Door):
    answer = await door.get(f"/p/{door.token()}")
    assert answer.status == 200
    assert re.findall(r'name="choice" value="(\w+)"', answer.text) == ["everything", "save"]
    assert MASKED in answer.text


async def test_us04_one_page_asks_for_nothing_but_a_choice(door: Door):
    for path in (f"/u/{door.token()}", f"/p/{door.token()}"):
        answer = await door.get(path)
        assert set(re.findall(r"<input[^>]*type=\"(\w+)\"", answer.text)) <= {"hidden", "checkbox", "email"}
        assert not re.search("<(select|textarea|script)|required", answer.text)


async def test_preferences_can_leave_the_list_alone(door: Door):
    answer = await door.post(f"/p/{door.token()}/", {"choice": "list"})
    assert (answer.status, heading_of(answer)) == (200, "You are unsubscribed.")
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "preferences")]
    assert await door.verdict("maison/events") == "deliver"


@pytest.mark.parametrize("fields", [b"", {"choice": ""}, {"choice": "all"}, {"other": "list"}])
async def test_preferences_without_a_choice_say_so_beside_it(door: Door, fields):
    before = await door.photograph()
    answer = await door.post(f"/p/{door.token()}", fields)
    assert answer.status == 422
    assert 'aria-describedby="everything-help choice-error"' in answer.text
    assert re.search(r'id="choice-error" role="alert">Nothing was changed', answer.text)
    assert await door.photograph() == before


async def test_a_link_of_everything_does_not_offer_the_same_twice(door: Door):
    token = door.token(scope="*")
    assert 'value="everything"' not in (await door.post(f"/u/{token}", PAGE)).text
    assert await door.verdict("atelier") == "suppress"


@pytest.mark.parametrize("scope", ["maison", "maison/forgotten", "forgotten"])
async def test_a_link_works_whatever_became_of_its_scope(door: Door, scope):
    assert (await door.get(f"/u/{door.token(scope=scope)}")).status == 200
    assert (await door.post(f"/u/{door.token(scope=scope)}", PAGE)).status == 200
    assert await door.list_entries() == [("unsubscribe", scope, "page")]


async def test_ad07_only_the_address_of_the_link_is_shown(door: Door):
    tagged = parse_address("camille+maison@gmail.com")
    objection = Assertion(tagged, Reason.OBJECTION, "*", Source.LETTER)
    await suppression.suppress(door.context, [objection], actor="staff")
    answer = await door.get(f"/p/{door.token('c.amille@gmail.com')}")
    assert {found.rstrip(".") for found in re.findall(r"[\w.+]+@[\w.]+", answer.text)} == {"c...@gmail.com"}


async def test_oc14_every_broken_link_gets_the_same_page(door: Door):
    token = door.token()
    undo = write_undo_token(door.context.keyring, UndoToken((1,), door.context.now()), "camille@example.com")
    broken = [
        "",
        "x",
        token[:-1],
        token + "A",
        token + "=",
        token.swapcase(),
        token + "/more",
        "%ff%fe",
        "a%2Fb",
        "%0A",
    ]
    answers = [await door.get(f"/{page}/{text}") for page in "up" for text in [*broken, undo, "A" * 3000]]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert heading_of(answers[0]) == "This link is damaged."
    assert "privacy@maison.example" in answers[0].text


async def test_a_broken_link_is_refused_where_people_choose(door: Door):
    before = await door.photograph()
    assert (await door.post("/p/broken", {"choice": "everything"})).status == 404
    assert (await door.post("/u/broken/undo", {"undo": "x"})).status == 404
    assert (await door.post("/u/broken", PAGE)).status == 200
    assert await door.photograph() == before


async def test_no_way_out_is_named_where_there_is_none(context):
    async with open_door(context, contact=None) as door:
        assert "tell us directly" not in (await door.get("/u/broken")).text
        assert "tell us directly" not in (await door.get("/p/broken")).text
