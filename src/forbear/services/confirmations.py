"""Confirmations: whatever means more mail is asked of the address first, by a message with a link that works once.

The answer proves the address. It makes a grant for each scope that was asked for, and no other (P4), and it lifts the
bounces of that address. Asking does and says the same for those whom we know and those whom we do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from forbear.domain.address import Address, mask_address, parse_address
from forbear.domain.errors import BrokenToken
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.party import PartyKind, is_sharing_scope, kind_scope
from forbear.domain.suppression import EVERYTHING, Channel, Reason, Source
from forbear.domain.tokens import read_confirm_token, write_confirm_token
from forbear.language import format_date, translate
from forbear.services import contacts, limits, parties, scopes, suppression
from forbear.services.consents import Consent, grant_scope
from forbear.services.contacts import ContactChange
from forbear.services.context import Context
from forbear.services.limits import Limit
from forbear.services.outbox import Message, MessageKind, queue_message
from forbear.services.suppression import Assertion
from forbear.store import Connection
from forbear.store import confirmation as confirmation_store
from forbear.store import suppression as suppression_store
from forbear.store.confirmation import ConfirmationKind, ConfirmationRow
from forbear.store.suppression import EntryState

ACTOR: Final = "recipient"
WORDING_VERSION: Final = "confirmation-1"
"""The version of what our own confirmations say; whoever changes those sentences' meaning changes it."""
CHANGES_MAX: Final = 3
"""How many new addresses one address may name within a window; each of them gets a message."""
_MESSAGES: Final = {
    ConfirmationKind.SUBSCRIBE: MessageKind.CONFIRM_SUBSCRIPTION,
    ConfirmationKind.RETURN: MessageKind.CONFIRM_RETURN,
    ConfirmationKind.CHANGE_EMAIL: MessageKind.CONFIRM_CHANGE,
    ConfirmationKind.LIFT_BOUNCE: MessageKind.CONFIRM_BOUNCE,
}
_NOT_CARRIED_OVER: Final = frozenset({Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE, Reason.ERASED, Reason.FRIEND_ONLY})
"""What is about an address and not about what somebody wants; all else follows them to a new one."""


class Outcome(StrEnum):
    """What an answer came to."""

    DONE = "done"
    USED = "used"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class OptIn:
    """One scope that is asked for: at the address itself, or (with a fingerprint) at a number or postal address."""

    scope: str
    channel: Channel = Channel.EMAIL
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What an address is asked to confirm.

    `address` is who must answer: for a change of e-mail the new one, with the old one beside it. `scope` is the brand
    that asks, or everything. `evidence` says who asked, and is kept as long as what it proves.
    """

    kind: ConfirmationKind
    address: Address
    language: str
    scope: str = EVERYTHING
    opt_ins: tuple[OptIn, ...] = ()
    old_address: Address | None = None
    source: Source = Source.PREFERENCES
    origin: str = ""
    wording_version: str = WORDING_VERSION
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page may show about a confirmation: no address in clear but to whoever has proven it."""

    kind: ConfirmationKind
    outcome: Outcome | None
    """None while it is open."""
    language: str
    scope: str
    brand: str
    masked_address: str
    old_address: str
    """Masked; empty unless an address is changed."""
    titles: tuple[str, ...]
    address: Address | None = None
    """Only once it was confirmed by this very answer."""


async def request_confirmation(context: Context, asked: Confirmation) -> bool:
    """Send an address what it is to confirm, once per address and kind in a window; whether a message goes out.

    The same statements run whoever it is. Raises `UnknownScope` or `InvalidInput`.
    """
    names = {opt_in.scope for opt_in in asked.opt_ins} | {asked.scope}
    await scopes.require_scopes(context, names)
    options, confirmation_id = context.options.mail, uuid4()
    key = suppression.fingerprint_keys(context, asked.address).match
    message = await _write_message(context, asked, confirmation_id)
    sealed = context.keyring.seal(Use.CONFIRMATION, _pack(asked), confirmation_id.bytes)
    limit = Limit(f"confirmation_{asked.kind}", 1, options.confirmation_window)
    async with context.database.transaction() as connection:
        if asked.old_address is not None and not await _may_change(context, connection, asked.old_address):
            return False
        if not await limits.count_within(context, connection, limit, key.hex()):
            return False
        await confirmation_store.add_confirmation(
            connection,
            confirmation_id,
            asked.kind,
            fingerprint=key,
            sealed=sealed,
            lifetime=options.confirmation_lifetime,
        )
        await queue_message(context, connection, message)
    return True


