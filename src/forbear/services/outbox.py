"""The outbox: messages are queued in the transaction of what they are about, and sent by a worker.

A worker holds a message for a while. It asks the list once more before it sends, says that it offers the message
before it hands it over, and writes down how that ended. Killed anywhere, it leaves a message that another takes up
again; that one goes out twice only where nobody knows what became of the first time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, assert_never
from uuid import uuid4

import orjson
import structlog

from forbear.domain.address import Address
from forbear.domain.errors import BrokenToken, KeyNotAtHand, ListUnavailable
from forbear.domain.keys import Use
from forbear.domain.suppression import EVERYTHING, Outcome, Purpose, Reason
from forbear.mailer.message import Mail, Sender, make_mail
from forbear.mailer.pool import Fate, Mailer, Result
from forbear.mailer.rendering import render_message
from forbear.services import decision, scopes
from forbear.services.context import Context
from forbear.services.decision import Question, read_address
from forbear.store import Connection
from forbear.store import outbox as outbox_store
from forbear.store.outbox import ClaimedMessage, MessageStatus

_HOLD_BEYOND: Final = timedelta(seconds=60)
"""A worker holds a message for longer than any attempt takes, so that no other takes it up meanwhile."""
_FIRST_DELAY: Final = timedelta(minutes=1)
_LONGEST_DELAY: Final = timedelta(hours=1)
_RECORD_AGAIN_SECONDS: Final = 1.0
_PAGE_ROWS: Final = 1000
_log = structlog.get_logger()


class MessageKind(StrEnum):
    """What is sent; each has a folder of templates."""

    CONFIRM_SUBSCRIPTION = "confirm_subscription"
    CONFIRM_RETURN = "confirm_return"
    CONFIRM_CHANGE = "confirm_change"
    CONFIRM_LEAVING = "confirm_leaving"
    ADDRESS_CHANGED = "address_changed"
    RECEIPT = "receipt"


_ANSWERED: Final = frozenset(
    {
        MessageKind.CONFIRM_SUBSCRIPTION,
        MessageKind.CONFIRM_RETURN,
        MessageKind.CONFIRM_CHANGE,
        MessageKind.CONFIRM_LEAVING,
    }
)
"""Messages that a person asks for and answers. They may go to an address that bounced: an answer proves it works."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address; `scope` is the brand that it speaks for, or everything."""

    kind: MessageKind
    to: Address
    language: str
    scope: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OutboxView:
    """How many messages there are of each status, and since when the oldest that is due waits."""

    counts: Mapping[MessageStatus, int]
    oldest_waiting: datetime | None


async def queue_message(context: Context, connection: Connection, message: Message) -> int:
    """Put a message into the outbox, in the caller's transaction; its number."""
    mark = uuid4()
    content = {
        "to": message.to.raw,
        "language": message.language,
        "scope": message.scope,
        "values": dict(message.values),
    }
    return await outbox_store.add_message(
        connection,
        mark,
        kind=message.kind.value,
        fingerprint=context.keyring.fingerprints.email.make_keys([message.to])[0].match,
        sealed=context.keyring.seal(Use.MESSAGE, orjson.dumps(content), mark.bytes),
        lifetime=context.options.mail.lifetime,
    )


async def view_outbox(context: Context) -> OutboxView:
    """Count the outbox."""
    async with context.database.connection() as connection:
        counts = await outbox_store.count_messages(connection)
        return OutboxView(counts, await outbox_store.find_oldest_waiting(connection))


async def give_up_late(context: Context) -> int:
    """End the messages whose time is over; how many there were."""
    ended = 0
    async with context.database.connection() as connection:
        while page := await outbox_store.give_up_messages(connection, _PAGE_ROWS):
            ended += page
    return ended


