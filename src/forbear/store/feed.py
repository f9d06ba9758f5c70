"""The change feed: how a reader follows the list without missing anything.

Sequence numbers and times are given out before a commit, so "everything after N" loses whoever commits late. Here
every state row carries the transaction that wrote it (`changed_xid`), and a reader remembers a *position*: the
snapshot up to which it has seen everything. What it lacks is what that snapshot could not see: rows of transactions
from its xmax on, and of those that it found open.

A position is a *capped* snapshot: its xmax is at most the highest changed_xid that the reader has applied, plus one.
Transaction ids that were given out and never written to disk are used again after a crash, so a snapshot as it is
may call a transaction seen that has not begun yet; below a commit that was read, none is ever used again.

Rows are state, not actions: reading one twice does no harm, and a row that changed again comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Self

from forbear.domain.errors import ListUnavailable
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel, Entry, Grant, Reason, Rule, RuleSet
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("feed")


@dataclass(frozen=True, slots=True)
class Position:
    """A snapshot: transactions below `xmax` had ended, but for `xips`, in ascending order."""

    xmax: int
    xips: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PostgreSQL's `xmin:xmax:xip,xip`. Raises ValueError."""
        _, xmax, xips = text.split(":")
        return cls(int(xmax), tuple(int(xip) for xip in xips.split(",") if xip))

    def cap(self, highest: int) -> Self:
        """The same, reaching no further than the highest transaction of which anything was applied."""
        xmax = min(self.xmax, highest + 1)
        return type(self)(xmax, tuple(xip for xip in self.xips if xip < xmax))

    @property
    def highest(self) -> int:
        """A transaction of which something was applied and above which nothing was; below 0 when nothing ever was."""
        return self.xmax - 1

    def shorten(self, xips_max: int) -> Self:
        """The same with few transactions named: one with more of them begins at the first, and sees less."""
        return self if len(self.xips) <= xips_max else type(self)(self.xips[0])

    def __str__(self) -> str:
        """Write what `parse` reads."""
        xmin = self.xips[0] if self.xips else self.xmax
        return f"{xmin}:{self.xmax}:{','.join(map(str, self.xips))}"


NOTHING_SEEN: Final = Position(0)


class ServerIdentity(NamedTuple):
    """The server and its life: transaction ids of one mean nothing to another.

    The timeline changes when a standby takes over or a backup is recovered, the storage when tables are made anew.
    """

    system_identifier: int
    timeline: int
    storage: str


@dataclass(frozen=True, slots=True)
class Barrier:
    """The server's answer to "what do I lack?"; whatever was committed before `as_of` is in the snapshot."""

    as_of: datetime
    snapshot: Position
    identity: ServerIdentity
    is_adopted: bool
    is_behind: bool


class Place(NamedTuple):
    """How far a page has come in one table, in the order of (changed_xid, id)."""

    xid: int = 0
    id: int = 0