async def _may_change(context: Context, connection: Connection, old: Address) -> bool:
    """Whether a link may have one more new address written to: whoever has it could name strangers for ever."""
    limit = Limit("address_changes", CHANGES_MAX, context.options.mail.confirmation_window)
    key = suppression.fingerprint_keys(context, old).match
    return await limits.count_within(context, connection, limit, key.hex())


async def view_confirmation(context: Context, token: str) -> Asked:
    """What a link asks to confirm, without doing anything. Raises `BrokenToken`, `KeyNotAtHand`, `ListUnavailable`."""
    confirmation_id = read_confirm_token(context.keyring, token)
    row = await _find(context, confirmation_id)
    return await _show(context, _unpack(context, row, confirmation_id), _outcome_of(row))


async def confirm(context: Context, token: str, *, evidence: Mapping[str, object]) -> Asked:
    """Do what was asked for, once, committed when this returns; `outcome` says whether this answer did it.

    Raises `BrokenToken`, `KeyNotAtHand` or `ListUnavailable`.
    """
    confirmation_id = read_confirm_token(context.keyring, token)
    row = await _find(context, confirmation_id)
    asked, outcome = _unpack(context, row, confirmation_id), _outcome_of(row)
    if outcome is not None:
        return await _show(context, asked, outcome)
    proof = {
        "confirmation": confirmation_id.hex,
        "asked_at": row.asked_at.isoformat(),
        "asked": dict(asked.evidence),
        "answered": dict(evidence),
    }
    # The contact comes first, in a transaction of its own: broken off in between, the same answer does it again.
    if asked.kind is ConfirmationKind.CHANGE_EMAIL and asked.old_address is not None:
        await _change_contacts(context, asked.old_address, asked.address)
    async with context.database.transaction() as connection:
        if not await confirmation_store.use_confirmation(connection, confirmation_id):
            return await _show(context, asked, _outcome_of(await _find(context, confirmation_id)) or Outcome.USED)
        await _apply(context, connection, asked, row.fingerprint, proof)
    return await _show(context, asked, Outcome.DONE, asked.address)


async def _apply(
    context: Context, connection: Connection, asked: Confirmation, key: Fingerprint, proof: Mapping[str, object]
) -> None:
    sealed = context.keyring.seal(Use.EVIDENCE, orjson.dumps(dict(proof)))
    await confirmation_store.lift_bounces(connection, key, source=asked.source, actor=ACTOR, sealed_evidence=sealed)
    for opt_in in asked.opt_ins:
        consent = Consent(
            opt_in.channel,
            opt_in.fingerprint or key,
            opt_in.scope,
            asked.wording_version,
            None,
            asked.source,
            asked.origin,
            proof,
        )
        await grant_scope(context, connection, consent, actor=ACTOR)
    if asked.kind is ConfirmationKind.CHANGE_EMAIL and asked.old_address is not None:
        await _carry_over(context, connection, asked, asked.old_address)
        for address in (asked.old_address, asked.address):
            told = Message(MessageKind.ADDRESS_CHANGED, address, asked.language, asked.scope, {})
            await queue_message(context, connection, told)


async def _change_contacts(context: Context, old: Address, new: Address) -> None:
    """Put the new address in the place of the old one, at every contact that has it."""
    old_key = suppression.fingerprint_keys(context, old).match
    for contact in await contacts.find_contacts_of(context, [old_key]):
        kept = [held.point for held in contact.points if held.channel is Channel.EMAIL and held.fingerprint != old_key]
        points = [new, *(point for point in kept if point is not None and point.match != new.match)]
        change = ContactChange(contact.external_id, points={Channel.EMAIL: points})
        await contacts.put_contact(context, change, source=Source.PREFERENCES, actor=ACTOR)


async def _carry_over(context: Context, connection: Connection, asked: Confirmation, old: Address) -> None:
    """Say about the new address what its owner did not want at the old one, where it stays too (P5)."""
    exact, wide = suppression.lookup_keys(context, old)
    found = await suppression_store.list_entries_for(connection, exact[:1], wide, Channel.EMAIL)
    drafts = [
        suppression.make_draft(context, _repeat(entry, asked))
        for entry in found
        if entry.lifted_at is None and entry.reason not in _NOT_CARRIED_OVER
    ]
    await suppression.add_drafts(connection, drafts, actor=ACTOR)


def _repeat(entry: EntryState, asked: Confirmation) -> Assertion:
    evidence = {"carried_over": "the e-mail address was changed"}
    return Assertion(asked.address, entry.reason, entry.scope, asked.source, since=entry.since, evidence=evidence)


