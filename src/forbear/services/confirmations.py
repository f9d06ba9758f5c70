"""Confirmations: whatever means more mail is asked of the address first, by a message with a link that works once.

The answer proves the address. It makes a grant for each scope that was asked for, and no other (P4), and it lifts the
bounces of that address. A change of address is asked of the one on file, and after its answer of the new one.
Asking does and says the same for those whom we know and those whom we do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid4

import orjson

from forbear.domain.address import Address, mask_address
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
from forbear.services.sealed_confirmation import Confirmation, Step, pack_confirmation, unpack_confirmation
from forbear.services.suppression import Assertion
from forbear.store import Connection
from forbear.store import confirmation as confirmation_store
from forbear.store import suppression as suppression_store
from forbear.store.confirmation import ConfirmationKind, ConfirmationRow
from forbear.store.suppression import EntryState

ACTOR: Final = "recipient"
CHANGES_MAX: Final = 3
"""How many new addresses may be named for one address within a window; it is asked about each of them."""
ASKED_MAX: Final = 5
"""How many confirmations go to one address within a window, of all kinds and brands."""
BOUNCED_ASKED_MAX: Final = 1
"""The same for one that has hard bounced: whoever writes to such addresses often is taken for a sender of spam."""
_MESSAGES: Final = {
    ConfirmationKind.SUBSCRIBE: MessageKind.CONFIRM_SUBSCRIPTION,
    ConfirmationKind.RETURN: MessageKind.CONFIRM_RETURN,
    ConfirmationKind.CHANGE_EMAIL: MessageKind.CONFIRM_CHANGE,
}
_NOT_CARRIED_OVER: Final = frozenset({Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE, Reason.ERASED, Reason.FRIEND_ONLY})
"""What is about an address and not about what somebody wants; all else follows them to a new one."""


class Outcome(StrEnum):
    """What an answer came to."""

    DONE = "done"
    USED = "used"
    CLOSED = "closed"
    HELD_BACK = "held_back"
    """The new address was written to not long ago; the link stays open for a later answer."""


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
    other_address: str
    """Masked; empty unless an address is changed."""
    step: Step | None
    titles: tuple[str, ...]
    address: Address | None = None
    """Only once it was confirmed by this very answer."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A confirmation ready to be written, with the message that asks for it."""

    asked: Confirmation
    confirmation_id: UUID
    key: Fingerprint
    sealed: bytes
    message: Message


class _HeldBack(Exception):
    """The address is asked too often; whatever the transaction wrote is taken back."""


async def request_confirmation(context: Context, asked: Confirmation) -> bool:
    """Send an address what it is to confirm, once per address, kind and brand in a window; whether a message goes out.

    The same statements run whoever it is. Raises `UnknownScope` or `InvalidInput`.
    """
    draft = await _make_draft(context, asked)
    try:
        async with context.database.transaction() as connection:
            await _ask(context, connection, draft)
    except _HeldBack:
        return False
    return True


async def _make_draft(context: Context, asked: Confirmation) -> _Draft:
    names = {opt_in.scope for opt_in in asked.opt_ins} | {asked.scope}
    await scopes.require_scopes(context, names)
    confirmation_id = uuid4()
    return _Draft(
        asked,
        confirmation_id,
        suppression.fingerprint_keys(context, asked.address).match,
        context.keyring.seal(Use.CONFIRMATION, pack_confirmation(asked), confirmation_id.bytes),
        await _write_message(context, asked, confirmation_id),
    )


async def _ask(context: Context, connection: Connection, draft: _Draft) -> None:
    """Write a confirmation and its message. Raises `_HeldBack` after all statements: how many ran tells nothing."""
    is_within = await _count(context, connection, draft)
    await confirmation_store.add_confirmation(
        connection,
        draft.confirmation_id,
        draft.asked.kind,
        fingerprint=draft.key,
        sealed=draft.sealed,
        lifetime=context.options.mail.confirmation_lifetime,
    )
    await queue_message(context, connection, draft.message)
    if not is_within:
        raise _HeldBack


