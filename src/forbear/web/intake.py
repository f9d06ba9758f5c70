"""/v1/intake: what people ask for by phone, letter, e-mail or in person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from http import HTTPMethod, HTTPStatus
from typing import Final

from aiohttp import web

from forbear.domain.errors import InvalidInput, NotFound
from forbear.domain.postal_address import PostalFields
from forbear.domain.suppression import EVERYTHING, Channel
from forbear.language import find_language
from forbear.services import intake
from forbear.services.api_keys import Permission, has_permission, require_reach
from forbear.services.contact_points import HeldPoint
from forbear.services.intake import Given, Intake, IntakeView, Match
from forbear.store.intake import Decision, IntakeRow
from forbear.web.api import Call, Operation, json_response
from forbear.web.contact_points import show_address
from forbear.web.intake_models import (
    GivenBody,
    IntakeRequest,
    IntakeResponse,
    IntakesResponse,
    ResolveRequest,
)

_PAGE_ROWS: Final = 100
_ID_MAX: Final = 2**63 - 1
_ID_DIGITS_MAX: Final = 19
_DAY_LENGTH: Final = len("2026-12-24")


async def take_request(call: Call, body: IntakeRequest) -> Mapping[str, object]:
    """Write a request down, and apply it to all that is certain."""
    require_reach(call.key, EVERYTHING)
    taken = Intake(
        channel=body.channel,
        request=body.request,
        taken_by=body.taken_by,
        reference=body.reference,
        received_on=body.received_on,
        jurisdiction=body.jurisdiction,
        given=_read_given(body.given),
        scopes=tuple(dict.fromkeys(body.scopes)),
        note=body.note,
        language=find_language(body.language),
    )
    return _show(call, await intake.take_request(call.context, taken, actor=call.key.actor))


async def show_request(call: Call) -> Mapping[str, object]:
    """Show one request with all that was found and decided."""
    require_reach(call.key, EVERYTHING)
    return _show(call, await intake.get_request(call.context, _read_id(call)))


async def list_requests(call: Call) -> web.Response:
    """List requests: of those of which something is left to do what is due first first, else the newest first."""
    require_reach(call.key, EVERYTHING)
    query = call.request.query
    status, cursor = query.get("status", "open"), query.get("cursor", "")
    if status == "open":
        rows = await intake.list_due(call.context, after=_read_due_cursor(cursor), limit=_PAGE_ROWS)
    elif status == "all":
        rows = await intake.list_requests(call.context, below=_read_cursor(cursor), limit=_PAGE_ROWS)
    else:
        raise InvalidInput("status: open or all")
    headers = {}
    if len(rows) == _PAGE_ROWS:
        following = f"{rows[-1].due_on}.{rows[-1].id}" if status == "open" else str(rows[-1].id)
        headers["Link"] = f'</v1/intake?status={status}&cursor={following}>; rel="next"'
    return json_response({"intakes": [_line(row) for row in rows]}, headers=headers)


async def resolve(call: Call, body: ResolveRequest) -> Mapping[str, object]:
    """Decide about a contact who may be meant, or about the whole."""
    require_reach(call.key, EVERYTHING)
    intake_id = _read_id(call)
    contact_id = None
    if body.contact is not None:
        view = await intake.get_request(call.context, intake_id)
        contact_id = find_match(view, body.contact)
    actor = f"{call.key.actor} {body.operator}".strip()
    decision = Decision(body.decision)
    return _show(call, await intake.resolve(call.context, intake_id, contact_id, decision, actor=actor, why=body.why))


def find_match(view: IntakeView, external_id: str) -> int:
    """The number of a contact that may be meant. Raises `NotFound`."""
    found = [match.row.contact_id for match in view.matches if match.row.external_id == external_id]
    if not found:
        raise NotFound("this request is about no such contact")
    return found[0]


def _read_given(body: GivenBody) -> Given:
    post = None
    if body.post is not None:
        post = PostalFields(body.post.name, tuple(body.post.lines), body.post.postcode, body.post.country)
    return Given(body.name, body.email, body.phone, body.region, post)


def _read_id(call: Call) -> int:
    text = call.request.match_info["id"]
    if not text.isascii() or len(text) > _ID_DIGITS_MAX or int(text) > _ID_MAX:
        raise NotFound("there is no such request")
    return int(text)


def _read_cursor(cursor: str) -> int:
    if not cursor:
        return _ID_MAX
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > _ID_DIGITS_MAX or int(cursor) > _ID_MAX:
        raise InvalidInput("cursor: take it from the Link header of the page before")
    return int(cursor)


def _read_due_cursor(cursor: str) -> tuple[date, int]:
    if not cursor:
        return date.min, 0
    day, _, number = cursor.partition(".")
    try:
        return date.fromisoformat(day[:_DAY_LENGTH]), _read_cursor(number)
    except ValueError as error:
        raise InvalidInput("cursor: take it from the Link header of the page before") from error


def _line(row: IntakeRow) -> Mapping[str, object]:
    return {
        "id": row.id,
        "channel": row.channel.value,
        "request": row.request.value,
        "scopes": list(row.scopes),
        "jurisdiction": row.jurisdiction.value,
        "taken_by": row.taken_by,
        "reference": row.reference,
        "received_on": row.received_on,
        "due_on": row.due_on,
        "status": "done" if row.done_at else "open",
        **({"done_at": row.done_at} if row.done_at else {}),
    }


def _show(call: Call, view: IntakeView) -> Mapping[str, object]:
    in_clear = has_permission(call.key, Permission.STAFF)
    own = {"name": view.given["name"], "note": view.given["note"]} if in_clear else {}
    return {
        **_line(view.row),
        "law": view.clock.law,
        **{name: text for name, text in own.items() if text},
        "points": _points(view.points, in_clear=in_clear),
        "matches": [_match(match, in_clear=in_clear) for match in view.matches],
    }


def _match(match: Match, *, in_clear: bool) -> Mapping[str, object]:
    row, contact = match.row, match.contact
    decided = {}
    if row.decision is not None:
        decided = {"decision": row.decision.value, "decided_by": row.actor, "decided_at": row.at, "why": row.why}
    return {
        "contact": row.external_id,
        "certainty": "certain" if row.is_certain else "doubtful",
        **({"name": contact.name} if in_clear and contact is not None and contact.name else {}),
        "points": [] if contact is None else _points(contact.points, in_clear=in_clear),
        **decided,
    }


def _points(held: Sequence[HeldPoint], *, in_clear: bool) -> list[Mapping[str, object]]:
    return [{"channel": point.channel.value, "address": _address(point, in_clear=in_clear)} for point in held]


def _address(point: HeldPoint, *, in_clear: bool) -> object:
    if not in_clear or point.plain is None:
        return point.masked
    return show_address(Channel(point.channel), point.plain)


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/intake",
        "take_request",
        "Write down what somebody asks for by phone, letter, e-mail or in person",
        Permission.SUPPRESS,
        take_request,
        IntakeRequest,
        IntakeResponse,
        HTTPStatus.CREATED,
        description="It is applied at once to what the person gave, and to every point of each contact that has "
        "exactly one of these. Contacts who are only like the person are listed, and wait for somebody to decide. "
        "A receipt goes to the e-mail address that was given, or else to that of the one contact who is certain.",
    ),
    Operation(
        HTTPMethod.GET,
        "/v1/intake",
        "list_requests",
        "List requests of which something is left to do, what is due first first",
        Permission.SUPPRESS,
        list_requests,
        response=IntakesResponse,
        description="The `Link` header names the next page.",
        extra={
            "parameters": (
                ("status", "`open` (the default) or `all`, the newest first.", False, {"enum": ["open", "all"]}),
                ("cursor", "Where a page begins; the `Link` header has it.", False, {}),
            )
        },
    ),
    Operation(
        HTTPMethod.GET,
        r"/v1/intake/{id:\d+}",
        "show_request",
        "Show one request with all that was found and decided",
        Permission.SUPPRESS,
        show_request,
        response=IntakeResponse,
        description="Addresses and numbers are masked unless the key has the permission `staff`.",
    ),
    Operation(
        HTTPMethod.POST,
        r"/v1/intake/{id:\d+}/resolve",
        "resolve",
        "Decide about a contact who may be meant, or about the whole",
        Permission.STAFF,
        resolve,
        ResolveRequest,
        IntakeResponse,
        description="`applied` applies the request to every point of that contact, `rejected` says that it is somebody "
        "else, `done` that nothing of the whole is left to do. Each is decided once, by name and with a reason.",
    ),
)
