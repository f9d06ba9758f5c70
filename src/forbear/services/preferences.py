"""The preference centre: what may be sent to whoever holds a link, and to whom their data may be given.

Nothing here is stored a second time: "off" is an entry that blocks, "on" is that none does. Possession of a link is no
proof of the address, so a link switches off at once; whatever it would switch on is asked of the address first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from forbear.domain.address import Address, mask_address, parse_address
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.party import Party, PartyKind, kind_scope
from forbear.domain.suppression import (
    EVERYTHING,
    NO_BASIS,
    Channel,
    Outcome,
    Purpose,
    Reason,
    RuleSet,
    Source,
    decide,
    lies_within,
)
from forbear.domain.tokens import LinkToken, UndoToken, write_undo_token
from forbear.language import ENGLISH
from forbear.services import parties, scopes, suppression
from forbear.services.confirmations import request_confirmation
from forbear.services.context import Context
from forbear.services.decision import order_rules
from forbear.services.people import Person, Point, find_person
from forbear.services.scopes import Scope
from forbear.services.sealed_confirmation import Confirmation, OptIn, Step
from forbear.services.subscriptions import list_offers
from forbear.services.suppression import Assertion
from forbear.services.unsubscribe import ACTOR, LinkView, link_proof, open_link, show_link
from forbear.store import Connection
from forbear.store import suppression as suppression_store
from forbear.store.confirmation import ConfirmationKind
from forbear.store.suppression import EntryDraft

SHARING: Final = "sharing"
"""The mark of choices about who may be told."""


@dataclass(frozen=True, slots=True)
class Box:
    """One choice: what is asked about, and whether it is on. Its key names it in the form."""

    key: str
    title: str
    """For a kind of party its word: pages say the rest."""
    description: str
    is_on: bool
    channel: Channel | None = None
    """None where it is about sharing."""
    can_return: bool = True
    """Whether a confirmation switches it on again."""

    @property
    def is_sharing(self) -> bool:
        """Whether it is about who may be told."""
        return self.channel is None


@dataclass(frozen=True, slots=True)
class Brand:
    """The choices about one brand's messages."""

    title: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be sent to one address, number or postal address, which is masked."""

    channel: Channel
    masked: str
    brands: tuple[Brand, ...]
    is_stopped: bool
    """Whether nothing at all is sent there."""
    can_return: bool = True
    """Whether the address may answer for it; see `_answers_for`."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """The whole page."""

    view: LinkView
    reaches: tuple[Reach, ...]
    sharing: tuple[Box, ...]
    is_signalled: bool
    """Whether the browser asks by Global Privacy Control that nobody is told."""

    @property
    def has_many_brands(self) -> bool:
        """Whether brands have to be told apart."""
        return any(len(reach.brands) > 1 for reach in self.reaches)

    @property
    def shares_with_nobody(self) -> bool:
        """Whether there is nothing to choose about sharing."""
        return not any(box.is_on or box.can_return for box in self.sharing)

    @property
    def keys_on(self) -> str:
        """The keys that are shown ticked."""
        return " ".join(box.key for box in self.boxes if box.is_on)

    @property
    def keys_off(self) -> str:
        """The keys that are shown without a tick."""
        return " ".join(box.key for box in self.boxes if not box.is_on)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Every choice of the page."""
        return (*(box for reach in self.reaches for brand in reach.brands for box in brand.boxes), *self.sharing)


@dataclass(frozen=True, slots=True)
class Given:
    """What a form says: keys that were shown on and off, and those that are ticked now."""

    shown_on: frozenset[str]
    shown_off: frozenset[str]
    ticked: frozenset[str]
    new_address: str = ""

    @property
    def stopped(self) -> frozenset[str]:
        """What was taken off."""
        return self.shown_on - self.ticked

    @property
    def wanted(self) -> frozenset[str]:
        """What was ticked. A box that was shown on and since switched off by somebody else is not asked for."""
        return self.shown_off & self.ticked


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a form did: what is off now, and what waits for a confirmation. The new address is masked.

    `is_held_back` says that something was not asked, as a message went out not long ago.
    """

    view: LinkView
    stopped: tuple[Box, ...]
    wished: tuple[Box, ...]
    new_address: str | None = None
    is_held_back: bool = False
    undo_token: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether something waits for a confirmation."""
        return bool(self.wished or self.new_address)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds a link, and all that stands about their points."""

    link: LinkToken
    address: Address
    person: Person
    view: LinkView
    rules: Mapping[Fingerprint, RuleSet] = field(default_factory=dict)


async def view_preferences(
    context: Context, token: str, *, accepted: str = ENGLISH, is_signalled: bool = False
) -> Preferences:
    """What may be sent to the holder of a link. Raises `BrokenToken`, `KeyNotAtHand` or `ListUnavailable`."""
    return await _show(context, await _open(context, token, accepted), is_signalled=is_signalled)


async def list_rest(context: Context, token: str, *, accepted: str = ENGLISH) -> tuple[Box, ...]:
    """What else the link's address may be sent by e-mail, apart from what the link itself leaves."""
    holder = await _open(context, token, accepted)
    address, *_ = (await _show(context, holder)).reaches
    left = holder.link.scope
    return tuple(
        box
        for brand in address.brands
        for box in brand.boxes
        if box.is_on and not lies_within(box.key.partition(":")[2], left)
    )