async def _count(context: Context, connection: Connection, draft: _Draft) -> bool:
    """Count a confirmation; whether the address may be asked it."""
    asked, window, subject = draft.asked, context.options.mail.confirmation_window, draft.key.hex()
    if asked.step is Step.NEW:
        # Bounced or not, known or not: whoever had it asked is told the same about somebody else's address.
        return await limits.count_within(context, connection, Limit("confirmation_new", 1, window), subject)
    most = CHANGES_MAX if asked.step is Step.OLD else 1
    of_brand = Limit(f"confirmation_{asked.kind}", most, window)
    is_bounced = await confirmation_store.has_hard_bounced(connection, draft.key)
    of_address = Limit("confirmations", BOUNCED_ASKED_MAX if is_bounced else ASKED_MAX, window)
    counted = [
        await limits.count_within(context, connection, of_brand, f"{subject} {asked.scope}"),
        await limits.count_within(context, connection, of_address, subject),
    ]
    return all(counted)


async def view_confirmation(context: Context, token: str) -> Asked:
    """What a link asks to confirm, without doing anything. Raises `BrokenToken`, `KeyNotAtHand`, `ListUnavailable`."""
    confirmation_id = read_confirm_token(context.keyring, token)
    row = await _find(context, confirmation_id)
    asked = unpack_confirmation(context, row, confirmation_id)
    return await _show(context, asked, _outcome_of(row, asked))


async def confirm(context: Context, token: str, *, evidence: Mapping[str, object]) -> Asked:
    """Do what was asked for, once, committed when this returns; `outcome` says whether this answer did it.

    Raises `BrokenToken`, `KeyNotAtHand` or `ListUnavailable`.
    """
    confirmation_id = read_confirm_token(context.keyring, token)
    row = await _find(context, confirmation_id)
    asked = unpack_confirmation(context, row, confirmation_id)
    outcome = _outcome_of(row, asked)
    if outcome is not None:
        return await _show(context, asked, outcome)
    proof = {
        "confirmation": confirmation_id.hex,
        "asked_at": row.asked_at.isoformat(),
        "asked": dict(asked.evidence),
        "answered": dict(evidence),
    }
    # The contact comes first, in a transaction of its own: broken off in between, the same answer does it again.
    if asked.step is Step.NEW and asked.other_address is not None:
        await _change_contacts(context, asked.other_address, asked.address)
    following = await _make_following(context, asked, proof)
    try:
        async with context.database.transaction() as connection:
            if not await confirmation_store.use_confirmation(connection, confirmation_id):
                return await _show(context, asked, await _find_outcome(context, confirmation_id, asked))
            await _apply(context, connection, asked, row.fingerprint, proof)
            if following is not None:
                await _ask(context, connection, following)
    except _HeldBack:
        return await _show(context, asked, Outcome.HELD_BACK)
    return await _show(context, asked, Outcome.DONE, asked.address)


async def _make_following(context: Context, asked: Confirmation, proof: Mapping[str, object]) -> _Draft | None:
    """What the new address is asked once the one on file has agreed; its evidence is that answer."""
    if asked.step is not Step.OLD or asked.other_address is None:
        return None
    following = replace(
        asked, address=asked.other_address, other_address=asked.address, step=Step.NEW, evidence={"agreed": dict(proof)}
    )
    return await _make_draft(context, following)


async def _find_outcome(context: Context, confirmation_id: UUID, asked: Confirmation) -> Outcome:
    """Why a confirmation cannot be used; another answer came first."""
    return _outcome_of(await _find(context, confirmation_id), asked) or Outcome.USED


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
    if asked.step is Step.NEW and asked.other_address is not None:
        await _carry_over(context, connection, asked, asked.other_address)
        for address in (asked.other_address, asked.address):
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
    values: dict[str, object] = {
        "link": f"{context.options.public_url}/c/{token}",
        "day": format_date(last_day, asked.language),
        "choices": [
            {"title": title, "channel": opt_in.channel.value}
            for opt_in, title in zip(asked.opt_ins, await _list_titles(context, asked), strict=True)
        ],
    }
    kind = _MESSAGES[asked.kind]
    if asked.step is Step.OLD and asked.other_address is not None:
        kind = MessageKind.CONFIRM_LEAVING
        values["new_address"] = mask_address(asked.other_address.raw)
    return Message(kind, asked.address, asked.language, asked.scope, values)


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


def _outcome_of(row: ConfirmationRow, asked: Confirmation) -> Outcome | None:
    """A change without a step is older than the rule that the address on file is asked: it is never made."""
    if row.is_used:
        return Outcome.USED
    is_old = asked.kind is ConfirmationKind.CHANGE_EMAIL and asked.step is None
    return Outcome.CLOSED if row.is_closed or is_old else None


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
        other_address="" if asked.other_address is None else mask_address(asked.other_address.raw),
        step=asked.step,
        titles=tuple(await _list_titles(context, asked)),
        address=address,
    )
