"""Consents: who agreed to what, when, by which words; and the grants that confirmed ones have led to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel, Source
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("consent")


class ConsentDraft(NamedTuple):
    """A consent on its way in; channel and source are their values."""

    fingerprint: Fingerprint
    channel: str
    scope: str
    wording_version: str
    given_at: datetime
    source: str
    origin: str
    sealed_evidence: bytes | None


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A consent as it stands on record."""

    id: int
    fingerprint: Fingerprint
    channel: Channel
    scope: str
    wording_version: str
    given_at: datetime
    source: Source
    origin: str
    sealed_evidence: bytes | None
    grant_id: int | None
    actor: str
    recorded_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str | None


async def add_consents(
    connection: Connection, drafts: Sequence[ConsentDraft], *, actor: str, batch_id: int | None = None
) -> list[tuple[int | None, bool]]:
    """Record consents; of each its id and whether it is new. The id is None where another writer met it just now."""
    columns = [list(column) for column in zip(*drafts, strict=True)]
    rows = await connection.fetch(_SQL["add_consents"], *columns, batch_id, actor) if drafts else []
    return [(row["id"], row["is_new"]) for row in rows]


async def list_consents_of(connection: Connection, keys: Collection[Fingerprint], channel: Channel) -> list[ConsentRow]:
    """Every consent of these points, the oldest first."""
    return [
        ConsentRow(**{**dict(row), "channel": channel, "source": Source(row["source"])})
        for row in await connection.fetch(_SQL["list_consents_of"], list(keys), channel.value)
    ]


async def set_grant(connection: Connection, consent_id: int, grant_id: int) -> None:
    """Write down which grant a consent has led to."""
    await connection.execute(_SQL["set_grant"], consent_id, grant_id)


async def withdraw_consents(
    connection: Connection, key: Fingerprint, channel: Channel, scope: str, *, actor: str
) -> int:
    """Mark consents as withdrawn; how many there were."""
    status = await connection.execute(_SQL["withdraw_consents"], key, channel.value, scope, actor)
    return int(status.rpartition(" ")[2])


async def grant_scope(
    connection: Connection,
    key: Fingerprint,
    channel: Channel,
    scope: str,
    *,
    source: Source,
    version: int,
    given_at: datetime | None,
    actor: str,
) -> int | None:
    """Record a proven opt-in as of `given_at` (None is now); its id, or None where it was taken back since."""
    grant_id: int | None = await connection.fetchval(
        _SQL["grant_scope"], key, channel.value, scope, source.value, version, given_at, actor
    )
    return grant_id


async def revoke_grants(
    connection: Connection, key: Fingerprint, channel: Channel, scope: str, *, source: Source, actor: str
) -> int:
    """Take grants back; how many there were."""
    return len(await connection.fetch(_SQL["revoke_grants"], key, channel.value, scope, source.value, actor))
