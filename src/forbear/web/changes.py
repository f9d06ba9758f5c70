"""GET /v1/changes: the list's changes, for readers outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPMethod
from typing import Final

from aiohttp import web

from forbear.domain.errors import Busy, InvalidInput
from forbear.domain.suppression import EVERYTHING
from forbear.services.api_keys import Permission, require_reach
from forbear.services.changes import Change, list_changes, wait_for_changes
from forbear.web.api import Call, Operation
from forbear.web.contact_points import show_address
from forbear.web.models import ChangesResponse

WAIT_SECONDS_MAX: Final = 60
"""Longest wait; proxies cut off what is silent for longer."""
WAITING_MAX: Final = 200
"""Readers waiting at once in one process; each holds a connection."""
PAGE_ROWS: Final = 1000
PAGE_ROWS_MAX: Final = 10_000


@dataclass(slots=True)
class Waiting:
    """The readers that wait now; they are answered at once when the process is to end."""

    count: int = 0
    ending: asyncio.Event = field(default_factory=asyncio.Event)


WAITING: Final = web.AppKey("waiting", Waiting)


def add_waiting(app: web.Application) -> None:
    """Let readers of this application wait."""
    waiting = app[WAITING] = Waiting()

    async def end(_app: web.Application) -> None:
        waiting.ending.set()

    app.on_shutdown.append(end)


async def show_changes(call: Call) -> Mapping[str, object]:
    """The entries that changed after a cursor, at once or as soon as there are any."""
    require_reach(call.key, EVERYTHING)
    after = call.request.query.get("after") or None
    wait = _read_number(call, "wait", 0, WAIT_SECONDS_MAX)
    limit = _read_number(call, "limit", PAGE_ROWS, PAGE_ROWS_MAX) or 1
    if wait == 0:
        page = await list_changes(call.context, after, limit=limit)
    else:
        waiting = call.request.app[WAITING]
        if waiting.count >= WAITING_MAX:
            raise Busy(f"{WAITING_MAX} readers wait for changes here already")
        waiting.count += 1
        try:
            page = await wait_for_changes(call.context, after, limit=limit, wait_seconds=wait, ending=waiting.ending)
        finally:
            waiting.count -= 1
    return {"changes": [_change(change) for change in page.changes], "next": page.next}


def _read_number(call: Call, name: str, default: int, most: int) -> int:
    text = call.request.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)) or int(text) > most:
        raise InvalidInput(f"{name}: a whole number up to {most}")
    return int(text)


def _change(change: Change) -> Mapping[str, object]:
    entry = change.entry
    return {
        "id": entry.id,
        **({} if change.address is None else {"address": show_address(entry.channel, change.address)}),
        "fingerprint": entry.fingerprint.hex(),
        "channel": entry.channel.value,
        "scope": entry.scope,
        "reason": entry.reason.value,
        "since": entry.since,
        **({} if entry.lifted_at is None else {"lifted_at": entry.lifted_at}),
    }


OPERATIONS = (
    Operation(
        HTTPMethod.GET,
        "/v1/changes",
        "changes",
        "Follow the list's changes",
        Permission.EXPORT,
        show_changes,
        response=ChangesResponse,
        description="Each entry that was added, lifted or revived comes as it is now, so its last state is the right "
        "one; it may come more than once and is never missed, whatever order transactions commit in. Without `after` "
        "the whole list comes first. Ask again with `next` of the answer, at once: with `wait`, an answer without "
        "changes comes only when the time is over. After a restore of the list a cursor is refused with 422: begin "
        "again without one. The key must be for all scopes.",
        extra={
            "parameters": (
                ("after", "`next` of the answer before. Without it: from the beginning.", False, {}),
                (
                    "wait",
                    "Seconds to wait where nothing has changed yet.",
                    False,
                    {"type": "integer", "minimum": 0, "maximum": WAIT_SECONDS_MAX, "default": 0},
                ),
                (
                    "limit",
                    "Most changes in one answer.",
                    False,
                    {"type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "default": PAGE_ROWS},
                ),
            )
        },
    ),
)
