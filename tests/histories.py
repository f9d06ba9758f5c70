"""Writers and readers of one list as processes of their own, what they record, and whether it can be explained.

    python -m tests.histories write FOLDER NUMBER BARRIER
    python -m tests.histories read FOLDER NUMBER BARRIER

Each address has one writer at a time, so its history is a sequence of states, each in force from some moment between
the beginning and the end of the call that made it. A reader's verdict is explained by a state that was made before
the reader's call ended, and not replaced before it began; and whoever asks later never gets an older state
(linearizability, Herlihy and Wing 1990, for one register with one writer).
"""

import asyncio
import json
import os
import random
import sys
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forbear import bootstrap
from forbear.config import Settings
from forbear.domain.address import parse_address, parse_intake
from forbear.domain.errors import ForbearError, TryAgain
from forbear.domain.suppression import Channel, Purpose, Reason, Source
from forbear.index.addresses import Keys
from forbear.index.engine import Engine
from forbear.index.overlay import VERSION_MAX
from forbear.index.rules import read_code
from forbear.services import decision, suppression
from forbear.services.context import Context
from forbear.services.decision import Question
from forbear.services.standings import Standings
from forbear.services.suppression import Assertion, fingerprint_keys, lookup_keys
from forbear.store import suppression as suppression_store

WRITERS = 2
TASKS = 8
ADDRESSES = 8
OTHERS = 50_000
"""Further rows of a list, so that deciding about all of it takes some time, in which much changes."""
QUESTION = Question(Purpose.MARKETING, "maison")


@dataclass(frozen=True)
class Call:
    """One call about an address: when it began and ended (ns), and the state it made or the verdict it got."""

    address: str
    began: int
    ended: int
    verdict: str


def name_addresses(writer: int, round_number: int) -> list[list[str]]:
    """The addresses of a writer's tasks; each has a mailbox of many spellings, or a domain, to itself."""
    return [
        [_name_address(f"w{writer}r{round_number}t{task}n{number}", number) for number in range(ADDRESSES)]
        for task in range(TASKS)
    ]


def _name_address(name: str, number: int) -> str:
    return f"{name}+x@gmail.com" if number % 2 else f"ann@{name}.example.com"


def name_relative(address: str) -> str:
    """Whatever else an entry can be about so that it counts for the address: another spelling, or its domain."""
    return address.replace("+x@", "+y@") if "+x@" in address else "@" + address.partition("@")[2]


def read_rounds(folder: Path) -> list[int]:
    """How often each writer was replaced."""
    return json.loads((folder / "rounds").read_text())


# What a process records


class Log:
    """Lines of JSON that are in the file once they are written, whoever is killed then."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, *values: object) -> None:
        os.write(self._file, json.dumps(values).encode() + b"\n")


async def write_for_ever(context: Context, log: Log, addresses: list[str]) -> None:
    """Opt out, lift, grant and undo, one call after the other."""
    choose = random.Random()  # noqa: S311 - any order will do
    events = dict.fromkeys(addresses, 0)
    while True:
        address = choose.choice(addresses)
        began = time.monotonic_ns()
        log.add("begin", address, began)
        try:
            events[address] = await change(context, address, events[address], choose)
            ended = time.monotonic_ns()
            verdict = await read_truth(context, address)
        except TryAgain:
            # Perhaps it was done, perhaps not; when the server is back, its state tells.
            verdict = await read_truth_at_last(context, address)
            ended = time.monotonic_ns()
        log.add("write", address, began, ended, verdict)
        await read_once(context, log, address)


async def change(context: Context, address: str, event: int, choose: random.Random) -> int:
    """One call that changes what stands about an address; the event that may be undone, 0 for none."""
    standing = await find_standing(context, address)
    match choose.randrange(6):
        case 0 if standing:
            await suppression.lift(context, choose.choice(standing)["id"], actor="test", why="a test")
        case 1:
            scope = choose.choice(["*", "maison", "maison/newsletter"])
            async with context.database.connection() as connection:
                await suppression_store.add_grant(
                    connection, key_of(context, address), Channel.EMAIL, scope, Source.PREFERENCES, "test"
                )
        case 2 if event:
            async with context.database.transaction() as connection:
                await suppression_store.undo_events(connection, [event], actor="test")
        case 3:
            reason = choose.choice([Reason.UNSUBSCRIBE, Reason.COMPLAINT, Reason.MANUAL])
            return await add_entry(context, address, reason, choose.choice(["*", "maison"]))
        case 4:
            await add_entry(context, name_relative(address), Reason.COMPLAINT, "*")
        case _:
            await move(context, address, standing)
    return 0


async def move(context: Context, address: str, standing: list) -> None:
    """Block an address by an entry of its own instead of its relative's, or the other way round.

    It is never without one of the two, so the verdict is the same before, meanwhile and afterwards.
    """
    blocks = [row for row in standing if row["reason"] == Reason.MANUAL and row["scope"] == "*"]
    is_own = any(row["fingerprint"] == key_of(context, address) for row in blocks)
    await add_entry(context, name_relative(address) if is_own else address, Reason.MANUAL, "*")
    for row in blocks:
        await suppression.lift(context, row["id"], actor="test", why="a test")


async def add_entry(context: Context, target: str, reason: Reason, scope: str) -> int:
    """Opt out, at a relative's by phone, so that it counts for all spellings; the event."""
    source = Source.API if "+y@" not in target else Source.PHONE
    assertion = Assertion(parse_intake(target), reason, scope, source)
    (asserted,) = await suppression.assert_entries(context, [assertion], actor="test")
    return asserted.event_id


