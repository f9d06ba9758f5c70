"""Every page that a recipient can see, in every state, and how a browser gets there without JavaScript."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from playwright.async_api import Browser, Page, Route, async_playwright

from forbear.services.context import Context
from forbear.services.scopes import add_scope
from tests.doors.recipients import Door, open_door, without_postgresql

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
TITLES = {"maison": "Maison Lumière", "maison/newsletter": "The Friday Letter"}
TOPIC, BRAND, EVERYTHING = "maison/newsletter", "maison", "*"


@dataclass(frozen=True)
class Site:
    """The pages, and the same pages while PostgreSQL is away."""

    door: Door
    cut_off: Door
    numbers: count = field(default_factory=count)

    def link(self, letter: str = "u", scope: str = TOPIC) -> str:
        """A link of somebody who has never clicked."""
        return f"{self.door.url}/{letter}/{self.door.token(f'camille.{next(self.numbers)}@example.com', scope)}"


Enter = Callable[[Page, Site], Awaitable[object]]


@asynccontextmanager
async def open_site(context: Context) -> AsyncIterator[Site]:
    """Serve the pages of a list with titles as a house would have them."""
    for scope, title in TITLES.items():
        await add_scope(context, scope, {"en": title})
    async with open_door(context) as door, without_postgresql(door) as cut_off:
        yield Site(door, cut_off)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, which asks nobody for anything."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        await browser.close()


async def press(page: Page, name: str) -> None:
    """Press the one button of this name."""
    await page.get_by_role("button", name=name, exact=True).click()


async def _post(page: Page, url: str) -> None:
    """Go to a page by a POST that no button of ours would send."""

    async def make_post(route: Route) -> None:
        await route.continue_(method="POST", post_data="via=page", headers={"Content-Type": FORM_TYPE})

    await page.route(url, make_post, times=1)
    await page.goto(url)


FORM_TYPE = "application/x-www-form-urlencoded"


async def _unsubscribe(page: Page, site: Site) -> str:
    link = site.link()
    await page.goto(link)
    await press(page, "Unsubscribe")
    return link


async def _stop_everything(page: Page, site: Site) -> None:
    await _unsubscribe(page, site)
    await press(page, "Stop everything")


async def _unsubscribe_again(page: Page, site: Site) -> None:
    await page.goto(await _unsubscribe(page, site))
    await press(page, "Unsubscribe")


async def _stop_everything_again(page: Page, site: Site) -> None:
    link = site.link("p")
    for _ in range(2):
        await page.goto(link)
        await press(page, "Stop everything")


async def _undo(page: Page, site: Site) -> None:
    await _unsubscribe(page, site)
    await press(page, "Undo")


STATES: Mapping[str, tuple[str, Enter]] = {
    "unsubscribe": ("Unsubscribe from The Friday Letter?", lambda page, site: page.goto(site.link())),
    "unsubscribe-brand": (
        "Unsubscribe from Maison Lumière?",
        lambda page, site: page.goto(site.link(scope=BRAND)),
    ),
    "unsubscribe-everything": (
        "Unsubscribe from everything?",
        lambda page, site: page.goto(site.link(scope=EVERYTHING)),
    ),
    "unsubscribed": ("You are unsubscribed.", _unsubscribe),
    "unsubscribed-already": ("You are already unsubscribed.", _unsubscribe_again),
    "preferences": ("Your preferences", lambda page, site: page.goto(site.link("p"))),
    "preferences-everything": ("Your preferences", lambda page, site: page.goto(site.link("p", EVERYTHING))),
    "preferences-no-choice": ("Your preferences", lambda page, site: _post(page, site.link("p"))),
    "everything-stopped": ("Everything is stopped.", _stop_everything),
    "everything-stopped-already": ("Everything is already stopped.", _stop_everything_again),
    "undone": ("Undone.", _undo),
    "nothing-to-undo": (
        "This can no longer be undone.",
        lambda page, site: _post(page, site.link() + "/undo"),
    ),
    "broken-link": ("This link is damaged.", lambda page, site: page.goto(f"{site.door.url}/u/broken")),
    "unavailable": (
        "Please try again in a few minutes.",
        lambda page, site: page.goto(site.link().replace(site.door.url, site.cut_off.url)),
    ),
    "unavailable-after-click": (
        "Please try again in a few minutes.",
        lambda page, site: _post(page, site.link().replace(site.door.url, site.cut_off.url)),
    ),
    "wrong-method": ("Nothing was changed.", lambda page, site: page.goto(site.link() + "/undo")),
}
"""Name of a state, its heading, and how to get there."""
