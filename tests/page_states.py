"""Every page that a recipient can see, in every state, and how a browser gets there without JavaScript."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

from playwright.async_api import Browser, Page, Route, async_playwright

from forbear.domain.address import parse_address
from forbear.domain.tokens import write_confirm_token
from forbear.services.confirmations import CHANGES_MAX, request_confirmation
from forbear.services.context import Context, LimitOptions
from forbear.services.scopes import ScopeChange, put_scope
from forbear.services.sealed_confirmation import Confirmation, OptIn, Step
from forbear.store.confirmation import ConfirmationKind
from tests.doors.recipients import Door, open_door, without_postgresql
from tests.people import add_parties, add_person

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
SCOPES = {
    "maison": ScopeChange({"en": "Maison Lumi\u00e8re"}),
    "maison/newsletter": ScopeChange(
        {
            "en": "The Friday Letter",
            "fr": "La Lettre du vendredi",
            "de": "Der Freitagsbrief",
            "es": "La Carta del viernes",
            "it": "La Lettera del venerd\u00ec",
            "ja": "\u91d1\u66dc\u65e5\u306e\u624b\u7d19",
            "zh-Hans": "\u5468\u4e94\u6765\u4fe1",
        },
        {"en": "One story a week from our workshops, with what is new."},
    ),
    "maison/events": ScopeChange(
        {
            "en": "Invitations and private views",
            "fr": "Invitations et ventes priv\u00e9es",
            "de": "Einladungen und Vorpremieren",
            "es": "Invitaciones y preestrenos",
            "it": "Inviti e anteprime",
            "ja": "\u3054\u62db\u5f85",
            "zh-Hans": "\u6d3b\u52a8\u9080\u8bf7",
        }
    ),
}
TOPIC, BRAND, EVERYTHING = "maison/newsletter", "maison", "*"


@dataclass(frozen=True)
class Site:
    """The pages, and the same pages while PostgreSQL is away, or while too many ask."""

    door: Door
    cut_off: Door
    narrow: Door
    numbers: count = field(default_factory=count)

    @property
    def urls(self) -> tuple[str, ...]:
        """What pages may load from."""
        return self.door.url, self.cut_off.url, self.narrow.url

    def link(self, letter: str = "u", scope: str = TOPIC) -> str:
        """A link of somebody who has never clicked."""
        return f"{self.door.url}/{letter}/{self.door.token(self.address(), scope)}"

    def address(self) -> str:
        """An address that nobody has used yet."""
        return f"camille.{next(self.numbers)}@example.com"

    async def person_link(self, language: str | None = None) -> str:
        """A link to the preferences of somebody with a phone number and a postal address."""
        number = next(self.numbers)
        email = f"durand.{number}@example.com"
        given = {"phone": f"+33142{number:06}", "post": f"Camille Durand | {number} rue de la Paix | 75002 | FR"}
        await add_person(self.door.context, email, language, **given)
        return f"{self.door.url}/p/{self.door.token(email, TOPIC)}"

    async def confirm_link(self, kind: ConfirmationKind = ConfirmationKind.SUBSCRIBE, *, closed: bool = False) -> str:
        """The link that a message of this kind brings."""
        context = self.door.context
        if closed:
            mail = replace(context.options.mail, confirmation_lifetime=timedelta())
            context = replace(context, options=replace(context.options, mail=mail))
        address = parse_address(self.address())
        opt_ins = (OptIn(TOPIC), OptIn("maison/events"))
        await request_confirmation(context, Confirmation(kind, address, "en", BRAND, opt_ins))
        return await self._newest_link()

    async def change_link(self, step: Step = Step.OLD, new: str = "") -> str:
        """The link by which one of the two addresses answers that one takes the place of the other."""
        pair = [parse_address(self.address()), parse_address(new or self.address())]
        address, other = pair if step is Step.OLD else reversed(pair)
        asked = Confirmation(ConfirmationKind.CHANGE_EMAIL, address, "en", BRAND, other_address=other, step=step)
        await request_confirmation(self.door.context, asked)
        return await self._newest_link()

    async def _newest_link(self) -> str:
        context = self.door.context
        async with context.database.connection() as connection:
            found = await connection.fetchval("SELECT id FROM confirmations ORDER BY asked_at DESC LIMIT 1")
        return f"{self.door.url}/c/{write_confirm_token(context.keyring, found)}"


Enter = Callable[[Page, Site], Awaitable[object]]


@asynccontextmanager
async def open_site(context: Context) -> AsyncIterator[Site]:
    """Serve the pages of a list with titles as a house would have them."""
    for scope, change in SCOPES.items():
        await put_scope(context, scope, change)
    await add_parties(context)
    options = replace(context.options, limits=LimitOptions(typed_per_network_max=0))
    async with (
        open_door(context) as door,
        without_postgresql(door) as cut_off,
        open_door(replace(context, options=options)) as narrow,
    ):
        yield Site(door, cut_off, narrow)


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


async def _post(page: Page, url: str, body: str = "via=page") -> None:
    """Go to a page by a POST that no button of ours would send."""

    async def make_post(route: Route) -> None:
        await route.continue_(method="POST", post_data=body, headers={"Content-Type": FORM_TYPE})

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


async def go_signalled(page: Page, url: str) -> None:
    """Go to a page with a browser that sends Global Privacy Control."""
    await page.set_extra_http_headers({"Sec-GPC": "1"})
    await page.goto(url)
    await page.set_extra_http_headers({})


async def _save(page: Page, site: Site, *, off: str = "", on: str = "") -> None:
    """Touch boxes of somebody's preferences, and save."""
    await page.goto(await site.person_link())
    for name in filter(None, (off, on)):
        await page.get_by_label(name).first.click()
    await press(page, "Save")


