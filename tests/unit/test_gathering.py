"""Asking together: everybody gets an answer of their own, and nobody suffers by the fault of another."""

import asyncio
from collections.abc import Sequence

import pytest

from forbear.domain.errors import InvalidInput, ListUnavailable
from forbear.services.gathering import TOGETHER_MAX, TURNS_MAX, Gathering


class Desk:
    """Serves numbers; it is slow until it is told to go on, and notes who was served together."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.are_all_busy = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.gathering: Gathering[int, str] = Gathering()

    async def serve(self, numbers: Sequence[int]) -> list[str]:
        self.turns.append(list(numbers))
        if len(self.turns) == TURNS_MAX:
            self.are_all_busy.set()
        await self.may_go_on.wait()
        if any(number < 0 for number in numbers):
            raise InvalidInput("a negative number")
        if 0 in numbers:
            raise ListUnavailable
        return [str(number) for number in numbers]

    def ask(self, number: int, *, key: object = None, group: object = None) -> asyncio.Task[str]:
        return asyncio.create_task(self.gathering.join(number, self.serve, group=group, key=key or number))


@pytest.fixture
async def desk():
    return Desk()


async def keep_busy(desk: Desk) -> list[asyncio.Task[str]]:
    """Fill all turns with one each, so that whoever comes next has to wait."""
    tasks = []
    for number in range(TURNS_MAX):
        tasks.append(desk.ask(100 + number))
        await asyncio.sleep(0)
    await desk.are_all_busy.wait()
    return tasks


async def test_who_comes_while_others_are_served_shares_the_next_turn(desk):
    first = await keep_busy(desk)
    rest = [desk.ask(number) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    desk.may_go_on.set()
    assert await asyncio.gather(*rest) == ["2", "3", "4"]
    assert await asyncio.gather(*first) == [str(100 + number) for number in range(TURNS_MAX)]
    assert desk.turns == [*([100 + number] for number in range(TURNS_MAX)), [2, 3, 4]]


async def test_who_comes_just_as_all_turns_end_is_served(desk):
    first = await keep_busy(desk)

    async def come_at_the_end() -> str:
        await desk.may_go_on.wait()
        return await desk.gathering.join(9, desk.serve, group=None, key=9)

    late = asyncio.create_task(come_at_the_end())
    await asyncio.sleep(0)
    desk.may_go_on.set()
    assert await asyncio.wait_for(late, 30) == "9"
    await asyncio.gather(*first)


async def test_equal_keys_are_never_served_in_one_turn(desk):
    first = await keep_busy(desk)
    rest = [desk.ask(number, key="the same") for number in (2, 3)]
    await asyncio.sleep(0)
    desk.may_go_on.set()
    assert await asyncio.gather(*rest) == ["2", "3"]
    await asyncio.gather(*first)
    assert desk.turns[TURNS_MAX:] == [[2], [3]]


async def test_a_turn_is_of_one_group(desk):
    first = await keep_busy(desk)
    rest = [desk.ask(number, group=group) for number, group in ((2, "a"), (3, "b"), (4, "a"))]
    await asyncio.sleep(0)
    desk.may_go_on.set()
    assert await asyncio.gather(*rest) == ["2", "3", "4"]
    await asyncio.gather(*first)
    assert desk.turns[TURNS_MAX:] == [[2, 4], [3]]


async def test_a_turn_has_an_end(desk):
    desk.may_go_on.set()
    tasks = [desk.ask(number) for number in range(1, 2 * TOGETHER_MAX + 2)]
    assert await asyncio.gather(*tasks) == [str(number) for number in range(1, 2 * TOGETHER_MAX + 2)]
    assert max(map(len, desk.turns)) == TOGETHER_MAX


async def test_who_is_at_fault_fails_alone(desk):
    desk.may_go_on.set()
    answers = await asyncio.gather(*(desk.ask(number) for number in (1, -2, 3)), return_exceptions=True)
    assert answers[0] == "1"
    assert isinstance(answers[1], InvalidInput)
    assert answers[2] == "3"


async def test_a_list_that_is_away_fails_all_at_once_each_with_an_error_of_its_own(desk):
    desk.may_go_on.set()
    answers = await asyncio.gather(*(desk.ask(number) for number in (1, 0, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ListUnavailable] * 3
    assert len({id(answer) for answer in answers}) == len(answers)
    assert desk.turns == [[1, 0, 3]]
    assert await desk.ask(5) == "5"


async def test_who_goes_away_is_served_all_the_same(desk):
    first = await keep_busy(desk)
    gone, stays = desk.ask(2), desk.ask(3)
    await asyncio.sleep(0)
    gone.cancel()
    desk.may_go_on.set()
    assert await stays == "3"
    await asyncio.gather(*first)
    assert desk.turns[TURNS_MAX:] == [[2, 3]]


async def test_nobody_waits_for_ever_when_the_serving_task_is_ended(desk):
    served = await keep_busy(desk)
    waiting = desk.ask(1)
    await asyncio.sleep(0)
    for server in desk.gathering._servers:
        server.cancel()
    for task in (*served, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
