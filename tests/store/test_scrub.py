"""How old the verdicts of a scrub may be: batches are decided ahead, and decided anew when they had to wait."""

import asyncio
from uuid import uuid4

from forbear.domain.suppression import Purpose
from forbear.index.engine import Engine
from forbear.services import scrub
from forbear.services.decision import Question
from forbear.services.scrub import BATCHES_AHEAD, Scrub
from forbear.services.scrub_rows import Output, ScrubOptions
from tests.followers import write
from tests.processes import wait_for

BATCHES = BATCHES_AHEAD + 1


async def read_list():
    """A list of some batches, a mebibyte each."""
    yield b"email,filler\n"
    for number in range(BATCHES):
        rows = (f"person{number}.{row}@example.com,".encode().ljust(1023, b"x") for row in range(1024))
        yield b"\n".join(rows) + b"\n"


async def test_p1_a_batch_that_waited_for_its_turn_is_decided_anew(context, connection, monkeypatch):
    decide, decided = Engine.decide, []
    written, may_go_on = [], asyncio.Event()

    def decide_and_note(*arguments):
        found = decide(*arguments)
        decided.append(found)
        return found

    async def put(output: Output) -> None:
        written.append(output.rows)
        await may_go_on.wait()

    monkeypatch.setattr(Engine, "decide", decide_and_note)
    # Any wait is too long a one, so that nobody has to wait for it here.
    monkeypatch.setattr(scrub, "_FRESH_SECONDS", 0.0)
    run = Scrub(context, uuid4(), ScrubOptions(Question(Purpose.MARKETING, "*"), column="email"), "test")
    running = asyncio.create_task(run.run(read_list(), put))
    await wait_for(lambda: len(decided) > BATCHES, "all batches to be decided, and the first one to be written")
    await write(context, connection, f"person{BATCHES - 1}.7@example.com")
    may_go_on.set()
    await running
    assert run.counts.suppress == {"unsubscribe": 1}
    rows = b"".join(written)
    assert f"person{BATCHES - 1}.8@example.com".encode() in rows
    assert f"person{BATCHES - 1}.7@example.com".encode() not in rows


async def test_what_was_decided_first_is_what_a_scrub_says_it_is_true_as_of(context, connection):
    moments = [await context.standings.catch_up()]
    run = Scrub(context, uuid4(), ScrubOptions(Question(Purpose.MARKETING, "*"), column="email"), "test")

    async def put(_output: Output) -> None:
        moments.append(await context.standings.catch_up())

    await run.run(read_list(), put)
    assert moments[0] <= run.as_of <= moments[1]
