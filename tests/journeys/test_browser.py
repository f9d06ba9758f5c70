"""The pages in a real Chromium: without JavaScript, by keyboard, by axe, and on the smallest phone."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe

from forbear.language import LANGUAGES
from forbear.services.scopes import add_scope
from tests.page_states import BRAND, STATES, open_browser, open_site, press

PHONE, SMALL_PHONE, DESKTOP = ({"width": w, "height": h} for w, h in ((375, 667), (320, 568), (1280, 800)))
TARGET_PIXELS_MIN = 44


@pytest.fixture(scope="module")
async def browser():
    async with open_browser() as opened:
        yield opened


@pytest.fixture
async def site(context):
    async with open_site(context) as opened:
        yield opened


@pytest.fixture
async def page(browser, site):
    """A page without JavaScript, on a small phone; it may load nothing but what is ours, and complain of nothing."""
    opened = await browser.new_context(viewport=SMALL_PHONE, java_script_enabled=False)
    tab = await opened.new_page()
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    yield tab
    assert [url for url in asked if not url.startswith(site.urls)] == []
    assert [text for text in complaints if "Content Security Policy" in text] == []
    assert await opened.cookies() == []
    await opened.close()


async def heading(page) -> str:
    return re.sub(r"\s+", " ", await page.locator("h1").inner_text())


@pytest.mark.parametrize("state", STATES)
async def test_every_state_is_reached_and_says_what_it_is(page, site, state):
    expected, enter = STATES[state]
    await enter(page, site)
    assert await heading(page) == expected
    assert await page.locator("h1").count() == 1
    assert await page.locator("main h1").count() == 1


@pytest.mark.parametrize("state", [state for state in STATES if re.search("no-choice|bad-address", state)])
async def test_what_was_wrong_is_said_beside_it(page, site, state):
    await STATES[state][1](page, site)
    alert = page.get_by_role("alert")
    assert await alert.count() == 1
    name = await alert.get_attribute("id")
    assert await page.locator(f'[aria-describedby~="{name}"]').count() >= 1


async def test_a_recipient_leaves_returns_and_leaves_everything(page, site):
    link = site.link()
    await page.goto(link)
    assert await site.door.list_entries() == []
    await press(page, "Unsubscribe")
    assert await heading(page) == "You are unsubscribed."
    assert await page.title() == "You are unsubscribed \N{EN DASH} Maison Lumière"
    assert await site.door.list_entries() == [("unsubscribe", "maison/newsletter", "page")]
    await press(page, "Undo")
    assert await heading(page) == "Undone."
    assert await site.door.list_entries() == []
    await page.get_by_role("link", name="Unsubscribe after all").click()
    await page.get_by_role("link", name="Other choices, such as stopping everything").click()
    await press(page, "Stop everything")
    assert await heading(page) == "Everything is stopped."
    assert await site.door.list_entries() == [("objection", "*", "preferences")]


LOOKS = ("unsubscribe", "preferences", "preferences-person", "wrong-method", "confirm", "subscribe", "typed")


@pytest.mark.parametrize("state", LOOKS)
async def test_p10_a_scanner_that_runs_scripts_and_follows_every_link_changes_nothing(browser, site, state):
    async with await browser.new_context() as opened:
        page = await opened.new_page()
        await STATES[state][1](page, site)
        before = await site.door.photograph()
        start = page.url
        links = await page.eval_on_selector_all("[href]", "all => all.map(each => each.href)")
        forms = await page.eval_on_selector_all("form", "all => all.map(each => each.action)")
        for url in [start, *links, *forms]:
            if url.startswith(site.urls):
                for method in ("HEAD", "GET"):
                    await page.request.fetch(url, method=method)
                await page.goto(url)
                await page.wait_for_load_state("networkidle")
    assert await site.door.photograph() == before


async def test_the_keyboard_is_enough(page, site):
    await page.goto(site.link())
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="You are unsubscribed.").wait_for()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Undone.").wait_for()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Unsubscribe from").wait_for()


async def test_reloading_an_answer_does_no_harm(page, site):
    link = site.link()
    await page.goto(link)
    await press(page, "Unsubscribe")
    assert await heading(page) == "You are unsubscribed."
    await page.reload()
    assert await heading(page) == "You are already unsubscribed."
    assert len(await site.door.list_entries()) == 1


# Every state on a phone; of the dark colours, which all pages share, every fourth on a desktop.
@pytest.mark.parametrize(
    ("viewport", "scheme", "every"), [(PHONE, "light", 1), (DESKTOP, "dark", 4)], ids=["phone", "dark desktop"]
)
async def test_axe_finds_no_violation_in_any_state(browser, site, viewport, scheme, every):
    async with await browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True) as opened:
        page = await opened.new_page()
        for state, (_, enter) in list(STATES.items())[::every]:
            await enter(page, site)
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{state}: {found.generate_report()}"


async def test_nothing_scrolls_sideways_and_targets_are_large_at_320_pixels(browser, site):
    async with await browser.new_context(viewport=SMALL_PHONE) as opened:
        page = await opened.new_page()
        for state, (_, enter) in STATES.items():
            await enter(page, site)
            assert await overflow(page) == 0, state
            for target in await page.locator("button, .aside a, .tick, [type=email]").all():
                box = await target.bounding_box()
                assert min(box["width"], box["height"]) >= TARGET_PIXELS_MIN, (state, box)
            for button in await page.locator("button").all():
                assert await count_lines(button) == 1, state


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_language_fits_at_320_pixels(browser, site, language):
    spoken = {"Accept-Language": language}
    async with await browser.new_context(viewport=SMALL_PHONE, extra_http_headers=spoken) as opened:
        page = await opened.new_page()
        links = [site.link(letter, scope) for letter in "up" for scope in ("maison/newsletter", "*")]
        links += [await site.person_link(language), f"{site.door.url}/subscribe", f"{site.door.url}/unsubscribe"]
        for link in links:
            await page.goto(link)
            assert await page.locator("html").get_attribute("lang") == language
            assert await overflow(page) == 0, link
            for button in await page.locator("button").all():
                assert await count_lines(button) == 1, await button.inner_text()
        everything = page.locator('[value="everything"]')
        await page.goto(links[2])
        box = await everything.bounding_box()
        assert box["y"] + box["height"] <= SMALL_PHONE["height"]


async def test_nothing_scrolls_sideways_when_text_is_doubled(browser, site):
    async with await browser.new_context(viewport={"width": 640, "height": 800}, bypass_csp=True) as opened:
        page = await opened.new_page()
        for state, (_, enter) in STATES.items():
            await enter(page, site)
            await page.add_style_tag(content="html { font-size: 200% }")
            assert await overflow(page) == 0, state


async def test_long_names_do_not_scroll_sideways(browser, site):
    await add_scope(site.door.context, BRAND, {"en": "Manufacturedhorlogerieetdejoaillerie & Compagnie"})
    token = site.door.token("c@" + "a-very-long-label." * 4 + "example", BRAND)
    site.door.context.scope_book.read_at = None
    async with await browser.new_context(viewport=SMALL_PHONE) as opened:
        page = await opened.new_page()
        for letter in "up":
            await page.goto(f"{site.door.url}/{letter}/{token}")
            assert await overflow(page) == 0


@pytest.mark.parametrize("state", ["preferences", "preferences-everything", "preferences-person"])
async def test_us02_stop_everything_is_on_the_first_screen(page, site, state):
    await STATES[state][1](page, site)
    box = await page.get_by_role("button", name="Stop everything").bounding_box()
    assert box["y"] + box["height"] <= SMALL_PHONE["height"]


async def overflow(page) -> int:
    """Pixels by which a page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


async def count_lines(element) -> int:
    """Lines that an element's text takes."""
    return await element.evaluate(
        "element => { const all = document.createRange(); all.selectNodeContents(element);"
        " return new Set([...all.getClientRects()].map(box => box.top)).size }"
    )
