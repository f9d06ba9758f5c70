"""Suppressing, lifting, searching, erasing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import orjson

from forbear.domain.address import Domain
from forbear.domain.contact_point import ContactPoint, Target, channel_of
from forbear.domain.errors import Busy, InvalidInput, NotFound
from forbear.domain.fingerprint import AddressKeys, Fingerprint, Kind
from forbear.domain.keys import Use
from forbear.domain.party import is_sharing_scope
from forbear.domain.suppression import EVERYTHING, Channel, Reason, Source, is_wide
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.store import Connection
from forbear.store import confirmation as confirmation_store
from forbear.store import contact as contact_store
from forbear.store import outbox as outbox_store
from forbear.store import suppression as suppression_store
from forbear.store.suppression import EntryDraft, EntryFilter, EntryRow, Written

_ATTEMPTS: Final = 5
_TURN_LOCK_WAIT: Final = timedelta(milliseconds=200)
"""How long clicks that are written together wait for an entry that an import or an undo has locked."""
_THREAD_FROM: Final = 200
"""This many and more are fingerprinted and sealed in a thread, so that the event loop stays free."""
Evidence = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Assertion:
    """One opt-out on its way into the list.

    `since` is when it was made, where that was earlier than now. `evidence` is what proves it (sealed, JSON);
    `keep_evidence` limits how long it is kept. The channel is the target's; saying another raises `InvalidInput`,
    and so does a scope of `sharing` with another reason than `no_sharing`.
    """

    target: Target
    reason: Reason
    scope: str
    source: Source
    channel: Channel | None = None
    since: datetime | None = None
    evidence: Evidence = field(default_factory=dict)
    keep_evidence: timedelta | None = None

    def __post_init__(self) -> None:
        if is_sharing_scope(self.scope) and self.reason is not Reason.NO_SHARING:
            raise InvalidInput("a scope of 'sharing' says who may not be told: its reason is 'no_sharing'")
        if self.channel not in {None, channel_of(self.target)}:
            raise InvalidInput(f"this is no address on the channel {self.channel!r}")


@dataclass(frozen=True, slots=True)
class Asserted:
    """What became of an assertion; `event_id` names it in the history."""

    entry_id: int
    event_id: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry as a search shows it; the address is None where it is not known or was erased."""

    row: EntryRow
    address: str | None
    is_of_target: bool
    """Whether it is about the very address or domain that was asked for, not another spelling or its domain."""


async def suppress(context: Context, assertions: Sequence[Assertion], *, actor: str) -> list[Asserted]:
    """Put opt-outs into the list, committed when this returns; one answer per assertion, in order.

    Suppressing again changes nothing but the history; suppressing what was lifted revives it.
    Raises `UnknownScope` before anything is written.
    """
    await require_scopes(context, {assertion.scope for assertion in assertions})
    return await assert_entries(context, assertions, actor=actor)


async def assert_entries(context: Context, assertions: Sequence[Assertion], *, actor: str) -> list[Asserted]:
    """The same without asking whether the scopes are registered: a link that was once made must always work."""
    if len(assertions) == 1:
        return [await _assert_one(context, assertions[0], actor)]
    if len(assertions) < _THREAD_FROM:
        drafts = _make_drafts(context, assertions)
    else:
        drafts = await asyncio.to_thread(_make_drafts, context, assertions)
    return await write_drafts(context, drafts, actor=actor)


async def write_drafts(
    context: Context, drafts: Sequence[EntryDraft], *, actor: str, batch_id: int | None = None
) -> list[Asserted]:
    """Put drafts into the list, whatever they are about, committed when this returns; one answer each, in order."""
    async with context.database.connection() as connection:
        written = await _write_all(connection, drafts, actor=actor, batch_id=batch_id)
    return [Asserted(line.entry_id, line.event_id, line.is_new) for line in written]


async def add_drafts(connection: Connection, drafts: Sequence[EntryDraft], *, actor: str) -> None:
    """The same inside the caller's transaction, with which it is committed."""
    await _write_all(connection, drafts, actor=actor)


async def _assert_one(context: Context, assertion: Assertion, actor: str) -> Asserted:
    """Assert an entry together with those that others assert at the same moment: of clicks there are many."""
    draft = make_draft(context, assertion)
    key = draft.fingerprint, draft.channel, draft.scope, draft.reason

    async def write(drafts: Sequence[EntryDraft]) -> Sequence[Written]:
        return await _write_turn(context, drafts, actor)

    written = await context.single_writes.join(draft, write, group=actor, key=key)
    return Asserted(written.entry_id, written.event_id, written.is_new)


async def _write_turn(context: Context, drafts: Sequence[EntryDraft], actor: str) -> Sequence[Written]:
    """Write drafts, all or none of them; several at once wait for nobody who has locked one of their entries."""
    if len(drafts) == 1:
        async with context.database.connection() as connection:
            return await _write_all(connection, drafts, actor=actor)
    async with context.database.transaction() as connection:
        await suppression_store.limit_lock_waits(connection, _TURN_LOCK_WAIT)
        return await _write_all(connection, drafts, actor=actor)


