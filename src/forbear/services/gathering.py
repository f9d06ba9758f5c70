"""Doing what many ask for at the same moment together, as databases do with commits.

Who asks while others are being served waits for the next turn, and shares it with all who came meanwhile. Nobody is
kept waiting for more to come: one who asks alone is served at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from forbear.domain.errors import ForbearError, ListUnavailable

T = TypeVar("T")
R = TypeVar("R")
TOGETHER_MAX: Final = 200
"""How many are served in one turn; the rest wait for the next, so that no turn takes long."""
TURNS_MAX: Final = 4
"""How many turns are under way at once: while one waits for a disk, others need not."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked(Generic[T, R]):
    item: T
    group: Hashable
    key: Hashable
    answer: asyncio.Future[R]


@dataclass(slots=True)
class Gathering(Generic[T, R]):
    """Serves items in turns, a few turns at a time. It belongs to one event loop."""

    _waiting: list[_Asked[T, R]] = field(default_factory=list)
    _servers: set[asyncio.Task[None]] = field(default_factory=set)

    async def join(
        self, item: T, serve: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, group: Hashable, key: Hashable
    ) -> R:
        """Have `serve` called with this item and others, and give back its answer for this one.

        A turn is of one group, and of items with the same key no two are in it. Where a turn fails by the fault of
        some item, each is served by itself, and only that one fails. An item is served even when whoever asked has
        gone.
        """
        asked: _Asked[T, R] = _Asked(item, group, key, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        # One that has just ended is still in the set for a moment, and serves nobody any more.
        if sum(not server.done() for server in self._servers) < TURNS_MAX:
            server = asyncio.create_task(self._serve_all(serve))
            self._servers.add(server)
            server.add_done_callback(self._servers.discard)
        try:
            return await asked.answer
        except ForbearError as error:
            # One error may be that of many; each gets one of its own to raise.
            raise type(error)(error.detail) from error

    async def _serve_all(self, serve: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        turn: list[_Asked[T, R]] = []
        try:
            while self._waiting:
                turn = self._take_turn()
                await _serve(turn, serve)
        except BaseException:
            # The process is ending. Whoever waits must not wait for ever, and must not be told that it was done.
            for asked in (*turn, *self._waiting):
                asked.answer.cancel()
            self._waiting.clear()
            raise

    def _take_turn(self) -> list[_Asked[T, R]]:
        turn: dict[Hashable, _Asked[T, R]] = {}
        later: list[_Asked[T, R]] = []
        group = self._waiting[0].group
        for asked in self._waiting:
            if len(turn) < TOGETHER_MAX and asked.group == group and asked.key not in turn:
                turn[asked.key] = asked
            else:
                later.append(asked)
        self._waiting = later
        return list(turn.values())


async def _serve(turn: Sequence[_Asked[T, R]], serve: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
    try:
        answers = await serve([asked.item for asked in turn])
    except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
        if len(turn) > 1 and not isinstance(error, ListUnavailable):
            await _serve_apart(turn, serve)
            return
        for asked in turn:
            if not asked.answer.done():
                asked.answer.set_exception(error)
        return
    for asked, answer in zip(turn, answers, strict=True):
        if not asked.answer.done():
            asked.answer.set_result(answer)


async def _serve_apart(turn: Sequence[_Asked[T, R]], serve: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
    """Serve each by itself, a few at once, so that one who has to wait does not hold up the others."""
    places = asyncio.Semaphore(TURNS_MAX)

    async def serve_one(asked: _Asked[T, R]) -> None:
        async with places:
            await _serve([asked], serve)

    await asyncio.gather(*(serve_one(asked) for asked in turn))
