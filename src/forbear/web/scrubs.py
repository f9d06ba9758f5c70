"""POST /v1/scrubs and GET /v1/scrubs/{id}: what is asked, and what is answered about a run.

How the rows travel is the business of `scrub_stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any, Final
from uuid import UUID, uuid4

from aiohttp import HttpVersion11, web

from forbear.domain.errors import Busy, ForbearError, InvalidInput, NotFound
from forbear.domain.suppression import Channel, Purpose
from forbear.index.list_file import ListFile
from forbear.index.list_formats import ListFormat
from forbear.services.api_keys import Permission, has_permission, require_permission, require_reach
from forbear.services.decision import Question
from forbear.services.links import check_campaign
from forbear.services.parties import require_party
from forbear.services.scrub import Scrub, choose_rows, get_scrub
from forbear.services.scrub_rows import RowChoice, ScrubOptions
from forbear.web.api import Call, Operation, check_parameters, json_response
from forbear.web.errors import problem
from forbear.web.keys import OPTIONS
from forbear.web.models import ScrubResponse
from forbear.web.scrub_stream import CSV, SCRUBS_UNDER_WAY, drain, stream

NDJSON: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"
# What curl, urllib and others say when they are told nothing: the bytes decide, as they do for text/csv.
_UNTYPED: Final = ("application/octet-stream", "application/x-www-form-urlencoded", "text/plain")
_FORMATS: Final[Mapping[str, ListFormat]] = {
    **dict.fromkeys((CSV, *_UNTYPED), ListFormat.CSV),
    # JSON lines have no registered name, and are called by several.
    **dict.fromkeys((NDJSON, "application/ndjson", "application/jsonl"), ListFormat.NDJSON),
    PARQUET: ListFormat.PARQUET,
}
_HEADER: Final = {"auto": None, "true": True, "false": False}


async def scrub(call: Call) -> web.StreamResponse:
    """Filter a send list while it comes in."""
    request, under_way = call.request, call.request.app[SCRUBS_UNDER_WAY]
    if request.version < HttpVersion11:
        # Without chunks a client could not tell a part from the whole.
        return problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "scrubs need HTTP/1.1", instance=request.path)
    if request.content_type not in _FORMATS:
        await drain(request)
        return problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"a scrub takes a list of type {CSV}, {NDJSON} or {PARQUET}",
            instance=request.path,
        )
    if under_way.running >= request.app[OPTIONS].scrubs_at_once_max:
        await drain(request)
        raise Busy(f"{under_way.running} scrubs are under way here already")
    under_way.running += 1
    try:
        return await stream(request, await _open_scrub(call))
    finally:
        under_way.running -= 1


async def _open_scrub(call: Call) -> Scrub:
    try:
        file = ListFile(bytes_max=call.request.app[OPTIONS].scrub_spill_bytes_max)
        return Scrub(call.context, uuid4(), await _read_options(call), call.key.actor, file)
    except ForbearError:
        await drain(call.request)
        raise


async def _read_question(call: Call) -> Question:
    query = call.request.query
    purpose, scope = _one_of(Purpose, query, "purpose"), _required(query, "scope")
    require_reach(call.key, scope, purpose)
    party = await require_party(call.context, query["party"]) if query.get("party") else None
    return Question(purpose, scope, _one_of(Channel, query, "channel", "email"), party)


async def _read_options(call: Call) -> ScrubOptions:
    query = call.request.query
    check_parameters(call.request, _PARAMETERS)
    options = ScrubOptions(
        question=await _read_question(call),
        column=query.get("column") or None,
        header=_flag(query, "header", _HEADER, "auto"),
        rows=choose_rows(query.get("rows", "deliver")),
        links=bool(_flag(query, "links", {"true": True, "false": False}, "false")),
        campaign=check_campaign(query.get("campaign", "")),
        format=_FORMATS[call.request.content_type],
        region=query.get("region") or None,
        columns=tuple(query["columns"].split(",")) if query.get("columns") else (),
    )
    if options.rows is not RowChoice.DELIVER and not has_permission(call.key, Permission.REASONS):
        require_permission(call.key, Permission.REASONS)
    if options.links:
        require_permission(call.key, Permission.LINKS)
    return options


def _required(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise InvalidInput(f"the parameter {name} is missing")
    return query[name]


def _one_of(kind: Any, query: Mapping[str, str], name: str, default: str | None = None) -> Any:
    value = query.get(name, default) if default is not None else _required(query, name)
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInput(f"{name} is one of: {', '.join(kind)}") from error


def _flag(query: Mapping[str, str], name: str, meanings: Mapping[str, bool | None], default: str) -> bool | None:
    value = query.get(name, default)
    if value not in meanings:
        raise InvalidInput(f"{name} is one of: {', '.join(meanings)}")
    return meanings[value]


async def show_scrub(call: Call) -> web.Response:
    """How far a scrub has come, or how it ended."""
    try:
        scrub_id = UUID(call.request.match_info["id"])
    except ValueError as error:
        raise NotFound("there is no such scrub, or it is not yours to see") from error
    actor = None if has_permission(call.key, Permission.ADMIN) else call.key.actor
    row = await get_scrub(call.context, scrub_id, actor=actor)
    empty = {"rows": 0, "deliver": 0, "suppress": {}, "invalid": 0, "duplicate": 0, "blank_lines": 0}
    answer = {
        "id": str(row.id),
        "status": row.status,
        "purpose": row.purpose,
        "scope": row.scope,
        "channel": row.channel.value,
        **({"campaign": row.campaign} if row.campaign else {}),
        "as_of": row.as_of,
        **empty,
        **row.counts,
        "duration_seconds": round(row.duration_seconds, 3),
    }
    if row.status == "failed":
        answer["error"] = row.error or {"detail": "the process that ran it ended before its time"}
    return json_response(answer)


_LISTS: Final = {
    CSV: {"schema": {"type": "string"}},
    NDJSON: {"schema": {"type": "string"}},
    PARQUET: {"schema": {"type": "string", "format": "binary"}},
}
_FLAGS: Final = {"enum": ["true", "false"]}
_QUERY: Final[tuple[tuple[str, str, bool, Mapping[str, object]], ...]] = (
    ("purpose", "What the message is for.", True, {"enum": [item.value for item in Purpose]}),
    ("scope", "`*`, a brand, or a topic of a brand.", True, {}),
    ("column", "Name of the address column, or its position from 1. Default: the one that fits.", False, {}),
    ("header", "Whether the first record of a CSV list names the columns.", False, {"enum": list(_HEADER)}),
    (
        "rows",
        "Which rows come out; others than `deliver` need the permission `reasons`.",
        False,
        {"enum": [item.value for item in RowChoice]},
    ),
    ("links", "Whether to add unsubscribe_url, preferences_url and return_path.", False, _FLAGS),
    ("campaign", "Name of the campaign, carried by the links.", False, {}),
    ("channel", "How the message travels.", False, {"enum": [item.value for item in Channel]}),
    ("region", "With `phone`: where numbers without + are dialled (ISO 3166-1).", False, {}),
    ("columns", "With `post`: the columns of name, lines, postcode and country, with commas between.", False, {}),
    ("party", "With the purpose `sharing`: the name of who would be told.", False, {}),
)
_PARAMETERS: Final = frozenset(name for name, *_ in _QUERY)


def _scrub_operation(method: HTTPMethod) -> Operation:
    return Operation(
        method,
        "/v1/scrubs",
        f"scrub_{method.value.lower()}",
        "Filter a whole send list",
        Permission.SCRUB,
        scrub,
        description="The list in, the rows that may be mailed out, in its format and order, duplicates once; CSV and "
        "JSON lines byte for byte. The header `Scrub-Id` names the record of the run. An answer that could not be "
        "completed ends without its last chunk. PUT is the same, for `curl -T`.",
        extra={"parameters": _QUERY, "request": _LISTS, "response": _LISTS},
    )


OPERATIONS = (
    _scrub_operation(HTTPMethod.POST),
    _scrub_operation(HTTPMethod.PUT),
    Operation(
        HTTPMethod.GET,
        r"/v1/scrubs/{id:[0-9a-fA-F-]+}",
        "show_scrub",
        "Counts, as-of and outcome of a scrub",
        Permission.SCRUB,
        show_scrub,
        response=ScrubResponse,
    ),
)