async def choose(
    context: Context, token: str, given: Given, *, evidence: Mapping[str, object], accepted: str = ENGLISH
) -> Chosen:
    """Switch off what was taken off, committed when this returns, and tell what was ticked.

    Keys that are nobody's are passed over. Raises `InvalidAddress` for a new address that is none, with nothing done.
    """
    new_address = parse_address(given.new_address) if given.new_address else None
    holder = await _open(context, token, accepted)
    page = await _show(context, holder)
    titles = {box.key: box.title for box in page.boxes}
    drafts = [draft for key in given.stopped if key in titles for draft in _draft_stop(context, holder, key, evidence)]
    done = await suppression.write_drafts(context, drafts, actor=ACTOR) if drafts else []
    events = tuple(line.event_id for line in done if line.is_new)
    until = context.now() + context.options.undo_window
    wished = [box for box in page.boxes if box.key in given.wanted and box.can_return]
    is_asked = bool(wished) and await _ask_back(context, holder, wished, evidence)
    is_written_to = new_address is not None and await _ask_change(context, holder, new_address, evidence)
    return Chosen(
        holder.view,
        stopped=tuple(box for box in page.boxes if box.key in given.stopped),
        wished=tuple(wished) if is_asked else (),
        new_address=mask_address(new_address.raw) if new_address is not None and is_written_to else None,
        is_held_back=(bool(wished), new_address is not None) != (is_asked, is_written_to),
        undo_token=write_undo_token(context.keyring, UndoToken(events, until), holder.link.address) if events else None,
    )


async def stop_rest(
    context: Context, token: str, *, evidence: Mapping[str, object], accepted: str = ENGLISH
) -> tuple[LinkView, tuple[Point, ...]]:
    """Stop everything at the holder's other points too: phone numbers and postal addresses."""
    holder = await _open(context, token, accepted)
    others = holder.person.others
    drafts = [_draft(context, holder, (point, Reason.OBJECTION, EVERYTHING), evidence) for point in others]
    if drafts:
        await suppression.write_drafts(context, drafts, actor=ACTOR)
    return holder.view, others


async def honour_signal(context: Context, token: str, *, evidence: Mapping[str, object]) -> None:
    """Record Global Privacy Control for the holder of a link: nobody may be told about them.

    It only ever restricts, and touches no messages. Where it is on record already nothing is written.
    """
    holder = await _open(context, token, ENGLISH)
    missing = [point for point in holder.person.points if not _is_told_to_nobody(holder.rules[point.fingerprint])]
    if missing:
        wanted = [(point, Reason.NO_SHARING, EVERYTHING) for point in missing]
        drafts = [_draft(context, holder, line, evidence, source=Source.GPC) for line in wanted]
        await suppression.write_drafts(context, drafts, actor=ACTOR)


def _is_told_to_nobody(rules: RuleSet) -> bool:
    return any(getattr(rule, "reason", None) is Reason.NO_SHARING and rule.scope == EVERYTHING for rule in rules)


async def _open(context: Context, token: str, accepted: str) -> Holder:
    link, address = open_link(context, token)
    person = await find_person(context, address)
    view = await show_link(context, link, accepted, person.language)
    async with context.database.connection() as connection:
        rules = {point.fingerprint: await _find_rules(context, connection, point) for point in person.points}
    return Holder(link, address, person, view, rules)


async def _find_rules(context: Context, connection: Connection, point: Point) -> RuleSet:
    exact, wide = suppression.lookup_keys(context, point.target)
    _, found = await suppression_store.find_rules(connection, exact, wide, point.channel)
    return order_rules(found)


async def _show(context: Context, holder: Holder, *, is_signalled: bool = False) -> Preferences:
    own = holder.link.scope.partition("/")[0]
    offered = sorted(list_offers(await scopes.find_scopes(context)), key=lambda offer: offer[0].name != own)
    reaches = tuple(_show_reach(context, holder, point, offered) for point in holder.person.points)
    return Preferences(holder.view, reaches, await _show_sharing(context, holder), is_signalled)


def _show_reach(context: Context, holder: Holder, point: Point, offered: Sequence[tuple[Scope, list[Scope]]]) -> Reach:
    rules, language = holder.rules[point.fingerprint], holder.view.language
    can_return = _answers_for(holder, point)
    brands = tuple(
        Brand(
            scopes.title_of(brand, language),
            tuple(
                Box(
                    f"{point.mark}:{scope.name}",
                    scopes.title_of(scope, language),
                    scopes.description_of(scope, language),
                    _is_sent(context, rules, scope.name),
                    point.channel,
                    can_return,
                )
                for scope in own
            ),
        )
        for brand, own in offered
    )
    is_stopped = not any(box.is_on for brand in brands for box in brand.boxes)
    return Reach(point.channel, point.masked, brands, is_stopped, can_return)


