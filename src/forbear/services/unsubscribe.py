"""What a recipient's link does: leave this list, stop everything, and take the last answer back.

Possession of a link is no proof of the address. It may only ever restrict; the one thing it may take back is what
it did itself in the last minutes, with the token that the answer handed out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from forbear.domain.address import Address, mask_address, parse_intake
from forbear.domain.errors import BrokenToken, InvalidAddress, NothingToUndo
from forbear.domain.suppression import EVERYTHING, Channel, Outcome, Purpose, Reason, Source, lies_within
from forbear.domain.tokens import (
    LinkToken,
    UndoToken,
    read_link_token,
    read_undo_token,
    write_link_token,
    write_undo_token,
)
from forbear.language import ENGLISH, choose_language
from forbear.services import decision, scopes, suppression
from forbear.services.context import Context
from forbear.services.decision import Question
from forbear.services.people import Point, find_person, find_spoken
from forbear.services.suppression import Assertion
from forbear.store import suppression as suppression_store
from forbear.store.suppression import UndoneEntry

ACTOR = "recipient"


class Choice(StrEnum):
    """What a recipient may stop."""

    LIST = "list"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class LinkView:
    """What a page may show about a link: never the address itself."""

    masked_address: str
    brand: str
    list_title: str
    scope: str
    language: str
    """What the person is spoken to in."""

    @property
    def kind(self) -> str:
        """Which sentences fit: `everything`, `brand` or `topic`."""
        if self.is_everything:
            return "everything"
        return "topic" if self.brand and "/" in self.scope else "brand"

    @property
    def name(self) -> str:
        """The name of the brand, or of whatever else the link is about."""
        return self.brand or self.list_title

    @property
    def is_everything(self) -> bool:
        """Whether the link's own list is everything already."""
        return self.scope == EVERYTHING


@dataclass(frozen=True, slots=True)
class OptOut:
    """What an opt-out did; `undo_token` is there only where there is something to take back."""

    view: LinkView
    choice: Choice
    was_done_already: bool
    undo_token: str | None
    others: tuple[Point, ...] = ()
    """Where else the person is called or written to, after everything was stopped at the address."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking back did; `is_back` says whether the list's messages reach the address again.

    It is None where these were not concerned: a page of preferences takes back calls, or another list.
    """

    view: LinkView
    is_back: bool | None


async def view_link(context: Context, token: str, *, accepted: str = ENGLISH) -> LinkView:
    """Read a link without doing anything. Raises `BrokenToken`, `KeyNotAtHand` or `ListUnavailable`.

    `accepted` is the language that the browser asks for, for who has not told us theirs.
    """
    link, address = open_link(context, token)
    return await show_link(context, link, accepted, await find_spoken(context, address))


async def opt_out(
    context: Context,
    token: str,
    choice: Choice,
    *,
    source: Source,
    evidence: Mapping[str, object],
    accepted: str = ENGLISH,
) -> OptOut:
    """Apply a link's opt-out; committed when this returns.

    `list` unsubscribes from the link's own scope; `everything` is an objection to all marketing.
    Raises `BrokenToken`, `KeyNotAtHand` or `ListUnavailable`.
    """
    link, address = open_link(context, token)
    # What the answer shows is read first: once the opt-out is committed, nothing may fail that would hide it.
    person = None if source is Source.ONE_CLICK else await find_person(context, address)
    view = await show_link(context, link, accepted, None if person is None else person.language)
    reason, scope = (Reason.UNSUBSCRIBE, link.scope) if choice is Choice.LIST else (Reason.OBJECTION, EVERYTHING)
    proof = {**evidence, **link_proof(link)}
    assertion = Assertion(address, reason, scope, source, evidence=proof, keep_evidence=context.options.click_evidence)
    done = (await suppression.assert_entries(context, [assertion], actor=ACTOR))[0]
    undo_token = None
    if done.is_new:
        until = context.now() + context.options.undo_window
        undo_token = write_undo_token(context.keyring, UndoToken((done.event_id,), until), link.address)
    others = person.others if person is not None and choice is Choice.EVERYTHING else ()
    return OptOut(view, choice, not done.is_new, undo_token, others)


async def undo(context: Context, token: str, undo_token: str, *, accepted: str = ENGLISH) -> Undone:
    """Take back what one answer did, once and within its window.

    Raises `NothingToUndo` when the window has passed, it was undone already, or somebody has opted the address
    out again since; `BrokenToken` when the undo token belongs to another address.
    """
    link, address = open_link(context, token)
    permission = read_undo_token(context.keyring, undo_token, link.address)
    if context.now() > permission.until:
        raise NothingToUndo
    view = await show_link(context, link, accepted, await find_spoken(context, address))
    async with context.database.transaction() as connection:
        undone = await suppression_store.undo_events(connection, permission.events, actor=ACTOR)
    if not undone:
        raise NothingToUndo
    if not any(_is_about_list(entry, link) for entry in undone):
        return Undone(view, None)
    checked = await decision.decide_all(context, [address], Question(Purpose.MARKETING, link.scope))
    return Undone(view, checked.verdicts[0].outcome is Outcome.DELIVER)


def _is_about_list(entry: UndoneEntry, link: LinkToken) -> bool:
    return (
        entry.channel is Channel.EMAIL
        and entry.reason is not Reason.NO_SHARING
        and lies_within(link.scope, entry.scope)
    )


def open_link(context: Context, token: str) -> tuple[LinkToken, Address]:
    """What a link says, and whose it is. Raises `BrokenToken` or `KeyNotAtHand`."""
    link = read_link_token(context.keyring, token)
    try:
        target = parse_intake(link.address)
    except InvalidAddress as error:
        raise BrokenToken from error
    if not isinstance(target, Address):
        raise BrokenToken
    return link, target


def make_link(context: Context, address: str, scope: str) -> str:
    """A token for somebody who has just proven that the address is theirs."""
    return write_link_token(context.keyring, LinkToken(address, scope, "", context.now().date()))


def link_proof(link: LinkToken) -> dict[str, object]:
    """What a link adds to the evidence of a click."""
    return {"campaign": link.campaign, "link_scope": link.scope, "link_made": link.minted.isoformat()}


async def show_link(context: Context, link: LinkToken, accepted: str, spoken: str | None = None) -> LinkView:
    """What a page may show about a link, in the person's own language or else the browser's."""
    language = choose_language(spoken, accepted)
    known = await scopes.find_scopes(context)
    brand_name = link.scope.partition("/")[0]
    brand, own = known.get(brand_name), known.get(link.scope)
    return LinkView(
        masked_address=mask_address(link.address),
        brand=scopes.title_of(brand, language) if brand is not None and brand_name != EVERYTHING else "",
        list_title=scopes.title_of(own, language) if own is not None else link.scope,
        scope=link.scope,
        language=language,
    )
