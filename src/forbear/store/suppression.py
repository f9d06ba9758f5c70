"""The list itself: entries, grants, their history and what proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from forbear.domain.contact_point import FORM_VERSIONS
from forbear.domain.errors import ListUnavailable
from forbear.domain.fingerprint import Fingerprint, Kind
from forbear.domain.suppression import Channel, Reason, Source
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("suppression")
NEWEST = 2**63 - 1
"""Above every entry id: where a search begins."""


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An assertion on its way into the list; `since` None means now, `expires_at` is the evidence's."""

    fingerprint: Fingerprint
    wide: Fingerprint | None
    kind: Kind
    channel: Channel
    scope: str
    reason: Reason
    source: Source
    since: datetime | None
    sealed_address: bytes | None
    sealed_evidence: bytes | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a draft: `place` is its position from 0."""

    place: int
    entry_id: int
    event_id: int
    is_new: bool
    """Whether nothing stood there before; only then may its event be undone."""


@dataclass(frozen=True, slots=True)
class UndoneEntry:
    """What an entry said that was taken back."""

    channel: Channel
    scope: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class FoundRule:
    """One standing entry (`reason` set) or grant (`reason` None) under the fingerprint that found it."""

    id: int
    key: Fingerprint
    reason: Reason | None
    scope: str
    at: datetime
    is_wide: bool


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as a search shows it."""

    id: int
    fingerprint: Fingerprint
    kind: Kind
    channel: Channel
    scope: str
    reason: Reason
    source: Source
    batch_id: int | None
    since: datetime
    lifted_at: datetime | None
    sealed_address: bytes | None


@dataclass(frozen=True, slots=True)
class EntryState:
    """An entry as an explanation shows it, lifted or not."""

    id: int
    kind: Kind
    scope: str
    reason: Reason
    source: Source
    batch_id: int | None
    since: datetime
    asserted_at: datetime
    lifted_at: datetime | None
    by_wide: bool


@dataclass(frozen=True, slots=True)
class GrantState:
    """A grant, lifted or not."""

    id: int
    scope: str
    source: Source
    granted_at: datetime
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of an entry's history."""

    id: int
    entry_id: int
    at: datetime
    action: str
    source: Source
    batch_id: int | None
    actor: str
    sealed_evidence: bytes | None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """What a search asks for; None asks for anything."""

    reason: Reason | None = None
    scope: str | None = None
    source: Source | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_lifted: bool = False
    within: Sequence[str] | None = None
    """Scopes; entries of these, and of the topics of those that are brands."""


async def add_entries(
    connection: Connection, drafts: Sequence[EntryDraft], *, actor: str, batch_id: int | None = None
) -> list[Written]:
    """Assert entries in one statement.

    A draft may be missing from the answer when another transaction wrote the same entry at the same moment:
    the entry stands, only its event is not written; ask again for those.
    """
    columns = zip(
        *(
            (
                draft.fingerprint,
                draft.wide,
                draft.kind.value,
                draft.channel.value,
                draft.scope,
                draft.reason.value,
                draft.source.value,
                draft.since,
                draft.sealed_address,
                draft.sealed_evidence,
                draft.expires_at,
                FORM_VERSIONS[draft.channel],
            )
            for draft in drafts
        ),
        strict=True,
    )
    rows = await connection.fetch(_SQL["add_entries"], *(list(column) for column in columns), batch_id, actor)
    return [Written(row["place"] - 1, row["entry_id"], row["event_id"], row["is_new"]) for row in rows]


async def limit_lock_waits(connection: Connection, longest: timedelta) -> None:
    """Within this transaction, raise `Busy` where somebody holds a lock for longer."""
    await connection.fetchval(_SQL["limit_lock_waits"], f"{round(longest.total_seconds() * 1000)}ms")


async def find_rules(
    connection: Connection, keys: Sequence[Fingerprint], wide_keys: Sequence[Fingerprint], channel: Channel
) -> tuple[datetime, list[FoundRule]]:
    """All that stands about these fingerprints (match and domain forms, wide forms), and a moment before the answer.

    Whatever was committed before that moment is in it. Raises `ListUnavailable` at a standby, which may lag behind.
    """
    moment, *rows = await connection.fetch(_SQL["find_rules"], keys, wide_keys, channel.value)
    if moment["at"] is None:
        raise ListUnavailable("PostgreSQL is a standby: decisions ask the primary")
    return moment["at"], [
        FoundRule(
            row["id"],
            Fingerprint(row["key"]),
            None if row["reason"] is None else Reason(row["reason"]),
            row["scope"],
            row["at"],
            row["wide"],
        )
        for row in rows
    ]


async def lift_entry(
    connection: Connection,
    entry_id: int,
    *,
    source: Source,
    actor: str,
    sealed_evidence: bytes,
    within: Sequence[str] | None = None,
) -> bool:
    """Lift a standing entry; False when none stands under this id, or none within these scopes and brands."""
    event_id = await connection.fetchval(_SQL["lift_entry"], entry_id, source.value, actor, sealed_evidence, within)
    return event_id is not None


