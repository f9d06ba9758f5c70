"""On which thread decisions are made: few at once on the loop's own, those in bulk never."""

import asyncio
import threading

import pytest

from forbear.domain.suppression import BUILT_IN, Purpose
from forbear.index.engine import Engine
from forbear.services import decision, standings
from forbear.services.decision import IN_BULK_FROM, Question
from tests.followers import write

QUESTION = Question(Purpose.MARKETING, "*")


def make_addresses(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


@pytest.mark.parametrize(("count", "is_on_loop"), [(1, True), (IN_BULK_FROM - 1, True), (IN_BULK_FROM, False)])
async def test_decisions_in_bulk_leave_the_loop_alone(context, connection, monkeypatch, count, is_on_loop):
    decide, threads = Engine.decide, set()

    def decide_and_note(*arguments):
        threads.add(threading.get_ident())
        return decide(*arguments)

    monkeypatch.setattr(Engine, "decide", decide_and_note)
    await context.standings.catch_up()
    await write(context, connection, "person0@example.com")
    checked = await decision.check(context, make_addresses(count), QUESTION)
    assert [verdict.reason for verdict in checked.verdicts] == ["unsubscribe"] + [None] * (count - 1)
    assert (threads == {threading.get_ident()}) is is_on_loop
    assert len(threads) == 1


@pytest.mark.parametrize(("count", "is_on_loop"), [(IN_BULK_FROM - 1, True), (IN_BULK_FROM, False)])
async def test_decisions_in_bulk_leave_the_loop_alone_without_an_engine_too(
    context, connection, monkeypatch, count, is_on_loop
):
    decide, threads = decision.decide, set()

    def decide_and_note(*arguments):
        threads.add(threading.get_ident())
        return decide(*arguments)

    monkeypatch.setattr(decision, "decide", decide_and_note)
    monkeypatch.setattr(standings, "ENTRIES_WITHOUT_FILE_MAX", 0)
    await write(context, connection, "person0@example.com")
    checked = await decision.check(context, make_addresses(count), QUESTION)
    assert context.standings.engine is None
    assert [verdict.reason for verdict in checked.verdicts] == ["unsubscribe"] + [None] * (count - 1)
    assert (threads == {threading.get_ident()}) is is_on_loop
    assert len(threads) == 1


async def test_a_decision_in_bulk_on_the_loop_is_refused(context):
    await context.standings.catch_up()
    engine = context.standings.engine
    for count in (IN_BULK_FROM - 1, IN_BULK_FROM):
        keys = context.standings.fingerprinter.make_texts(make_addresses(count))
        ask = engine, keys, QUESTION, BUILT_IN
        assert len((await asyncio.to_thread(decision.ask_engine, *ask)).codes) == count
        if count < IN_BULK_FROM:
            assert len(decision.ask_engine(*ask).codes) == count
        else:
            with pytest.raises(RuntimeError, match="event loop"):
                decision.ask_engine(*ask)
