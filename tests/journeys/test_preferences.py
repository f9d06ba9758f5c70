"""Somebody's way through the pages in each language: off, and back by confirmation, as filters see it."""

import csv
import io
import re

import pytest

from forbear.domain.suppression import Channel
from forbear.language import LANGUAGES, translate
from forbear.services.api_keys import Permission, add_api_key
from forbear.services.scopes import put_scope
from tests.doors.recipients import Door, open_door
from tests.mail_server import running_mail_server
from tests.page_states import SCOPES, open_browser, press
from tests.people import EMAIL, SALON, WATCHES, add_parties, add_person, find_verdict, take_link

TOPIC, EVENTS = "maison/newsletter", "maison/events"


@pytest.fixture(scope="module")
async def browser():
    async with open_browser() as opened:
        yield opened


@pytest.fixture
async def door(context):
    for scope, change in SCOPES.items():
        await put_scope(context, scope, change)
    await add_parties(context)
    async with open_door(context) as opened:
        yield opened


async def filter_list(door: Door) -> dict[str, str]:
    """Run a send list with links through the filter; the row that may be mailed."""
    _, key = await add_api_key(door.context, "campaigns", permissions=[Permission.SCRUB, Permission.LINKS])
    answer = await door.ask(
        "POST",
        f"/v1/scrubs?purpose=marketing&scope={TOPIC}&column=email&links=true&campaign=spring",
        data=f"email,name\n{EMAIL},Camille\n",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "text/csv"},
    )
    (row,) = csv.DictReader(io.StringIO(answer.body.decode()))
    return row


async def see_verdicts(door: Door) -> dict[str, str]:
    """What filters say for each topic, channel and party."""
    seen = {}
    for channel in Channel:
        for scope in (TOPIC, EVENTS, "atelier"):
            seen[f"{channel} {scope}"] = await find_verdict(door.context, scope, channel)
        for party in (SALON, WATCHES):
            seen[f"{channel} {party.name}"] = await find_verdict(door.context, "*", channel, party=party)
    return seen


def path_of(url: str) -> str:
    return re.sub(r"^https?://[^/]+", "", url)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_topic_the_phone_and_sharing_go_off_and_come_back_by_confirmation(browser, door: Door, language):
    def say(sentence: str) -> str:
        return translate(language, sentence)

    def ticks_of(channel: str):
        return page.locator(f'input[name^="{channel}"]')

    await add_person(door.context, language=language)
    usual = await see_verdicts(door)
    assert usual == {line: "no_basis" if WATCHES.name in line else "deliver" for line in usual}
    row = await filter_list(door)

    async with await browser.new_context(java_script_enabled=False, viewport={"width": 375, "height": 667}) as opened:
        page = await opened.new_page()
        await page.goto(door.url + path_of(row["preferences_url"]))
        assert await page.locator("html").get_attribute("lang") == language
        title = SCOPES[TOPIC].titles[language]
        await page.get_by_label(title).first.uncheck()
        for box in await ticks_of("phone-").all():
            await box.uncheck()
        await ticks_of("sharing:sharing/affiliate").uncheck()
        await press(page, say("Save"))
        assert await page.locator("h1").inner_text() == say("Your choice is kept.")

        off = {f"{Channel.EMAIL} {TOPIC}": "unsubscribe"}
        off |= {f"{Channel.PHONE} {scope}": "unsubscribe" for scope in (TOPIC, EVENTS, "atelier")}
        off |= {f"{channel} {SALON.name}": "no_sharing" for channel in Channel}
        assert await see_verdicts(door) == usual | off

        await page.get_by_role("link", name=say("Back to your preferences")).click()
        await page.get_by_label(title).first.check()
        await ticks_of("phone-").first.check()
        await ticks_of("sharing:sharing/affiliate").check()
        await ticks_of("sharing:sharing/third-party").check()
        await press(page, say("Save"))
        assert await page.locator("h1").inner_text() == say("Please look into your mailbox.")
        assert await see_verdicts(door) == usual | off

        async with running_mail_server() as server:
            path, text = await take_link(door.context, server, EMAIL)
        asks = say("If that was you, please open this page and press the button there:")
        assert " ".join(asks.split()) in " ".join(text.split())
        await page.goto(door.url + path)
        assert await page.locator("html").get_attribute("lang") == language
        assert await see_verdicts(door) == usual | off
        await press(page, say("Confirm"))
        assert await page.locator("h1").inner_text() == say("Thank you, it is confirmed.")
        assert await opened.cookies() == []

    now = await see_verdicts(door)
    phone = [f"{Channel.PHONE} {scope}" for scope in (TOPIC, EVENTS, "atelier")]
    assert sorted(now[line] for line in phone) == ["deliver", "unsubscribe", "unsubscribe"]
    assert {verdict for line, verdict in now.items() if line not in phone} == {"deliver"}
