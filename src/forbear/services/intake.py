"""Intake: what people ask for by phone, by letter, by e-mail or in person, taken down by somebody of ours.

It is applied at once to all that is certain: what the person gave, whether or not anybody knows it, and every point of
each contact that has exactly one of these. Where a name is given too and one alone of those who share an address or a
number fits it, the others are doubtful. Whoever is doubtful, or only like the person, waits for somebody to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import orjson

from forbear.domain.address import Address, Domain, parse_address
from forbear.domain.contact import fits_name
from forbear.domain.contact_point import ContactPoint, channel_of, parse_target
from forbear.domain.errors import InvalidAddress, InvalidInput, NotFound
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.legal_clock import Clock, Jurisdiction, Request, find_clock
from forbear.domain.postal_address import PostalFields
from forbear.domain.suppression import EVERYTHING, Channel, Reason, Source
from forbear.language import choose_language, format_date
from forbear.services import contacts, scopes, suppression
from forbear.services.contact_points import HeldPoint, fingerprint_points, list_names, plain_of
from forbear.services.contacts import Contact, OptOut, make_assertions
from forbear.services.context import Context
from forbear.services.outbox import Message, MessageKind, queue_message
from forbear.services.suppression import Assertion
from forbear.store import Connection
from forbear.store import intake as intake_store
from forbear.store.intake import Decision, IntakeChannel, IntakeDraft, IntakeRow, MatchRow

TEXT_CHARACTERS_MAX: Final = 200
NOTE_CHARACTERS_MAX: Final = 4000
CERTAIN_MAX: Final = 5
"""A number that more contacts than this share is a household's or a switchboard's: whose it is, somebody decides."""
_SOURCES: Final = {
    IntakeChannel.PHONE: Source.PHONE,
    IntakeChannel.IN_PERSON: Source.PHONE,
    IntakeChannel.LETTER: Source.LETTER,
    IntakeChannel.EMAIL: Source.LETTER,
}


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gave of themselves: any of it. `region` is that of a national phone number."""

    name: str = ""
    email: str = ""
    phone: str = ""
    region: str | None = None
    post: PostalFields | None = None

    def __repr__(self) -> str:
        """Say nothing of it."""
        return "<Given>"


@dataclass(frozen=True, slots=True)
class Intake:
    """A request as somebody takes it down."""

    channel: IntakeChannel
    request: Request
    taken_by: str
    reference: str
    received_on: date
    jurisdiction: Jurisdiction
    given: Given
    scopes: tuple[str, ...] = ()
    note: str = ""
    language: str | None = None
    """Of the receipt; None for that of the contact who is meant."""


@dataclass(frozen=True, slots=True)
class Match:
    """A contact that may be meant; None where it is gone since."""

    row: MatchRow
    contact: Contact | None


@dataclass(frozen=True, slots=True)
class IntakeView:
    """A request with all that was found and decided."""

    row: IntakeRow
    given: Mapping[str, Any]
    points: tuple[HeldPoint, ...]
    """What the person gave, as far as it could be read."""
    matches: tuple[Match, ...]
    clock: Clock


async def take_request(context: Context, intake: Intake, *, actor: str) -> IntakeView:
    """Write a request down and apply it to all that is certain, committed when this returns.

    Raises `InvalidInput`, `InvalidAddress` or `UnknownScope` before anything is written.
    """
    _check(context, intake)
    if intake.request is Request.SCOPES:
        await scopes.require_scopes(context, set(intake.scopes))
    points = _read_points(intake.given)
    matches = await _find_matches(context, intake.given, points)
    clock = find_clock(intake.jurisdiction, intake.request)
    due_on = clock.find_due_day(intake.received_on)
    draft = IntakeDraft(
        channel=intake.channel,
        request=intake.request,
        scopes=intake.scopes,
        jurisdiction=intake.jurisdiction,
        taken_by=intake.taken_by.strip(),
        reference=intake.reference.strip(),
        received_on=intake.received_on,
        due_on=due_on,
        actor=actor,
        sealed=context.keyring.seal(Use.INTAKE, _pack(intake, points)),
    )
    certain = [match for match in matches if match.row.is_certain]
    async with context.database.transaction() as connection:
        intake_id = await intake_store.add_intake(connection, draft)
        await intake_store.add_matches(connection, intake_id, [match.row for match in matches])
        proof = _proof(draft, intake_id)
        await _assert(context, connection, _assertions_of_points(points, draft, proof), actor)
        for match in certain:
            await _apply(context, connection, intake_id, draft, match, actor=actor, why="certain")
        await intake_store.close_intake(connection, intake_id)
        await _queue_receipt(context, connection, intake, due_on, [match.contact for match in certain if match.contact])
    return await get_request(context, intake_id)