async def find_standing(context: Context, address: str) -> list:
    """The entries of an address and its relative."""
    keys = [key_of(context, address), key_of(context, name_relative(address))]
    async with context.database.connection() as connection:
        found = await connection.fetch(
            "SELECT id, fingerprint, scope, reason::text, lifted_at FROM entries WHERE fingerprint = ANY ($1)", keys
        )
    return [row for row in found if row["lifted_at"] is None]


def key_of(context: Context, target: str) -> bytes:
    """The fingerprint of what an entry is about."""
    return lookup_keys(context, parse_intake(target))[0][0]


async def read_truth(context: Context, address: str) -> str:
    """The verdict by the tables themselves."""
    keys = [fingerprint_keys(context, parse_address(address))]
    (verdict,) = (await decision.decide_exactly(context, keys, QUESTION)).verdicts
    return name_verdict(verdict)


async def read_truth_at_last(context: Context, address: str) -> str:
    """The same, as soon as the server is back."""
    while True:
        try:
            return await read_truth(context, address)
        except TryAgain:
            await asyncio.sleep(0.05)


async def read_once(context: Context, log: Log, *addresses: str) -> None:
    """Ask for verdicts as every door does."""
    began = time.monotonic_ns()
    try:
        checked = await decision.check(context, addresses, QUESTION)
    except TryAgain:
        await asyncio.sleep(0.05)
        return
    ended = time.monotonic_ns()
    for address, verdict in zip(addresses, checked.verdicts, strict=True):
        log.add("read", address, began, ended, name_verdict(verdict))


def name_verdict(verdict) -> str:
    return f"{verdict.outcome} {verdict.reason or ''}".strip()


async def read_list(context: Context, log: Log, addresses: list[str], keys: Keys) -> None:
    """Ask for the verdicts of a batch, as every scrub does; its first rows are the addresses."""
    began = time.monotonic_ns()
    try:
        coded = await decision.decide_rows(context, keys, QUESTION)
    except TryAgain:
        await asyncio.sleep(0.05)
        return
    ended = time.monotonic_ns()
    for address, code in zip(addresses, coded.codes.tolist(), strict=False):
        log.add("read", address, began, ended, name_verdict(read_code(code)))


async def read_for_ever(context: Context, log: Log, folder: Path) -> None:
    """Ask about one address after the other, and now and then about all at once."""
    choose = random.Random()  # noqa: S311 - any order will do
    rounds, everybody, keys = [], [], None
    while True:
        if rounds != (rounds := read_rounds(folder)):
            everybody = [
                address
                for writer, round_number in enumerate(rounds)
                for addresses in name_addresses(writer, round_number)
                for address in addresses
            ]
            texts = [*everybody, *(f"nobody{number}@gmail.com" for number in range(OTHERS))]
            keys = await asyncio.to_thread(context.standings.fingerprinter.make_texts, texts)
        for _ in range(20):
            await read_once(context, log, choose.choice(everybody))
        await read_once(context, log, *everybody)
        await read_list(context, log, everybody, keys)


# Barriers that are broken on purpose


