"""Contacts: who the organisation knows, and where they can be reached.

Opt-outs belong to addresses, not to contacts: no change of a contact weakens one (P5). The other way round, a contact
who left everywhere they could be reached on a channel has left at a new address too: what stands on every point of
that channel is said about each one that is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from forbear.domain.contact import check_country, check_external_id, check_language, check_name
from forbear.domain.contact_point import ContactPoint, channel_of
from forbear.domain.errors import InvalidInput, NotFound
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.consents import Consent, check_consents, record_consents
from forbear.services.contact_points import (
    HeldPoint,
    fingerprint_points,
    hint_at,
    list_names,
    open_point,
    seal_point,
)
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.services.suppression import Assertion, Evidence
from forbear.store import Connection
from forbear.store import contact as contact_store
from forbear.store import suppression as suppression_store
from forbear.store.contact import ContactRow, HintRow, Inherited, PointRow
from forbear.store.suppression import EntryState, GrantState

FOUND_MAX: Final = 100
"""How many contacts a search gives at most: a switchboard's number may be that of a whole company."""
POINTS_MAX: Final = 50
"""How many points one contact has at most on a channel."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """What a contact does not want, at all points of one channel, or (None) of every channel."""

    reason: Reason
    scope: str
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class GivenConsent:
    """A consent as it is told of a contact: it holds for the points of its channel that are given or held."""

    channel: Channel
    scope: str
    wording_version: str
    given_at: datetime
    source: Source = Source.API
    origin: str = ""
    evidence: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContactChange:
    """What is said about a contact. Only the `given` fields change: `language country notice_channel name`.

    Of each channel in `points` the points become exactly these, the first to be used first; other channels stay.
    """

    external_id: str
    given: frozenset[str] = frozenset()
    language: str | None = None
    country: str | None = None
    notice_channel: Channel | None = None
    name: str | None = None
    points: Mapping[Channel, Sequence[ContactPoint]] = field(default_factory=dict)
    opt_outs: Sequence[OptOut] = ()
    consents: Sequence[GivenConsent] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it is known, opened."""

    id: int
    external_id: str
    name: str | None
    language: str | None
    country: str | None
    notice_channel: Channel
    points: tuple[HeldPoint, ...]
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands about one point: entries that are not lifted, and grants."""

    entries: Sequence[EntryState]
    grants: Sequence[GrantState]


async def put_contact(context: Context, change: ContactChange, *, source: Source, actor: str) -> tuple[Contact, bool]:
    """Write a contact down, or change what is said about it, in one transaction; and whether it is new.

    Raises `InvalidInput` or `UnknownScope` before anything is written.
    """
    change = _check(change)
    await require_scopes(context, {opt_out.scope for opt_out in change.opt_outs})
    await check_consents(context, [_about(consent, Fingerprint(b"")) for consent in change.consents])
    async with context.database.transaction() as connection:
        contact_id, is_new = await contact_store.put_contact(
            connection,
            change.external_id,
            language=change.language,
            country=change.country,
            notice_channel=change.notice_channel,
            sealed_name=_seal_name(context, change.external_id, change.name),
            given=change.given,
        )
        await _put_points(context, connection, contact_id, change, source=source, actor=actor)
        contact = await _read_one(context, connection, change.external_id)
        await put_hints(context, connection, [contact])
        await _say(context, connection, contact, change, source=source, actor=actor)
    return contact, is_new


async def get_contact(context: Context, external_id: str) -> Contact:
    """A contact by the organisation's own id. Raises `NotFound`."""
    check_external_id(external_id)
    async with context.database.connection() as connection:
        return await _read_one(context, connection, external_id)


async def find_contacts_of(context: Context, keys: Sequence[Fingerprint]) -> list[Contact]:
    """The contacts that have any of these points, the oldest first, `FOUND_MAX` of them at most."""
    async with context.database.connection() as connection:
        rows = await contact_store.list_contacts_of(connection, keys, FOUND_MAX)
        return await open_contacts(context, connection, rows)