async def undo_events(connection: Connection, events: Sequence[int], *, actor: str) -> list[UndoneEntry]:
    """Lift what these events asserted where nothing has spoken for it since. Needs a transaction."""
    await connection.execute(_SQL["lock_entries"], events)
    rows = await connection.fetch(_SQL["undo_events"], events, actor)
    return [UndoneEntry(Channel(row["channel"]), row["scope"], Reason(row["reason"])) for row in rows]


async def search_entries(
    connection: Connection, wanted: EntryFilter, *, below: int = NEWEST, limit: int
) -> list[EntryRow]:
    """Entries by filter, newest first, with ids below `below`."""
    rows = await connection.fetch(_SQL["search_entries"], below, *_filter_values(wanted), limit, wanted.within)
    return [_entry_row(row) for row in rows]


async def search_entries_of(
    connection: Connection,
    keys: Sequence[Fingerprint],
    wide_keys: Sequence[Fingerprint],
    wanted: EntryFilter,
    *,
    below: int = NEWEST,
    limit: int,
) -> list[EntryRow]:
    """The same among the entries that speak about one address."""
    rows = await connection.fetch(
        _SQL["search_entries_of"], below, *_filter_values(wanted), limit, wanted.within, keys, wide_keys
    )
    return [_entry_row(row) for row in rows]


async def list_entries_for(
    connection: Connection, keys: Sequence[Fingerprint], wide_keys: Sequence[Fingerprint], channel: Channel
) -> list[EntryState]:
    """Every entry, lifted ones too, that speaks about these fingerprints, in the order of assertion."""
    rows = await connection.fetch(_SQL["list_entries_for"], keys, wide_keys, channel.value)
    return [
        EntryState(
            row["id"],
            Kind(row["kind"]),
            row["scope"],
            Reason(row["reason"]),
            Source(row["source"]),
            row["batch_id"],
            row["since"],
            row["asserted_at"],
            row["lifted_at"],
            row["by_wide"],
        )
        for row in rows
    ]


async def list_grants_for(connection: Connection, key: Fingerprint, channel: Channel) -> list[GrantState]:
    """Every grant for a match fingerprint."""
    rows = await connection.fetch(_SQL["list_grants_for"], key, channel.value)
    return [
        GrantState(row["id"], row["scope"], Source(row["source"]), row["granted_at"], row["lifted_at"]) for row in rows
    ]


async def list_events_of(connection: Connection, entry_ids: Sequence[int]) -> list[EventRow]:
    """The history of entries, oldest first."""
    rows = await connection.fetch(_SQL["list_events_of"], entry_ids)
    return [
        EventRow(
            row["id"],
            row["entry_id"],
            row["at"],
            row["action"],
            Source(row["source"]),
            row["batch_id"],
            row["actor"],
            row["evidence"],
        )
        for row in rows
    ]


async def erase_address(connection: Connection, key: Fingerprint) -> tuple[int, int]:
    """Delete the sealed address and the evidence of a fingerprint; how many of each there were."""
    row = await connection.fetchrow(_SQL["erase_address"], key)
    return (0, 0) if row is None else (row["addresses"], row["evidence"])


async def add_grant(
    connection: Connection, key: Fingerprint, channel: Channel, scope: str, source: Source, actor: str
) -> int:
    """Record a proven opt-in for a scope; its id."""
    grant_id: int = await connection.fetchval(
        _SQL["add_grant"], key, channel.value, scope, source.value, FORM_VERSIONS[channel], actor
    )
    return grant_id


async def delete_expired_evidence(connection: Connection, limit: int) -> int:
    """Delete up to `limit` pieces of evidence whose time is over; how many there were."""
    return _count(await connection.execute(_SQL["delete_expired_evidence"], limit))


async def delete_erased_addresses(connection: Connection) -> int:
    """Delete sealed addresses written beside an erasure under way."""
    return _count(await connection.execute(_SQL["delete_erased_addresses"]))


async def delete_erased_evidence(connection: Connection) -> int:
    """Delete evidence written beside an erasure under way."""
    return _count(await connection.execute(_SQL["delete_erased_evidence"]))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _filter_values(wanted: EntryFilter) -> tuple[object, ...]:
    return (
        wanted.reason and wanted.reason.value,
        wanted.scope,
        wanted.source and wanted.source.value,
        wanted.since,
        wanted.until,
        wanted.with_lifted,
    )


def _entry_row(row: object) -> EntryRow:
    values = dict(row)  # type: ignore[call-overload]  # a Record maps names to values
    return EntryRow(
        id=values["id"],
        fingerprint=Fingerprint(values["fingerprint"]),
        kind=Kind(values["kind"]),
        channel=Channel(values["channel"]),
        scope=values["scope"],
        reason=Reason(values["reason"]),
        source=Source(values["source"]),
        batch_id=values["batch_id"],
        since=values["since"],
        lifted_at=values["lifted_at"],
        sealed_address=values["sealed"],
    )