async def resolve(
    context: Context, intake_id: int, contact_id: int | None, decision: Decision, *, actor: str, why: str
) -> IntakeView:
    """Decide about a contact who may be meant, or (None) that the whole is done; once, with a reason.

    Raises `NotFound` where there is no such request or contact, and `InvalidInput` where it was decided before.
    """
    if not why.strip():
        raise InvalidInput("a decision says why")
    if (decision is Decision.DONE) != (contact_id is None):
        raise InvalidInput("a contact is applied or rejected; the request as a whole is done")
    view = await get_request(context, intake_id)
    match = next((match for match in view.matches if match.row.contact_id == contact_id), None)
    if contact_id is not None and match is None:
        raise NotFound("this request is about no such contact")
    async with context.database.transaction() as connection:
        await intake_store.lock_intake(connection, intake_id)
        if decision is Decision.APPLIED and match is not None:
            is_new = await _apply(context, connection, intake_id, view.row, match, actor=actor, why=why.strip())
        else:
            is_new = await intake_store.add_decision(
                connection, intake_id, contact_id, decision, actor=actor, why=why.strip()
            )
        if not is_new:
            raise InvalidInput("this was decided before")
        await intake_store.close_intake(connection, intake_id)
    return await get_request(context, intake_id)


async def get_request(context: Context, intake_id: int) -> IntakeView:
    """A request with all that was found. Raises `NotFound`."""
    async with context.database.connection() as connection:
        row = await intake_store.find_intake(connection, intake_id)
        if row is None:
            raise NotFound("there is no such request")
        matches = await intake_store.list_matches(connection, intake_id)
    found = [Match(match, await _find_contact(context, match)) for match in matches]
    given: dict[str, Any] = orjson.loads(context.keyring.open(Use.INTAKE, row.sealed))
    points = tuple(_reopen(context, channel, plain) for channel, plain in given.pop("points"))
    return IntakeView(row, given, points, tuple(found), find_clock(row.jurisdiction, row.request))


async def list_due(context: Context, *, after: tuple[date, int] = (date.min, 0), limit: int) -> list[IntakeRow]:
    """Requests of which something is left to do, what is due first first."""
    async with context.database.connection() as connection:
        return await intake_store.list_due_intakes(connection, after, limit)


async def list_requests(context: Context, *, below: int, limit: int) -> list[IntakeRow]:
    """All requests, the newest first."""
    async with context.database.connection() as connection:
        return await intake_store.list_intakes(connection, below, limit)


def _check(context: Context, intake: Intake) -> None:
    for name, text in (("taken_by", intake.taken_by), ("reference", intake.reference)):
        if not text.strip() or len(text) > TEXT_CHARACTERS_MAX or "@" in text:
            raise InvalidInput(f"{name}: 1 to {TEXT_CHARACTERS_MAX} characters, and no e-mail address")
    if len(intake.note) > NOTE_CHARACTERS_MAX or len(intake.given.name) > TEXT_CHARACTERS_MAX:
        raise InvalidInput("the name or the note is too long")
    if intake.received_on > context.now().date() + timedelta(days=1):
        raise InvalidInput("received_on: it cannot have come in the future")
    if (intake.request is Request.SCOPES) != bool(intake.scopes):
        raise InvalidInput("scopes are given where, and only where, it is scopes that are to stop")
    given = intake.given
    if not (given.name.strip() or given.email or given.phone or given.post):
        raise InvalidInput("nothing is given that tells who it is: a name, an e-mail address, a number or an address")


def _read_points(given: Given) -> list[ContactPoint]:
    """What was given, read liberally: what was written down in a hurry must not be lost."""
    wanted = [
        (Channel.EMAIL, given.email, None),
        (Channel.PHONE, given.phone, given.region),
        (Channel.POST, given.post, None),
    ]
    points = []
    for channel, value, region in wanted:
        if value:
            target = parse_target(channel, value, region)
            if isinstance(target, Domain):
                raise InvalidAddress("a person has an address, not a whole domain")
            points.append(target)
    return points


async def _find_matches(context: Context, given: Given, points: Sequence[ContactPoint]) -> list[Match]:
    found: dict[int, Match] = {}
    name = given.name.strip() or ("" if given.post is None else given.post.name)
    for point in points:
        those = await contacts.search_contacts(context, point)
        certain = _list_certain(those, name)
        for contact in those:
            is_certain = contact in certain or (contact.id in found and found[contact.id].row.is_certain)
            found[contact.id] = Match(MatchRow(contact.id, contact.external_id, is_certain), contact)
    if name:
        postcode = "" if given.post is None else given.post.postcode
        for contact in await contacts.find_contacts_like(context, name, postcode):
            found.setdefault(contact.id, Match(MatchRow(contact.id, contact.external_id, False), contact))
    return list(found.values())


def _list_certain(those: Sequence[Contact], name: str) -> Sequence[Contact]:
    """Whom of those who have one point a request from there is surely about: the one of the name, or else all."""
    if len(those) > CERTAIN_MAX:
        return ()
    named = [contact for contact in those if any(fits_name(name, known) for known in _names_of(contact))]
    return named if len(named) == 1 else those