async def _save_bad_address(page: Page, site: Site) -> None:
    # Browsers refuse what is no address at all; this one they let through.
    await page.goto(site.link("p"))
    await page.get_by_label("New address, if you want to change it").fill("camille@localhost")
    await press(page, "Save")


async def _save_new_address(page: Page, site: Site, *, times: int = 1) -> None:
    link, new_address = site.link("p"), site.address()
    for _ in range(times):
        await page.goto(link)
        await page.get_by_label("New address, if you want to change it").fill(new_address)
        await press(page, "Save")


async def _go_to_person(page: Page, site: Site) -> None:
    await page.goto(await site.person_link())


async def _stop_person(page: Page, site: Site) -> None:
    await page.goto(await site.person_link())
    await press(page, "Stop everything")


async def _stop_rest(page: Page, site: Site) -> None:
    await _stop_person(page, site)
    await press(page, "Stop these too")


async def _look_after_stopping(page: Page, site: Site) -> None:
    link = await site.person_link()
    await page.goto(link)
    await press(page, "Stop everything")
    await page.goto(link)


async def _confirm(page: Page, site: Site) -> str:
    link = await site.confirm_link()
    await page.goto(link)
    await press(page, "Confirm")
    return link


async def _confirm_again(page: Page, site: Site) -> None:
    await page.goto(await _confirm(page, site))


async def _go_confirm(page: Page, site: Site, kind: ConfirmationKind, *, closed: bool = False) -> None:
    await page.goto(await site.confirm_link(kind, closed=closed))


async def _agree_to_change(page: Page, site: Site, *, times: int = 1) -> None:
    """Answer for the address on file; the second time the new one was written to a moment ago."""
    new = site.address()
    for _ in range(times):
        await page.goto(await site.change_link(new=new))
        await press(page, "Confirm")


async def _change(page: Page, site: Site) -> None:
    await page.goto(await site.change_link(Step.NEW))
    await press(page, "Confirm")


async def _go_to_change(page: Page, site: Site, step: Step) -> None:
    await page.goto(await site.change_link(step))


async def _subscribe(page: Page, site: Site) -> None:
    await page.goto(f"{site.door.url}/subscribe/maison")
    await page.get_by_label("Your e-mail address").fill(site.address())
    await page.get_by_label("The Friday Letter").check()
    await press(page, "Subscribe")


async def _subscribe_to_nothing(page: Page, site: Site) -> None:
    await page.goto(f"{site.door.url}/subscribe")
    await page.get_by_label("Your e-mail address").fill(site.address())
    await press(page, "Subscribe")


async def _type(page: Page, door: Door, address: str) -> None:
    await page.goto(f"{door.url}/unsubscribe")
    await page.get_by_label("Your e-mail address").fill(address)
    await press(page, "Unsubscribe")


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
    "preferences-person": ("Your preferences", _go_to_person),
    "preferences-stopped": ("Your preferences", _look_after_stopping),
    "preferences-signalled": ("Your preferences", lambda page, site: go_signalled(page, site.link("p"))),
    "preferences-bad-address": ("Your preferences", _save_bad_address),
    "saved": ("Your choice is kept.", lambda page, site: _save(page, site, off="The Friday Letter")),
    "saved-and-asked": (
        "Your choice is kept.",
        lambda page, site: _save(page, site, off="The Friday Letter", on="Other companies"),
    ),
    "saved-asked": ("Please look into your mailbox.", _save_new_address),
    "saved-held-back": ("All is as it was.", lambda page, site: _save_new_address(page, site, times=CHANGES_MAX + 1)),
    "saved-nothing": ("All is as it was.", _save),
    "rest-offered": ("Everything is stopped.", _stop_person),
    "rest-stopped": ("This is stopped too.", _stop_rest),
    "confirm": ("Do you want to receive this?", lambda page, site: _go_confirm(page, site, ConfirmationKind.SUBSCRIBE)),
    "confirm-return": ("Do you want this again?", lambda page, site: _go_confirm(page, site, ConfirmationKind.RETURN)),
    "confirm-leaving": (
        "Do you want to change your e-mail address?",
        lambda page, site: _go_to_change(page, site, Step.OLD),
    ),
    "confirm-change": ("Is this your new address?", lambda page, site: _go_to_change(page, site, Step.NEW)),
    "confirmed-leaving": ("Thank you, it is confirmed.", _agree_to_change),
    "confirmed-change": ("Thank you, it is confirmed.", _change),
    "confirm-held-back": ("Please try again later.", lambda page, site: _agree_to_change(page, site, times=2)),
    "confirmed": ("Thank you, it is confirmed.", _confirm),
    "confirmed-already": ("This is confirmed already.", _confirm_again),
    "confirm-expired": (
        "This link has expired.",
        lambda page, site: _go_confirm(page, site, ConfirmationKind.SUBSCRIBE, closed=True),
    ),
    "subscribe": ("Hear from Maison Lumi\u00e8re", lambda page, site: page.goto(f"{site.door.url}/subscribe/maison")),
    "subscribe-all": ("Hear from us", lambda page, site: page.goto(f"{site.door.url}/subscribe")),
    "subscribe-no-choice": ("Hear from us", _subscribe_to_nothing),
    "subscribe-asked": ("Please look into your mailbox.", _subscribe),
    "typed": ("Unsubscribe from everything?", lambda page, site: page.goto(f"{site.door.url}/unsubscribe")),
    "typed-bad-address": (
        "Unsubscribe from everything?",
        lambda page, site: _post(page, f"{site.door.url}/unsubscribe", "email=camille"),
    ),
    "typed-done": ("You are unsubscribed.", lambda page, site: _type(page, site.door, site.address())),
    "too-many": ("Please try again later.", lambda page, site: _type(page, site.narrow, site.address())),
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