async def _write_message(context: Context, asked: Confirmation, confirmation_id: UUID) -> Message:
    last_day = (context.now() + context.options.mail.confirmation_lifetime).date()
    token = write_confirm_token(context.keyring, confirmation_id)
    values = {
        "link": f"{context.options.public_url}/c/{token}",
        "day": format_date(last_day, asked.language),
        "choices": [
            {"title": title, "channel": opt_in.channel.value}
            for opt_in, title in zip(asked.opt_ins, await _list_titles(context, asked), strict=True)
        ],
    }
    return Message(_MESSAGES[asked.kind], asked.address, asked.language, asked.scope, values)


async def _list_titles(context: Context, asked: Confirmation) -> list[str]:
    known = await scopes.find_scopes(context)
    titles = {}
    if any(is_sharing_scope(opt_in.scope) for opt_in in asked.opt_ins):
        titles = await list_sharing_titles(context, asked.language)
    return [
        titles.get(opt_in.scope) or scopes.title_of(known[opt_in.scope], asked.language)
        if opt_in.scope in known or opt_in.scope in titles
        else opt_in.scope
        for opt_in in asked.opt_ins
    ]


def _(message: str) -> str:
    """Mark a sentence for the catalogues; it is said in a language later."""
    return message


_SHARING_TITLES: Final = {
    PartyKind.AFFILIATE: _("That our affiliated companies are told about you"),
    PartyKind.THIRD_PARTY: _("That other companies are told about you, for their own advertising"),
    PartyKind.COSPONSOR: _("That partners in a promotion are told about you"),
}


async def list_sharing_titles(context: Context, language: str) -> dict[str, str]:
    """What people call the choices about who may be told, by scope."""
    titles = {kind_scope(kind): translate(language, message) for kind, message in _SHARING_TITLES.items()}
    named = _("That %(party)s is told about you")
    for row in await parties.list_parties(context):
        titles[f"sharing/{row.name}"] = translate(language, named, party=row.title)
    return titles


async def _find(context: Context, confirmation_id: UUID) -> ConfirmationRow:
    """The row behind a token; one that retention or an erasure took away answers like a damaged link."""
    async with context.database.connection() as connection:
        row = await confirmation_store.find_confirmation(connection, confirmation_id)
    if row is None:
        raise BrokenToken
    return row


def _outcome_of(row: ConfirmationRow) -> Outcome | None:
    if row.is_used:
        return Outcome.USED
    return Outcome.CLOSED if row.is_closed else None


async def _show(
    context: Context, asked: Confirmation, outcome: Outcome | None, address: Address | None = None
) -> Asked:
    brand = (await scopes.find_scopes(context)).get(asked.scope.partition("/")[0])
    return Asked(
        kind=asked.kind,
        outcome=outcome,
        language=asked.language,
        scope=asked.scope,
        brand="" if brand is None or brand.name == EVERYTHING else scopes.title_of(brand, asked.language),
        masked_address=mask_address(asked.address.raw),
        old_address="" if asked.old_address is None else mask_address(asked.old_address.raw),
        titles=tuple(await _list_titles(context, asked)),
        address=address,
    )


def _pack(asked: Confirmation) -> bytes:
    return orjson.dumps(
        {
            "address": asked.address.raw,
            "language": asked.language,
            "scope": asked.scope,
            "opt_ins": [
                [opt_in.scope, opt_in.channel.value, opt_in.fingerprint and opt_in.fingerprint.hex()]
                for opt_in in asked.opt_ins
            ],
            "old_address": asked.old_address and asked.old_address.raw,
            "source": asked.source.value,
            "origin": asked.origin,
            "wording_version": asked.wording_version,
            "evidence": dict(asked.evidence),
        }
    )


def _unpack(context: Context, row: ConfirmationRow, confirmation_id: UUID) -> Confirmation:
    plain = context.keyring.open(Use.CONFIRMATION, row.sealed, confirmation_id.bytes)
    found: dict[str, Any] = orjson.loads(plain)
    return Confirmation(
        kind=row.kind,
        address=parse_address(found["address"]),
        language=found["language"],
        scope=found["scope"],
        opt_ins=tuple(_read_opt_in(*line) for line in found["opt_ins"]),
        old_address=parse_address(found["old_address"]) if found["old_address"] else None,
        source=Source(found["source"]),
        origin=found["origin"],
        wording_version=found["wording_version"],
        evidence=found["evidence"],
    )


def _read_opt_in(scope: str, channel: str, fingerprint: str | None) -> OptIn:
    return OptIn(scope, Channel(channel), None if fingerprint is None else Fingerprint(bytes.fromhex(fingerprint)))


def list_opt_ins(names: Sequence[str]) -> tuple[OptIn, ...]:
    """Opt-ins for scopes at the address itself."""
    return tuple(OptIn(name) for name in dict.fromkeys(names))
