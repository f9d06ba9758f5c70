"""Following the list from outside, with the guarantee that our own processes have: nothing is missed.

A cursor is what a process remembers (see `forbear.store.feed`), sealed: the position that the reader has reached and,
within a run of pages, the snapshot of the first page and the place behind the last row. The list keeps nothing about
its readers.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import blake2s
from typing import Final
from zlib import crc32

import orjson

from forbear.domain.errors import BrokenToken, InvalidInput, ListUnavailable
from forbear.domain.keys import Use
from forbear.services.context import Context
from forbear.services.suppression import open_address
from forbear.store import feed as feed_store
from forbear.store.feed import NOTHING_SEEN, ChangedEntry, Place, Position, ServerIdentity

_ASK_AGAIN_SECONDS: Final = 5.0
"""How long a waiting reader goes without a look of its own, where this process has no copy of the list to tell it."""


_BEGINNING: Final = Place()
_CHECK_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come; `server` tells the server's life, `until` is None between two runs of pages."""

    server: str
    position: Position
    until: Position | None = None
    place: Place = _BEGINNING


@dataclass(frozen=True, slots=True)
class Change:
    """An entry as it is now, lifted or not; the address is None where it is not known or was erased."""

    entry: ChangedEntry
    address: str | None


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes, and the cursor with which to ask for what comes after them."""

    changes: list[Change]
    next: str


async def list_changes(context: Context, after: str | None, *, limit: int) -> ChangesPage:
    """The entries that changed since a cursor, each as it is now; without one, all entries there ever were.

    An entry may come more than once, and its last state is the right one. A page that is not full is the last for now.
    Raises `InvalidInput` for a cursor that is none, or of the list before it was restored.
    """
    given = None if after is None else read_cursor(context, after)
    async with context.database.connection() as connection:
        barrier = await feed_store.ask_barrier(connection, given.position if given else NOTHING_SEEN)
        if not barrier.is_adopted:
            raise ListUnavailable("the list is on another server than before and is being adopted there")
        cursor = given or Cursor(_name_server(barrier.identity), NOTHING_SEEN)
        if cursor.server != _name_server(barrier.identity) or barrier.snapshot.xmax < cursor.position.xmax:
            raise InvalidInput("after: the list was restored since this cursor was given; begin again without one")
        snapshot, entries = await feed_store.list_changed_entries(
            connection, cursor.position, cursor.until, cursor.place, limit=limit
        )
    following = _advance(cursor, snapshot, entries, is_last=len(entries) < limit)
    changes = await asyncio.to_thread(_open_all, context, entries)
    return ChangesPage(changes, write_cursor(context, following))


async def wait_for_changes(
    context: Context, after: str | None, *, limit: int, wait_seconds: float, ending: asyncio.Event
) -> ChangesPage:
    """The same, but where nothing has changed yet, only when something has, the time is over, or `ending` is set."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    await context.standings.start()
    while True:
        moved = context.standings.moved
        page = await list_changes(context, after, limit=limit)
        left = deadline - loop.time()
        if page.changes or left <= 0 or ending.is_set():
            return page
        await _wait_for_either(moved, ending, min(left, _ASK_AGAIN_SECONDS))


def write_cursor(context: Context, cursor: Cursor) -> str:
    """Seal a cursor."""
    content = [
        cursor.server,
        _write_position(cursor.position),
        None if cursor.until is None else _write_position(cursor.until),
        list(cursor.place),
    ]
    sealed = context.keyring.seal(Use.CURSOR, orjson.dumps(content))
    return urlsafe_b64encode(_check(sealed) + sealed).rstrip(b"=").decode()


def read_cursor(context: Context, text: str) -> Cursor:
    """Open a cursor. Raises `InvalidInput` for what is none, and `KeyNotAtHand`."""
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        sealed = packed[_CHECK_BYTES:]
        if _check(sealed) != packed[:_CHECK_BYTES]:
            raise BrokenToken  # noqa: TRY301 - as if the seal were broken
        server, position, until, place = orjson.loads(context.keyring.open(Use.CURSOR, sealed))
    except (BrokenToken, Base64Error, ValueError) as error:
        raise InvalidInput("after: take it from `next` of the answer before") from error
    return Cursor(server, _read_position(position), None if until is None else _read_position(until), Place(*place))


async def _wait_for_either(one: asyncio.Event, other: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _advance(cursor: Cursor, snapshot: Position, entries: list[ChangedEntry], *, is_last: bool) -> Cursor:
    until = cursor.until or snapshot
    place = entries[-1].place if entries else cursor.place
    if is_last:
        return Cursor(cursor.server, until.cap(max(cursor.position.highest, place.xid)))
    return Cursor(cursor.server, cursor.position, until, place)


def _open_all(context: Context, entries: list[ChangedEntry]) -> list[Change]:
    return [Change(entry, open_address(context, entry.sealed_address, entry.fingerprint)) for entry in entries]


def _check(sealed: bytes) -> bytes:
    """Tells what was never a cursor from one that was sealed under a key which this process lacks."""
    return crc32(sealed).to_bytes(_CHECK_BYTES)


def _name_server(identity: ServerIdentity) -> str:
    return blake2s(" ".join(map(str, identity)).encode(), digest_size=8).hexdigest()


def _write_position(position: Position) -> list[int]:
    """Its xmax, and how far below that the open transactions were: small numbers, so that many find room."""
    return [position.xmax, *(position.xmax - xip for xip in position.xips)]


def _read_position(content: list[int]) -> Position:
    xmax, *distances = content
    return Position(xmax, tuple(xmax - distance for distance in distances))