class Key(NamedTuple):
    """All that stands under one fingerprint, as 16 bytes and in the order of `RuleSet`; () when nothing does."""

    fingerprint: Fingerprint
    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of what a reader lacks, by key."""

    snapshot: Position
    keys: list[Key]
    has_domains: bool
    entries: Place
    grants: Place
    is_last: bool


@dataclass(frozen=True, slots=True)
class ChangedEntry:
    """An entry as it is now, lifted or not."""

    place: Place
    id: int
    fingerprint: Fingerprint
    channel: Channel
    scope: str
    reason: Reason
    since: datetime
    lifted_at: datetime | None
    sealed_address: bytes | None


async def ask_barrier(connection: Connection, position: Position) -> Barrier:
    """Ask whether a reader at a position lacks anything: one round trip, index look-ups only.

    Raises `ListUnavailable` at a standby, which may lag behind.
    """
    row = await connection.fetchrow(_SQL["ask_barrier"], position.xmax, position.xips)
    values: Mapping[str, Any] = dict(row or {})
    return Barrier(
        values["as_of"],
        Position.parse(values["snapshot"]),
        _identity(values),
        values["is_adopted"],
        values["is_behind"],
    )


async def read_changes(
    connection: Connection, position: Position, until: Position | None, entries: Place, grants: Place, *, limit: int
) -> Changes:
    """Read a page of what a reader at a position lacks; `until` is the first page's snapshot, and None for that page.

    After the last page the reader is at `until.cap(highest transaction applied)`. What is committed between two
    pages comes with these or with the next ones.
    """
    row = await connection.fetchrow(
        _SQL["read_changes"], position.xmax, position.xips, None if until is None else until.xmax,
        *entries, *grants, limit,
    )  # fmt: skip
    values: Mapping[str, Any] = dict(row or {})
    return Changes(
        snapshot=Position.parse(values["snapshot"]),
        keys=_group_rules(values["keys"] or (), values["reasons"] or (), values["scopes"] or ()),
        has_domains=bool(values["has_domains"]),
        entries=entries if values["entry_xid"] is None else Place(values["entry_xid"], values["entry_id"]),
        grants=grants if values["grant_xid"] is None else Place(values["grant_xid"], values["grant_id"]),
        is_last=values["entries"] < limit and values["grants"] < limit,
    )


async def count_unseen(connection: Connection, position: Position, most: int) -> int:
    """How many rows a reader at a position lacks, counted up to one more than `most`."""
    return int(await connection.fetchval(_SQL["count_unseen"], position.xmax, position.xips, most))


async def list_changed_entries(
    connection: Connection, position: Position, until: Position | None, place: Place, *, limit: int
) -> tuple[Position, list[ChangedEntry]]:
    """A page of the entries that a reader lacks, as `read_changes` pages, and the snapshot it was read at."""
    snapshot, *rows = await connection.fetch(
        _SQL["list_changed_entries"], position.xmax, position.xips, None if until is None else until.xmax,
        *place, limit,
    )  # fmt: skip
    return Position.parse(snapshot["snapshot"]), [_changed_entry(dict(row)) for row in rows]


async def read_identity(connection: Connection) -> ServerIdentity:
    """Which server answers. Raises `ListUnavailable` at a standby."""
    row = await connection.fetchrow(_SQL["read_identity"])
    return _identity(dict(row or {}))


async def find_adopter(connection: Connection) -> ServerIdentity | None:
    """Which server the list was last adopted by, if any."""
    row = await connection.fetchrow(_SQL["find_adopter"])
    return None if row is None else _identity(dict(row))


async def try_adoption_lock(connection: Connection) -> bool:
    """Take the right to adopt the list until the transaction ends; False when another has it."""
    return bool(await connection.fetchval(_SQL["try_adoption_lock"]))


async def is_restored(connection: Connection) -> bool:
    """Whether no restore is still filling the list."""
    return bool(await connection.fetchval(_SQL["is_restored"]))


async def renew_changes(connection: Connection, limit: int) -> int:
    """Give rows from another server's future the id of this transaction; how many, 0 when none is left.

    At most `limit` of each table, and one call a transaction: its own id too is beyond its snapshot.
    """
    done = [await connection.execute(_SQL[name], limit) for name in ("renew_entries", "renew_grants")]
    return sum(int(status.rpartition(" ")[2]) for status in done)


async def set_identity(connection: Connection) -> None:
    """Adopt the list on the server that answers."""
    await connection.execute(_SQL["set_identity"])


def _identity(values: Mapping[str, Any]) -> ServerIdentity:
    if values["timeline"] is None:
        raise ListUnavailable("PostgreSQL is a standby: decisions ask the primary")
    return ServerIdentity(values["system_identifier"], values["timeline"], values["storage"])


def _group_rules(keys: Sequence[bytes], reasons: Sequence[str | None], scopes: Sequence[str | None]) -> list[Key]:
    """Rules by key; the lines come in order, and a key under which nothing stands has one without a scope."""
    grouped: dict[bytes, list[Rule]] = {}
    for key, reason, scope in zip(keys, reasons, scopes, strict=True):
        rules = grouped.setdefault(key, [])
        if scope is not None:
            rules.append(Grant(scope) if reason is None else Entry(Reason(reason), scope))
    return [Key(Fingerprint(key), tuple(rules)) for key, rules in grouped.items()]


def _changed_entry(values: Mapping[str, Any]) -> ChangedEntry:
    return ChangedEntry(
        place=Place(values["changed_xid"], values["id"]),
        id=values["id"],
        fingerprint=Fingerprint(values["fingerprint"]),
        channel=Channel(values["channel"]),
        scope=values["scope"],
        reason=Reason(values["reason"]),
        since=values["since"],
        lifted_at=values["lifted_at"],
        sealed_address=values["sealed"],
    )