async def search_contacts(context: Context, point: ContactPoint) -> list[Contact]:
    """The contacts that can be reached at a point."""
    return await find_contacts_of(context, fingerprint_points(context.keyring, [point]))


async def find_contacts_like(context: Context, name: str, postcode: str = "") -> list[Contact]:
    """The contacts who may be meant by a name, and where one is given by a postcode too. Doubtful by nature."""
    hints = hint_at(context.keyring, name, [postcode])
    async with context.database.connection() as connection:
        rows = await contact_store.list_contacts_like(connection, [hint for _, hint in hints[-1:]], FOUND_MAX)
        return await open_contacts(context, connection, rows)


async def list_standing(context: Context, contact: Contact) -> list[Standing]:
    """What stands about each point of a contact, in their order."""
    async with context.database.connection() as connection:
        return [await _find_standing(context, connection, held) for held in contact.points]


def make_assertions(
    contact: Contact, opt_out: OptOut, source: Source, evidence: Evidence, *, since: datetime | None = None
) -> list[Assertion]:
    """What has to be asserted so that an opt-out holds for every point of a contact whose plain form is known."""
    return [
        Assertion(held.point, opt_out.reason, opt_out.scope, source, held.channel, since=since, evidence=evidence)
        for held in contact.points
        if held.point is not None and opt_out.channel in {None, held.channel}
    ]


async def erase_contact(context: Context, external_id: str, *, actor: str) -> int:
    """Erase every point of a contact as `suppression.erase` does, and the contact with the last; how many there were.

    Raises `NotFound`.
    """
    contact = await get_contact(context, external_id)
    for held in contact.points:
        if held.point is not None:
            await suppression.erase(context, held.point, actor=actor)
    async with context.database.connection() as connection:
        await contact_store.erase_points(connection, [held.fingerprint for held in contact.points])
        await contact_store.delete_contact(connection, contact.id)
    return len(contact.points)


async def open_contacts(context: Context, connection: Connection, rows: Sequence[ContactRow]) -> list[Contact]:
    """Contacts with their points, opened."""
    points: dict[int, list[HeldPoint]] = {row.id: [] for row in rows}
    for point in await contact_store.list_points(connection, list(points)):
        held = open_point(context.keyring, point.channel, point.fingerprint, point.sealed)
        points[point.contact_id].append(held)
    return [_open(context, row, points[row.id]) for row in rows]


async def put_hints(context: Context, connection: Connection, contacts: Sequence[Contact]) -> None:
    """Write down what contacts may be known by, from their names and postal addresses as they are now."""
    hints = []
    for contact in contacts:
        addresses = list_names([held.point for held in contact.points if held.point is not None])
        postcodes = [postcode for _, postcode in addresses]
        for name in dict.fromkeys([contact.name or "", *(name for name, _ in addresses)]):
            hints += [HintRow(contact.id, kind, key) for kind, key in hint_at(context.keyring, name, postcodes)]
    await contact_store.put_hints(connection, [contact.id for contact in contacts], hints)


async def assert_inherited(
    context: Context,
    connection: Connection,
    points: Mapping[Fingerprint, ContactPoint],
    found: Sequence[Inherited],
    *,
    source: Source,
    actor: str,
) -> None:
    """Say about new points what stands on all that their contacts had, as of when it was said."""
    assertions = [
        Assertion(
            points[wish.fingerprint],
            wish.reason,
            wish.scope,
            source,
            wish.channel,
            since=wish.said_at,
            evidence={"carried_over": "it stands on every point that the contact had on this channel"},
        )
        for wish in found
    ]
    drafts = [suppression.make_draft(context, assertion) for assertion in assertions]
    await suppression.add_drafts(connection, drafts, actor=actor)