def break_barrier(how: str) -> None:
    """Replace the barrier of this process, or the engine's view of one moment, by one that looks much the same."""
    if how == "torn":
        look_up = Engine._look_up

        def look_up_what_is_there_by_now(engine, _view, *arguments):
            return look_up(engine, engine.overlay.view()._replace(version=VERSION_MAX), *arguments)

        Engine._look_up = look_up_what_is_there_by_now
        return
    whole = Standings.catch_up
    under_way: asyncio.Future | None = None

    async def share_the_flight_under_way(standings):
        nonlocal under_way
        if under_way is None or under_way.done():
            under_way = asyncio.ensure_future(whole(standings))
        return await asyncio.shield(under_way)

    asked_at = 0.0

    async def ask_now_and_then(standings):
        nonlocal asked_at
        if time.monotonic() - asked_at > 0.02:
            asked_at = time.monotonic()
            return await whole(standings)
        return None

    Standings.catch_up = {"shared": share_the_flight_under_way, "rare": ask_now_and_then}[how]


async def run(verb: str, folder: Path, number: int, barrier: str) -> None:
    """Be one process."""
    if barrier != "whole":
        break_barrier(barrier)
    settings = Settings(**json.loads((folder / "settings").read_text()))
    log = Log(folder / f"{verb}-{number}.log")
    async with bootstrap.open_context(settings) as context, asyncio.TaskGroup() as tasks:
        await context.standings.start()
        if verb == "write":
            for addresses in name_addresses(number, read_rounds(folder)[number]):
                tasks.create_task(write_for_ever(context, log, addresses))
        else:
            for _ in range(TASKS):
                tasks.create_task(read_for_ever(context, log, folder))


# Whether it can be explained


def read_history(folder: Path) -> tuple[list[Call], list[Call], dict[str, int]]:
    """Writes and reads of all processes, and when a call began whose end nobody recorded, by address."""
    found = {"write": [], "read": []}
    open_calls: dict[str, int] = {}
    for path in folder.glob("*.log"):
        # A process that is killed may leave half a line, and only as its last.
        for line in path.read_bytes().split(b"\n")[:-1]:
            verb, address, *rest = json.loads(line)
            if verb == "begin":
                open_calls[address] = rest[0]
            else:
                found[verb].append(Call(address, *rest))
                if verb == "write":
                    open_calls.pop(address, None)
    return found["write"], found["read"], open_calls


def find_contradictions(writes: Iterable[Call], reads: Iterable[Call], open_calls: dict[str, int]) -> list[str]:
    """Reads that no order of calls explains.

    About an address whose last call nobody saw the end of, only what was asked before that call is judged.
    """
    states = defaultdict(list)
    for call in sorted(writes, key=lambda call: call.began):
        states[call.address].append(call)
    questions = defaultdict(list)
    for call in reads:
        if call.ended < open_calls.get(call.address, sys.maxsize):
            questions[call.address].append(call)
    return [
        contradiction
        for address, calls in questions.items()
        for contradiction in _find_in_one(states[address], sorted(calls, key=lambda call: call.began))
    ]


def _find_in_one(states: list[Call], reads: list[Call]) -> Iterable[str]:
    """Give each read the oldest state that explains it; who began after it had ended may then not go further back."""
    values = ["deliver", *(state.verdict for state in states)]
    begins = [0, *(state.began for state in states)]
    ends = [0, *(state.ended for state in states)]
    # By when a read ended, the newest state that any read until then has needed.
    seen_at, seen = [], []
    waiting: list[tuple[int, int]] = []
    for read in reads:
        for ended, place in sorted(entry for entry in waiting if entry[0] < read.began):
            seen_at.append(ended)
            seen.append(max(place, seen[-1] if seen else 0))
        waiting = [entry for entry in waiting if entry[0] >= read.began]
        least = max(bisect_left(ends, read.began) - 1, seen[-1] if seen else 0)
        most = bisect_right(begins, read.ended) - 1
        place = next((place for place in range(least, most + 1) if values[place] == read.verdict), None)
        if place is None:
            yield f"{read} where {values[least : most + 1]} were in force"
        else:
            waiting.append((read.ended, place))


if __name__ == "__main__":
    verb_, folder_, number_, barrier_ = sys.argv[1:]
    try:
        asyncio.run(run(verb_, Path(folder_), int(number_), barrier_))
    except ForbearError as error_:
        sys.exit(error_.detail)