def _names_of(contact: Contact) -> list[str]:
    return [
        contact.name or "",
        *(name for name, _ in list_names([held.point for held in contact.points if held.point])),
    ]


async def _apply(
    context: Context,
    connection: Connection,
    intake_id: int,
    draft: IntakeDraft,
    match: Match,
    *,
    actor: str,
    why: str,
) -> bool:
    """Apply a request to every point of a contact, and write that down; False where it was decided before."""
    is_new = await intake_store.add_decision(
        connection, intake_id, match.row.contact_id, Decision.APPLIED, actor=actor, why=why
    )
    if is_new and match.contact is not None:
        proof = _proof(draft, intake_id)
        source, since = _SOURCES[draft.channel], _end_of(draft.received_on)
        assertions = [
            assertion
            for opt_out in _opt_outs(draft)
            for assertion in make_assertions(match.contact, opt_out, source, proof, since=since)
        ]
        await _assert(context, connection, assertions, actor)
    return is_new


async def _assert(context: Context, connection: Connection, assertions: Sequence[Assertion], actor: str) -> None:
    drafts = [suppression.make_draft(context, assertion) for assertion in assertions]
    if drafts:
        await suppression.add_drafts(connection, drafts, actor=actor)


def _opt_outs(draft: IntakeDraft) -> list[OptOut]:
    match draft.request:
        case Request.EVERYTHING:
            return [OptOut(Reason.OBJECTION, EVERYTHING)]
        case Request.NO_SHARING:
            return [OptOut(Reason.NO_SHARING, EVERYTHING)]
        case Request.SCOPES:
            return [OptOut(Reason.UNSUBSCRIBE, scope) for scope in draft.scopes]
        case Request.CHANGE:
            return []


def _assertions_of_points(
    points: Sequence[ContactPoint], draft: IntakeDraft, proof: Mapping[str, object]
) -> list[Assertion]:
    return [
        Assertion(
            point,
            opt_out.reason,
            opt_out.scope,
            _SOURCES[draft.channel],
            channel_of(point),
            since=_end_of(draft.received_on),
            evidence=proof,
        )
        for opt_out in _opt_outs(draft)
        for point in points
    ]


def _end_of(day: date) -> datetime:
    """When at the latest it was said: what came in between on that day is taken for older."""
    return datetime.combine(day, time.max, UTC)


def _proof(draft: IntakeDraft, intake_id: int) -> dict[str, object]:
    return {
        "intake": intake_id,
        "channel": draft.channel.value,
        "reference": draft.reference,
        "taken_by": draft.taken_by,
        "received_on": draft.received_on.isoformat(),
    }


async def _queue_receipt(
    context: Context, connection: Connection, intake: Intake, due_on: date, certain: Sequence[Contact]
) -> None:
    """Tell the person what was recorded, where there is an address to write to. It offers nothing."""
    address = _read_email(intake.given.email) if intake.given.email else _find_email(certain)
    if address is None:
        return
    language = choose_language(intake.language, *(contact.language for contact in certain))
    known = await scopes.find_scopes(context)
    titles = [scopes.title_of(known[name], language) for name in intake.scopes if name in known]
    values = {
        "reference": intake.reference.strip(),
        "day": format_date(intake.received_on, language),
        "due_day": format_date(due_on, language),
        "request": intake.request.value,
        "choices": [{"title": title, "channel": ""} for title in titles],
    }
    await queue_message(context, connection, Message(MessageKind.RECEIPT, address, language, EVERYTHING, values))


def _read_email(text: str) -> Address | None:
    try:
        return parse_address(text) if text else None
    except InvalidAddress:
        return None


def _find_email(certain: Sequence[Contact]) -> Address | None:
    """The first address of the contact who is surely meant; None where that is nobody, or one of several."""
    held = certain[0].points if len(certain) == 1 else ()
    return next((each.point for each in held if isinstance(each.point, Address)), None)


async def _find_contact(context: Context, match: MatchRow) -> Contact | None:
    try:
        contact = await contacts.get_contact(context, match.external_id)
    except NotFound:
        return None
    return contact if contact.id == match.contact_id else None


def _pack(intake: Intake, points: Sequence[ContactPoint]) -> bytes:
    return orjson.dumps(
        {
            "name": intake.given.name.strip(),
            "note": intake.note.strip(),
            "points": [(channel_of(point).value, plain_of(point)) for point in points],
        }
    )


def _reopen(context: Context, channel: str, plain: str) -> HeldPoint:
    target = parse_target(Channel(channel), plain)
    if isinstance(target, Domain):
        return HeldPoint(Channel(channel), Fingerprint(b""), None)
    (key,) = fingerprint_points(context.keyring, [target])
    return HeldPoint(Channel(channel), key, target)