def _check(change: ContactChange) -> ContactChange:
    check_external_id(change.external_id)
    if any(len(points) > POINTS_MAX for points in change.points.values()):
        raise InvalidInput(f"a contact has {POINTS_MAX} points at most on a channel")
    if change.notice_channel is Channel.PHONE:
        raise InvalidInput("notices go by e-mail or by post")
    if Reason.ERASED in {opt_out.reason for opt_out in change.opt_outs}:
        raise InvalidInput("an erasure is asked for at /v1/erasures")
    return ContactChange(
        change.external_id,
        change.given,
        None if change.language is None else check_language(change.language),
        None if change.country is None else check_country(change.country),
        change.notice_channel,
        None if change.name is None else check_name(change.name) or None,
        change.points,
        change.opt_outs,
        change.consents,
    )


async def _put_points(
    context: Context, connection: Connection, contact_id: int, change: ContactChange, *, source: Source, actor: str
) -> None:
    points = [point for given in change.points.values() for point in given]
    keys = fingerprint_points(context.keyring, points)
    rows = [
        PointRow(contact_id, channel_of(point), key, seal_point(context.keyring, point, key))
        for point, key in zip(points, keys, strict=True)
    ]
    inherited = await contact_store.list_inherited(connection, rows)
    await assert_inherited(
        context, connection, dict(zip(keys, points, strict=True)), inherited, source=source, actor=actor
    )
    for channel in change.points:
        keep = [row.fingerprint for row in rows if row.channel is channel]
        await contact_store.delete_other_points(connection, contact_id, channel, keep)
    await contact_store.put_points(connection, rows)


async def _say(
    context: Context, connection: Connection, contact: Contact, change: ContactChange, *, source: Source, actor: str
) -> None:
    """Record the opt-outs and consents that came with a contact, for the points it has now."""
    drafts = [
        suppression.make_draft(context, assertion)
        for opt_out in change.opt_outs
        for assertion in make_assertions(contact, opt_out, source, {"external_id": contact.external_id})
    ]
    await suppression.add_drafts(connection, drafts, actor=actor)
    consents = [
        _about(consent, held.fingerprint)
        for consent in change.consents
        for held in contact.points
        if held.channel is consent.channel
    ]
    await record_consents(context, connection, consents, actor=actor)


def _about(consent: GivenConsent, key: Fingerprint) -> Consent:
    return Consent(
        consent.channel,
        key,
        consent.scope,
        consent.wording_version,
        consent.given_at,
        consent.source,
        consent.origin,
        consent.evidence,
    )


async def _find_standing(context: Context, connection: Connection, held: HeldPoint) -> Standing:
    exact, wide = [held.fingerprint], list[Fingerprint]()
    if held.point is not None:
        exact, wide = suppression.lookup_keys(context, held.point)
    entries = await suppression_store.list_entries_for(connection, exact, wide, held.channel)
    grants = await suppression_store.list_grants_for(connection, held.fingerprint, held.channel)
    return Standing(
        [entry for entry in entries if entry.lifted_at is None],
        [opt_in for opt_in in grants if opt_in.lifted_at is None],
    )


async def _read_one(context: Context, connection: Connection, external_id: str) -> Contact:
    row = await contact_store.find_contact(connection, external_id)
    if row is None:
        raise NotFound("there is no contact of this external id")
    (contact,) = await open_contacts(context, connection, [row])
    return contact


def _seal_name(context: Context, external_id: str, name: str | None) -> bytes | None:
    return None if name is None else seal_name(context, external_id, name)


def seal_name(context: Context, external_id: str, name: str) -> bytes:
    """Seal a name, bound to whose it is."""
    return context.keyring.seal(Use.CONTACT, name.encode(), external_id.encode())


def _open(context: Context, row: ContactRow, points: Sequence[HeldPoint]) -> Contact:
    name = None
    if row.sealed_name is not None:
        name = context.keyring.open(Use.CONTACT, row.sealed_name, row.external_id.encode()).decode()
    return Contact(
        row.id,
        row.external_id,
        name,
        row.language,
        row.country,
        row.notice_channel,
        tuple(points),
        row.created_at,
        row.changed_at,
    )
