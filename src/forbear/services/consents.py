"""Consents: the record of who agreed to what; and grants, which only a confirmed or attested opt-in makes.

A consent by itself overrides no entry (P4). A grant counts from the moment at which it was given, so whatever the
person said after that still stands, however late the grant is recorded (P5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from forbear.domain.contact_point import FORM_VERSIONS, ContactPoint, channel_of
from forbear.domain.errors import InvalidInput
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.party import SHARING_BRAND, is_sharing_scope
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.contact_points import fingerprint_points
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.services.suppression import Asserted, Assertion
from forbear.store import Connection
from forbear.store import consent as consent_store
from forbear.store.consent import ConsentDraft, ConsentRow

WORDS_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Consent:
    """What one point's owner agreed to. `given_at` None means now; `origin` says in which promotion."""

    channel: Channel
    fingerprint: Fingerprint
    scope: str
    wording_version: str
    given_at: datetime | None
    source: Source
    origin: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)


async def check_consents(context: Context, consents: Sequence[Consent]) -> None:
    """Refuse consents that could prove nothing. Raises `InvalidInput` or `UnknownScope`."""
    await require_scopes(context, {consent.scope for consent in consents})
    for consent in consents:
        if consent.scope == SHARING_BRAND:
            raise InvalidInput("an opt-in to sharing names a party, or third-party for all of them")
        if not consent.wording_version.strip():
            raise InvalidInput("a consent says by which version of the words it was given")
        if any(len(text) > WORDS_CHARACTERS_MAX for text in (consent.wording_version, consent.origin)):
            raise InvalidInput(f"a version of words, or an origin, has {WORDS_CHARACTERS_MAX} characters at most")
        if consent.given_at is not None and consent.given_at > context.now():
            raise InvalidInput("a consent cannot have been given in the future")


async def record_consents(
    context: Context, connection: Connection, consents: Sequence[Consent], *, actor: str, batch_id: int | None = None
) -> int:
    """Record consents that `check_consents` has passed, each once; how many are new. They override nothing."""
    drafts = [_draft(context, consent) for consent in consents]
    done = await consent_store.add_consents(connection, drafts, actor=actor, batch_id=batch_id)
    return sum(is_new for _, is_new in done)


async def grant_scope(context: Context, connection: Connection, consent: Consent, *, actor: str) -> int:
    """Record a consent that is proven by evidence, with its grant; the grant's id.

    The caller has seen the proof: an answer to a confirmation sent to that very point, or an attestation. Committed
    with the caller's transaction. Raises `InvalidInput` where there is no evidence, or it was taken back since.
    """
    await check_consents(context, [consent])
    if not consent.evidence:
        raise InvalidInput("a grant needs evidence")
    grant_id = await consent_store.grant_scope(
        connection,
        consent.fingerprint,
        consent.channel,
        consent.scope,
        source=consent.source,
        version=FORM_VERSIONS[consent.channel],
        given_at=consent.given_at,
        actor=actor,
    )
    if grant_id is None:
        raise InvalidInput("this opt-in was taken back after it was given")
    ((consent_id, _),) = await consent_store.add_consents(connection, [_draft(context, consent)], actor=actor)
    if consent_id is not None:
        await consent_store.set_grant(connection, consent_id, grant_id)
    return grant_id


async def withdraw_consent(
    context: Context, point: ContactPoint, scope: str, *, source: Source, evidence: Mapping[str, object], actor: str
) -> Asserted:
    """Withdraw consents and grants for a scope and what lies within it, and opt the point out of it.

    Of sharing, the opt-out is a `no_sharing`. Raises `UnknownScope`.
    """
    await require_scopes(context, {scope})
    reason = Reason.NO_SHARING if is_sharing_scope(scope) else Reason.UNSUBSCRIBE
    channel = channel_of(point)
    assertion = Assertion(point, reason, scope, source, channel, evidence=evidence)
    # First the opt-out: whatever fails after it leaves more suppressed than it should be, never less.
    (done,) = await suppression.assert_entries(context, [assertion], actor=actor)
    (key,) = fingerprint_points(context.keyring, [point])
    async with context.database.transaction() as connection:
        await consent_store.withdraw_consents(connection, key, channel, scope, actor=actor)
        await consent_store.revoke_grants(connection, key, channel, scope, source=source, actor=actor)
    return done


async def list_consents_of(context: Context, channel: Channel, key: Fingerprint) -> list[ConsentRow]:
    """Every consent of a point, withdrawn ones too, the oldest first."""
    async with context.database.connection() as connection:
        return await consent_store.list_consents_of(connection, [key], channel)


def open_evidence(context: Context, row: ConsentRow) -> Mapping[str, object]:
    """What proves a consent, where it is kept."""
    if row.sealed_evidence is None:
        return {}
    opened = context.keyring.open(Use.EVIDENCE, row.sealed_evidence, row.fingerprint)
    evidence: Mapping[str, object] = orjson.loads(opened)
    return evidence


def _draft(context: Context, consent: Consent) -> ConsentDraft:
    sealed = None
    if consent.evidence:
        sealed = context.keyring.seal(Use.EVIDENCE, orjson.dumps(dict(consent.evidence)), consent.fingerprint)
    return ConsentDraft(
        consent.fingerprint,
        consent.channel.value,
        consent.scope,
        consent.wording_version.strip(),
        consent.given_at or context.now(),
        consent.source.value,
        consent.origin.strip(),
        sealed,
    )