async def lift(context: Context, entry_id: int, *, actor: str, why: str, within: Sequence[str] | None = None) -> None:
    """Lift one standing entry, by a named operator with a reason. Raises `NotFound` when none stands `within`."""
    evidence = context.keyring.seal(Use.EVIDENCE, orjson.dumps({"why": why}))
    async with context.database.connection() as connection:
        if not await suppression_store.lift_entry(
            connection, entry_id, source=Source.OPERATOR, actor=actor, sealed_evidence=evidence, within=within
        ):
            raise NotFound("no such entry stands")


async def erase(context: Context, address: ContactPoint, *, actor: str) -> Asserted:
    """Erase what identifies an address, and keep it suppressed by its fingerprint (P6)."""
    key = fingerprint_keys(context, address).match
    draft = make_draft(context, Assertion(address, Reason.ERASED, EVERYTHING, Source.ERASURE))
    async with context.database.transaction() as connection:
        written = await _write_all(connection, [draft], actor=actor)
        # The entry is there before anything is deleted: a failure in between leaves more than it should, never less.
        await suppression_store.erase_address(connection, key)
        await contact_store.erase_points(connection, [key])
        await outbox_store.withhold_messages(connection, key)
        await confirmation_store.delete_confirmations_of(connection, key)
    return Asserted(written[0].entry_id, written[0].event_id, written[0].is_new)


async def search(
    context: Context,
    wanted: EntryFilter,
    *,
    target: Target | None = None,
    below: int = suppression_store.NEWEST,
    limit: int,
) -> list[FoundEntry]:
    """Entries by filter, newest first, with ids below `below`."""
    exact, wide = ([], []) if target is None else lookup_keys(context, target)
    async with context.database.connection() as connection:
        if target is None:
            rows = await suppression_store.search_entries(connection, wanted, below=below, limit=limit)
        else:
            rows = await suppression_store.search_entries_of(connection, exact, wide, wanted, below=below, limit=limit)
    return [
        FoundEntry(row, open_address(context, row.sealed_address, row.fingerprint), row.fingerprint in exact[:1])
        for row in rows
    ]


def lookup_keys(context: Context, target: Target) -> tuple[list[Fingerprint], list[Fingerprint]]:
    """The fingerprints under which the list may speak about a target: exact forms, and wide ones."""
    if isinstance(target, Domain):
        return context.keyring.fingerprints.email.make(Kind.DOMAIN, [target.domain]), []
    keys = fingerprint_keys(context, target)
    exact = [keys.match] if keys.domain is None else [keys.match, keys.domain]
    return exact, [] if keys.wide is None else [keys.wide]


def fingerprint_keys(context: Context, address: ContactPoint) -> AddressKeys:
    """The fingerprints of one address, on its channel."""
    return context.keyring.fingerprints.of(channel_of(address)).make_keys([address])[0]


def open_address(context: Context, sealed: bytes | None, fingerprint: Fingerprint) -> str | None:
    """The plain address, where it is kept."""
    if sealed is None:
        return None
    return context.keyring.open(Use.ADDRESS, sealed, fingerprint).decode("utf-8", "surrogatepass")


def _make_drafts(context: Context, assertions: Sequence[Assertion]) -> list[EntryDraft]:
    return [make_draft(context, assertion) for assertion in assertions]


def make_draft(context: Context, assertion: Assertion) -> EntryDraft:
    """The row to be written: fingerprints, and the address and evidence sealed."""
    target = assertion.target
    channel = channel_of(target)
    fingerprinter = context.keyring.fingerprints.of(channel)
    wide: Fingerprint | None = None
    if isinstance(target, Domain):
        kind, plain = Kind.DOMAIN, "@" + target.domain
        fingerprint = fingerprinter.make(Kind.DOMAIN, [target.domain])[0]
    else:
        kind, plain = Kind.MATCH, target.raw
        fingerprint = fingerprinter.make(Kind.MATCH, [target.match])[0]
        if target.wide is not None and context.options.wide_matching and is_wide(assertion.reason, assertion.source):
            wide = fingerprinter.make(Kind.WIDE, [target.wide])[0]
    sealed_evidence = (
        context.keyring.seal(Use.EVIDENCE, orjson.dumps(dict(assertion.evidence))) if assertion.evidence else None
    )
    return EntryDraft(
        fingerprint=fingerprint,
        wide=wide,
        kind=kind,
        channel=channel,
        scope=assertion.scope,
        reason=assertion.reason,
        source=assertion.source,
        since=assertion.since,
        sealed_address=context.keyring.seal(Use.ADDRESS, plain.encode("utf-8", "surrogatepass"), fingerprint),
        sealed_evidence=sealed_evidence,
        expires_at=None if assertion.keep_evidence is None else context.now() + assertion.keep_evidence,
    )


async def _write_all(
    connection: Connection, drafts: Sequence[EntryDraft], *, actor: str, batch_id: int | None = None
) -> list[Written]:
    """Write drafts, asking again for those that met another writer at the same moment."""
    done: dict[int, Written] = {}
    for _ in range(_ATTEMPTS):
        missing = [place for place in range(len(drafts)) if place not in done]
        if not missing:
            break
        given = [drafts[place] for place in missing]
        written = await suppression_store.add_entries(connection, given, actor=actor, batch_id=batch_id)
        done.update({missing[line.place]: line for line in written})
    if len(done) < len(drafts):
        raise Busy("the same entries are being written by others")
    return [done[place] for place in range(len(drafts))]
