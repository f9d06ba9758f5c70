"""/v1/consents: what people have agreed to, and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod

from forbear.domain.contact_point import check_reading_region
from forbear.domain.errors import InvalidInput
from forbear.domain.suppression import check_scope
from forbear.services import consents
from forbear.services.api_keys import Permission, require_permission, require_reach
from forbear.services.consents import Consent
from forbear.services.contact_points import fingerprint_points
from forbear.web.api import Call, Operation
from forbear.web.contact_models import (
    ConsentItem,
    ConsentsRequest,
    ConsentsResponse,
    WithdrawRequest,
    WithdrawResponse,
)
from forbear.web.contacts import read_point
from forbear.web.suppressions import check_evidence


async def record_consents(call: Call, body: ConsentsRequest) -> Mapping[str, object]:
    """Record consents, all or none; those that are proven opt-ins become grants."""
    if any(item.grant for item in body.consents):
        require_permission(call.key, Permission.ATTEST)
    read = [(item.grant, _read(call, item)) for item in body.consents]
    plain = [consent for is_proven, consent in read if not is_proven]
    await consents.check_consents(call.context, [consent for _, consent in read])
    async with call.context.database.transaction() as connection:
        recorded = await consents.record_consents(call.context, connection, plain, actor=call.key.actor)
        grants = [
            await consents.grant_scope(call.context, connection, consent, actor=call.key.actor)
            for is_proven, consent in read
            if is_proven
        ]
    return {"recorded": recorded + len(grants), "grants": grants}


async def withdraw_consent(call: Call, body: WithdrawRequest) -> Mapping[str, object]:
    """Withdraw what was agreed to for a scope, and opt the address out of it."""
    require_reach(call.key, check_scope(body.scope))
    check_evidence(body.evidence)
    point = read_point(body.channel, body.address, check_reading_region(body.channel, body.region))
    done = await consents.withdraw_consent(
        call.context, point, body.scope, source=body.source, evidence=body.evidence, actor=call.key.actor
    )
    return {"id": done.entry_id, "status": "withdrawn"}


def _read(call: Call, item: ConsentItem) -> Consent:
    require_reach(call.key, check_scope(item.scope))
    check_evidence(item.evidence)
    if item.grant and not item.evidence:
        raise InvalidInput("a grant needs evidence")
    point = read_point(item.channel, item.address, check_reading_region(item.channel, item.region))
    (key,) = fingerprint_points(call.context.keyring, [point])
    return Consent(
        item.channel, key, item.scope, item.wording_version, item.given_at, item.source, item.origin, item.evidence
    )


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/consents",
        "record_consents",
        "Record up to 1,000 consents",
        Permission.IMPORT,
        record_consents,
        ConsentsRequest,
        ConsentsResponse,
        description="A consent is a record and overrides no opt-out. With `grant` it is a proven opt-in, which "
        "overrides opt-outs older than itself in its scope: that needs the permission `attest`, and evidence. "
        "All or none.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/consents/withdraw",
        "withdraw_consent",
        "Withdraw what was agreed to for a scope",
        Permission.SUPPRESS,
        withdraw_consent,
        WithdrawRequest,
        WithdrawResponse,
        description="Consents and grants for the scope, and for what lies within it, are withdrawn, and the address is "
        "opted out of it.",
    ),
)