async def send_due(context: Context, mailer: Mailer, sender: Sender) -> Mapping[str, int]:
    """Send what is due, until nothing is or the upstream is away; how many ended in which way.

    Raises `ListUnavailable`; what was under way then is taken up again later.
    """
    outbox = _Outbox(context, mailer, sender)
    counted: Counter[str] = Counter(given_up=await give_up_late(context))
    while claimed := await outbox.claim():
        done = await asyncio.gather(*map(outbox.send, claimed), return_exceptions=True)
        counted.update(line.word for line in done if isinstance(line, _Done))
        # The others of the batch have ended: one that failed in a way that nobody foresaw holds up none of them.
        for failure in (line for line in done if isinstance(line, BaseException)):
            raise failure
        if any(line.is_upstream_away for line in done if isinstance(line, _Done)):
            break
    found = {word: number for word, number in counted.items() if number}
    if found:
        _log.info("messages", **found)
    return found


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one attempt, in the words that are logged."""

    word: str
    is_upstream_away: bool = False


@dataclass(frozen=True, slots=True)
class _Content:
    """A message as it was queued, opened."""

    to: Address
    language: str
    scope: str
    values: Mapping[str, Any]


class _Outbox:
    """One worker's view of the outbox."""

    def __init__(self, context: Context, mailer: Mailer, sender: Sender) -> None:
        self._context = context
        self._mailer = mailer
        self._sender = sender
        self._holder = uuid4()
        self._hold = timedelta(seconds=mailer.attempt_seconds) + _HOLD_BEYOND

    async def claim(self) -> list[ClaimedMessage]:
        async with self._context.database.connection() as connection:
            return await outbox_store.claim_messages(connection, self._holder, self._hold, self._mailer.connections_max)

    async def send(self, claimed: ClaimedMessage) -> _Done:
        """Send one message and write down what came of it."""
        try:
            content = self._open(claimed)
            if content is None or not await self._may_send(claimed, content):
                return await self._end(claimed, MessageStatus.WITHHELD, None)
            mail = await self._write(claimed, content)
        except KeyNotAtHand:
            await self._postpone(claimed, Result(Fate.TEMPORARY), is_offered=claimed.is_offered)
            return _Done("postponed")
        except BrokenToken:
            _log.error("message_broken", message=claimed.id)
            return await self._end(claimed, MessageStatus.WITHHELD, None)
        if claimed.is_offered:
            _log.warning("message_sent_again", message=claimed.id)
        result = await self._mailer.send(mail, lambda: self._offer(claimed))
        return _Done("lost") if result is None else await self._record(claimed, result)

    def _open(self, claimed: ClaimedMessage) -> _Content | None:
        plain = self._context.keyring.open(Use.MESSAGE, claimed.sealed, claimed.mark.bytes)
        found: dict[str, Any] = orjson.loads(plain)
        address = read_address(found["to"])
        return None if address is None else _Content(address, found["language"], found["scope"], found["values"])

    async def _may_send(self, claimed: ClaimedMessage, content: _Content) -> bool:
        question = Question(Purpose.TRANSACTIONAL, content.scope)
        verdict = (await decision.check(self._context, [content.to.raw], question)).verdicts[0]
        if verdict.outcome is Outcome.DELIVER:
            return True
        return verdict.reason == Reason.HARD_BOUNCE and MessageKind(claimed.kind) in _ANSWERED

    async def _write(self, claimed: ClaimedMessage, content: _Content) -> Mail:
        brand = await name_brand(self._context, content.scope, content.language, self._sender)
        values = {"brand": brand, "contact": self._context.options.mail.contact or "", **content.values}
        rendered = render_message(claimed.kind, content.language, values)
        local = content.to.raw.rpartition("@")[0]
        recipient = f"{local}@{content.to.domain}"
        return make_mail(self._sender, recipient, rendered, mark=claimed.mark, written_at=claimed.queued_at)

    async def _offer(self, claimed: ClaimedMessage) -> bool:
        async with self._context.database.connection() as connection:
            return await outbox_store.offer_message(connection, claimed.id, self._holder, self._hold)

    async def _record(self, claimed: ClaimedMessage, result: Result) -> _Done:
        match result.fate:
            case Fate.DELIVERED:
                return await self._end(claimed, MessageStatus.DELIVERED, result.code)
            case Fate.PERMANENT:
                return await self._end(claimed, MessageStatus.REFUSED, result.code)
            case Fate.TEMPORARY:
                return await self._postpone(claimed, result, is_offered=False)
            case Fate.UNKNOWN:
                return await self._postpone(claimed, result, is_offered=True)
            case _:
                assert_never(result.fate)

    async def _end(self, claimed: ClaimedMessage, status: MessageStatus, code: int | None) -> _Done:
        async def write(connection: Connection) -> None:
            await outbox_store.end_message(connection, claimed.id, self._holder, status, code)

        await self._write_down(write)
        return _Done(status.value)

    async def _postpone(self, claimed: ClaimedMessage, result: Result, *, is_offered: bool) -> _Done:
        delay = min(_FIRST_DELAY * 2 ** min(claimed.attempts - 1, 10), _LONGEST_DELAY)

        async def write(connection: Connection) -> None:
            await outbox_store.postpone_message(
                connection, claimed.id, self._holder, code=result.code, delay=delay, is_offered=is_offered
            )

        await self._write_down(write)
        _log.warning("message_postponed", message=claimed.id, fate=result.fate.value, code=result.code)
        return _Done("postponed", is_upstream_away=result == Result(Fate.TEMPORARY))

    async def _write_down(self, write: Callable[[Connection], Awaitable[None]]) -> None:
        """Write an outcome down, for as long as the message is held: lost, it would be sent again."""
        ends_at = asyncio.get_running_loop().time() + self._hold.total_seconds()
        while True:
            try:
                async with self._context.database.connection() as connection:
                    await write(connection)
            except ListUnavailable:
                if asyncio.get_running_loop().time() > ends_at:
                    raise
                await asyncio.sleep(_RECORD_AGAIN_SECONDS)
            else:
                return


async def name_brand(context: Context, scope: str, language: str, sender: Sender | None) -> str:
    """What people call the brand of a scope; for everything, the sender's name."""
    name = scope.partition("/")[0]
    brand = (await scopes.find_scopes(context)).get(name)
    if brand is not None and name != EVERYTHING:
        return scopes.title_of(brand, language)
    return "" if sender is None else sender.name or sender.domain
