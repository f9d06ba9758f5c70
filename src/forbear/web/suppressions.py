"""POST /v1/suppressions with search and lift, and POST /v1/erasures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPMethod
from typing import Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from forbear.domain.address import Domain
from forbear.domain.contact_point import Target, check_reading_region, parse_target
from forbear.domain.errors import InvalidInput, NotFound, Permanent, TooLarge
from forbear.domain.suppression import EVERYTHING, Reason, check_scope
from forbear.services import suppression
from forbear.services.api_keys import Permission, has_permission, reach_of, require_reach
from forbear.services.scopes import find_unregistered, require_scopes
from forbear.services.suppression import Assertion, FoundEntry
from forbear.store.api_key import ApiKey
from forbear.store.suppression import NEWEST, EntryFilter
from forbear.web.api import Call, Operation, json_response
from forbear.web.contact_points import read_given, show_address
from forbear.web.errors import list_faults
from forbear.web.models import (
    EraseRequest,
    EraseResponse,
    GivenAddress,
    LiftRequest,
    LiftResponse,
    PostalAddressBody,
    SearchRequest,
    SearchResponse,
    SuppressionItem,
    SuppressRequest,
    SuppressResponse,
)

EVIDENCE_BYTES_MAX: Final = 4096
"""What one piece of evidence may take; the list is no place for documents."""
_ID_DIGITS_MAX: Final = 19
_THREAD_FROM: Final = 200


@dataclass(frozen=True, slots=True)
class _Refused:
    """An opt-out that could not be taken, and why."""

    error: str


async def suppress(call: Call, body: SuppressRequest) -> Mapping[str, object]:
    """Record opt-outs; a bad one is answered as such and holds up none of the others."""
    if len(body.suppressions) > call.options.addresses_max:
        raise TooLarge(f"one call takes {call.options.addresses_max} suppressions at most; more are an import")
    read = await _read_items(call, body.suppressions)
    assertions = [item for item in read if isinstance(item, Assertion)]
    written = await suppression.suppress(call.context, assertions, actor=call.key.actor) if assertions else []
    done = iter(written)
    results = []
    for given, item in zip(body.suppressions, read, strict=True):
        result: dict[str, object] = {"address": _echo(given.get("address")) if isinstance(given, dict) else ""}
        if isinstance(item, _Refused):
            result |= {"status": "error", "error": item.error}
        else:
            line = next(done)
            result |= {"status": "added" if line.is_new else "already", "id": line.entry_id}
        results.append(result)
    return {"results": results}


def _echo(address: object) -> object:
    """The address as it was given, where it has the form of one."""
    if not isinstance(address, dict):
        return address if isinstance(address, str) else ""
    try:
        return PostalAddressBody.model_validate(address).model_dump()
    except ValidationError:
        return ""


async def _read_items(call: Call, given: Sequence[object]) -> list[Assertion | _Refused]:
    if len(given) < _THREAD_FROM:
        read = [_read_item(call.key, item) for item in given]
    else:
        read = await asyncio.to_thread(lambda: [_read_item(call.key, item) for item in given])
    names = {item.scope for item in read if isinstance(item, Assertion)}
    unknown = await find_unregistered(call.context, names)
    return [
        _Refused(f"scope: {item.scope!r} is not registered")
        if isinstance(item, Assertion) and item.scope in unknown
        else item
        for item in read
    ]


def _read_item(key: ApiKey, given: object) -> Assertion | _Refused:
    try:
        item = SuppressionItem.model_validate(given)
        _check_item(item)
        require_reach(key, check_scope(item.scope))
        region = check_reading_region(item.channel, item.region)
        target = parse_target(item.channel, read_given(item.address), region)
        return Assertion(target, item.reason, item.scope, item.source, since=item.since, evidence=item.evidence)
    except ValidationError as error:
        fault = list_faults(error, 1)[0]
        return _Refused(f"{fault['pointer'].lstrip('/') or 'item'}: {fault['detail']}")
    except Permanent as error:
        return _Refused(error.detail)


def _check_item(item: SuppressionItem) -> None:
    if item.reason is Reason.ERASED:
        raise InvalidInput("reason: an erasure is asked for at /v1/erasures")
    check_evidence(item.evidence)


def check_evidence(evidence: Mapping[str, object]) -> None:
    """Raise `InvalidInput` for evidence that is too large, or that JSON cannot hold."""
    try:
        size = len(orjson.dumps(evidence))
    except TypeError as error:
        raise InvalidInput("evidence: it is nested too deeply, or holds a number of more than 64 bits") from error
    if size > EVIDENCE_BYTES_MAX:
        raise InvalidInput(f"evidence: more than {EVIDENCE_BYTES_MAX} bytes")


async def search(call: Call, body: SearchRequest) -> web.Response:
    """List entries within the key's scopes, newest first.

    Plain addresses are shown to a key that may export the list, or that asked for this very address.
    """
    within = reach_of(call.key)
    wanted = EntryFilter(body.reason, body.scope, body.source, body.since, body.until, body.with_lifted, within)
    target = None if body.address is None else _read_target(body.address, body)
    if body.scope is not None:
        require_reach(call.key, check_scope(body.scope))
        await require_scopes(call.context, {body.scope})
    below = _read_cursor(call.request)
    found = await suppression.search(call.context, wanted, target=target, below=below, limit=body.limit)
    may_export = has_permission(call.key, Permission.EXPORT)
    headers = {}
    if len(found) == body.limit:
        headers["Link"] = f'</v1/suppressions/search?cursor={found[-1].row.id}>; rel="next"'
    entries = [_entry(entry, with_address=may_export or entry.is_of_target) for entry in found]
    return json_response({"entries": entries}, headers=headers)


def _read_target(address: GivenAddress, body: SearchRequest | EraseRequest) -> Target:
    return parse_target(body.channel, read_given(address), check_reading_region(body.channel, body.region))


def _read_cursor(request: web.Request) -> int:
    cursor = request.query.get("cursor")
    if cursor is None:
        return NEWEST
    number = _read_id(cursor)
    if number is None:
        raise InvalidInput("cursor: take it from the Link header of the page before")
    return number


def _read_id(text: str) -> int | None:
    """The id of an entry in a URL; None where there can be no such entry."""
    if not text.isascii() or not text.isdecimal() or len(text) > _ID_DIGITS_MAX or int(text) > NEWEST:
        return None
    return int(text)


def _entry(found: FoundEntry, *, with_address: bool) -> Mapping[str, object]:
    row = found.row
    return {
        "id": row.id,
        **({"address": show_address(row.channel, found.address)} if with_address and found.address is not None else {}),
        "kind": row.kind.value,
        "channel": row.channel.value,
        "scope": row.scope,
        "reason": row.reason.value,
        "source": row.source.value,
        "since": row.since,
        **({"lifted_at": row.lifted_at} if row.lifted_at else {}),
        **({"batch": row.batch_id} if row.batch_id is not None else {}),
    }


async def lift(call: Call, body: LiftRequest) -> Mapping[str, object]:
    """Lift one entry, by a named operator with a reason."""
    number = _read_id(call.request.match_info["id"])
    if number is None:
        raise NotFound("no such entry stands")
    actor = f"{call.key.actor} {body.operator}".strip()
    # An entry out of the key's reach is answered as one that does not exist: SEC-14.
    await suppression.lift(call.context, number, actor=actor, why=body.why, within=reach_of(call.key))
    return {"id": number, "status": "lifted"}


async def erase(call: Call, body: EraseRequest) -> Mapping[str, object]:
    """Erase what identifies an address, and keep it suppressed."""
    require_reach(call.key, EVERYTHING)
    target = _read_target(body.address, body)
    if isinstance(target, Domain):
        raise InvalidInput("address: one person's address is erased at a time, not a domain")
    done = await suppression.erase(call.context, target, actor=call.key.actor)
    return {"id": done.entry_id, "status": "erased" if done.is_new else "already"}


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/suppressions",
        "suppress",
        "Record up to 10,000 opt-outs",
        Permission.SUPPRESS,
        suppress,
        SuppressRequest,
        SuppressResponse,
        description="Each is answered on its own, and is in force for every decision that begins after the answer. "
        "Sending the same again is harmless: it answers `already`. `@example.com` suppresses a whole domain.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/suppressions/search",
        "search",
        "List entries by address, reason, source, scope or date",
        Permission.REASONS,
        search,
        SearchRequest,
        SearchResponse,
        description="Newest first. The `Link` header names the next page; send the same body there.",
        extra={"parameters": (("cursor", "Where a page begins; the `Link` header has it.", False, {}),)},
    ),
    Operation(
        HTTPMethod.POST,
        r"/v1/suppressions/{id:\d+}/lift",
        "lift",
        "Lift an entry, with a reason",
        Permission.LIFT,
        lift,
        LiftRequest,
        LiftResponse,
        description="The entry stays in the history with who lifted it and why.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/erasures",
        "erase",
        "Erase what identifies an address, and keep it suppressed",
        Permission.STAFF,
        erase,
        EraseRequest,
        EraseResponse,
        description="Deletes the sealed address and all evidence. A keyed fingerprint stays and goes on suppressing.",
    ),
)