def _is_sent(context: Context, rules: RuleSet, scope: str) -> bool:
    return decide(rules, Purpose.MARKETING, scope, context.options.policy).outcome is Outcome.DELIVER


async def _show_sharing(context: Context, holder: Holder) -> tuple[Box, ...]:
    """A choice for each kind of party that there is; one about everybody where there is none."""
    known = [Party(row.name, row.kind) for row in await parties.list_parties(context) if row.ended_at is None]
    titles = {row.name: row.title for row in await parties.list_parties(context)}
    rules = [holder.rules[point.fingerprint] for point in holder.person.points]
    boxes = []
    for kind in (PartyKind.AFFILIATE, PartyKind.COSPONSOR, PartyKind.THIRD_PARTY):
        own = [party for party in known if party.kind is kind]
        if own:
            is_on = any(_is_told(context, each, party) for each in rules for party in own)
            names = ", ".join(titles[party.name] for party in own)
            boxes.append(Box(f"{SHARING}:{kind_scope(kind)}", kind.value, names, is_on))
    if not boxes:
        is_on = any(_is_told(context, each, None) for each in rules)
        boxes.append(Box(f"{SHARING}:{SHARING}", "anybody", "", is_on, can_return=False))
    return tuple(boxes)


def _is_told(context: Context, rules: RuleSet, party: Party | None) -> bool:
    """Whether a party may be told, as far as it is the person's choice."""
    verdict = decide(rules, Purpose.SHARING, EVERYTHING, context.options.policy, party)
    is_in_its_promotion = party is not None and party.kind is PartyKind.COSPONSOR and verdict.reason == NO_BASIS
    return verdict.outcome is Outcome.DELIVER or is_in_its_promotion


def _draft_stop(context: Context, holder: Holder, key: str, evidence: Mapping[str, object]) -> Iterable[EntryDraft]:
    mark, _, scope = key.partition(":")
    for point in holder.person.points:
        if mark == SHARING:
            yield _draft(context, holder, (point, Reason.NO_SHARING, scope), evidence)
        elif mark == point.mark:
            yield _draft(context, holder, (point, Reason.UNSUBSCRIBE, scope), evidence)


async def _ask_back(context: Context, holder: Holder, wished: Sequence[Box], evidence: Mapping[str, object]) -> bool:
    """Ask the address itself for what it wants; whether a message goes out."""
    opt_ins = tuple(opt_in for box in wished for opt_in in _list_opt_ins(holder, box.key))
    asked = await _make_question(context, holder, ConfirmationKind.RETURN, holder.address, evidence)
    return await request_confirmation(context, replace(asked, opt_ins=opt_ins))


async def _ask_change(context: Context, holder: Holder, new_address: Address, evidence: Mapping[str, object]) -> bool:
    """Ask the address of the link whether another is to take its place; whether a message goes out."""
    asked = await _make_question(context, holder, ConfirmationKind.CHANGE_EMAIL, holder.address, evidence)
    return await request_confirmation(context, replace(asked, other_address=new_address, step=Step.OLD))


async def _make_question(
    context: Context, holder: Holder, kind: ConfirmationKind, address: Address, evidence: Mapping[str, object]
) -> Confirmation:
    proof = {**evidence, **link_proof(holder.link)}
    scope = await _find_asking_scope(context, holder)
    return Confirmation(kind, address, holder.view.language, scope, evidence=proof)


def _list_opt_ins(holder: Holder, key: str) -> list[OptIn]:
    """What a box stands for. What is about sharing is about the person, so it holds for all that is surely theirs."""
    mark, _, scope = key.partition(":")
    return [
        OptIn(scope, point.channel, None if point is holder.person.address else point.fingerprint)
        for point in holder.person.points
        if mark in {SHARING, point.mark} and _answers_for(holder, point)
    ]


def _answers_for(holder: Holder, point: Point) -> bool:
    """Whether the address may switch on what is sent to a point of its contact.

    Where several contacts have the address, it is not known whose number a number is: anybody of them may switch it
    off, and nobody of them may switch it on for another.
    """
    return point is holder.person.address or not holder.person.is_shared


async def _find_asking_scope(context: Context, holder: Holder) -> str:
    """The brand that a message speaks for; a link may be older than what is registered."""
    brand = holder.link.scope.partition("/")[0]
    return brand if brand in await scopes.find_scopes(context) else EVERYTHING


def _draft(
    context: Context,
    holder: Holder,
    wanted: tuple[Point, Reason, str],
    evidence: Mapping[str, object],
    *,
    source: Source = Source.PREFERENCES,
) -> EntryDraft:
    point, reason, scope = wanted
    proof = {**evidence, **link_proof(holder.link)}
    keep = context.options.click_evidence
    assertion = Assertion(point.target, reason, scope, source, evidence=proof, keep_evidence=keep)
    return suppression.make_draft(context, assertion)
