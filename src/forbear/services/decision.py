"""The one way to decide: every door asks `check` or `decide_rows`.

A decision first catches up with the list (`Standings.catch_up`, the read barrier), then asks the engine, which gives
every row its verdict at once. A few rows the engine cannot be sure of, and a process without an engine is sure of
none: those are asked of PostgreSQL, set-wise, by `decide_exactly`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, ParamSpec, TypeVar

import numpy as np

from forbear.domain.address import Address, parse_address
from forbear.domain.contact_point import ContactPoint, Given, check_reading_region, parse_contact_point
from forbear.domain.errors import InvalidAddress
from forbear.domain.fingerprint import AddressKeys, Fingerprint
from forbear.domain.party import Party
from forbear.domain.suppression import (
    Channel,
    Entry,
    Grant,
    Outcome,
    Policy,
    Purpose,
    Rule,
    RuleSet,
    Verdict,
    check_party,
    check_send_scope,
    decide,
)
from forbear.index.addresses import Keys
from forbear.index.engine import Decided, Engine
from forbear.index.kernels.addresses import INVALID as NO_ADDRESS
from forbear.index.kernels.blake2s import Bytes, Indexes
from forbear.index.rules import INVALID_CODE, code_of, read_code
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.store import suppression as suppression_store
from forbear.store.suppression import FoundRule

P = ParamSpec("P")
T = TypeVar("T")
INVALID: Final = Verdict(Outcome.INVALID, "invalid_address")
IN_BULK_FROM: Final = 100
"""From this many addresses on a decision is one in bulk: it works in a thread, and the event loop stays free.

Fewer are decided on the loop's own thread, on purpose: that takes some microseconds, and a thread is not even reached
in that time.
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be sent: a decision is always about a purpose, a scope and a channel.

    One about sharing may name a party; what the verdict then is, tells `decide`.
    """

    purpose: Purpose
    scope: str
    channel: Channel = Channel.EMAIL
    party: Party | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Verdicts in the order asked, true at `as_of` or later."""

    as_of: datetime
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class Coded:
    """The same in bulk: one code a row (see `forbear.index.rules`)."""

    as_of: datetime
    codes: Bytes


async def check(context: Context, given: Sequence[Given], question: Question, region: str | None = None) -> Checked:
    """Decide about addresses as they were typed; one that is none gets the verdict `invalid`.

    On the channel `phone` the region is that of national numbers. Raises `InvalidInput`.
    """
    await require_question(context, question)
    reader = make_reader(question.channel, region)
    if len(given) < IN_BULK_FROM:
        return await decide_all(context, [reader(one) for one in given], question)
    keys = await asyncio.to_thread(_make_keys, context, given, question.channel, reader)
    coded = await decide_rows(context, keys, question)
    return Checked(coded.as_of, _read_codes(coded.codes))


async def decide_all(context: Context, addresses: Sequence[ContactPoint | None], question: Question) -> Checked:
    """Decide about some addresses of the question's channel; None stands for one that could not be read."""
    valid = [address for address in addresses if address is not None]
    keys = context.keyring.fingerprints.of(question.channel).make_keys(valid)
    if context.standings.engine is None:
        # A command that decides once need not read the whole list for it.
        checked = await decide_exactly(context, keys, question)
    else:
        coded = await decide_rows(context, Keys.of(keys), question)
        checked = Checked(coded.as_of, _read_codes(coded.codes))
    decided = iter(checked.verdicts)
    return Checked(checked.as_of, [INVALID if address is None else next(decided) for address in addresses])


Reader = Callable[[Given], ContactPoint | None]
"""Reads what a message may go to; None where there is nothing of the kind."""


def make_reader(channel: Channel, region: str | None = None) -> Reader:
    """The strict reader of a channel. Raises `InvalidInput` for a region that is none, or that it has no use for."""
    known = check_reading_region(channel, region)
    return lambda given: _read(channel, given, known)


def _read(channel: Channel, given: Given, region: str | None) -> ContactPoint | None:
    try:
        return parse_contact_point(channel, given, region)
    except InvalidAddress:
        return None


def _make_keys(context: Context, given: Sequence[Given], channel: Channel, reader: Reader) -> Keys:
    if channel is Channel.EMAIL:
        return context.standings.fingerprinter.make_texts([one if isinstance(one, str) else "" for one in given])
    return fingerprint_points(context, channel, [reader(one) for one in given])


def fingerprint_points(context: Context, channel: Channel, points: Sequence[ContactPoint | None]) -> Keys:
    """The keys of many contact points of one channel; None stands for one that could not be read."""
    valid = iter(context.keyring.fingerprints.of(channel).make_keys([point for point in points if point is not None]))
    return Keys.of([None if point is None else next(valid) for point in points])


async def require_question(context: Context, question: Question) -> None:
    """Refuse a question about an unregistered scope or one in which nothing is sent, or a party where none can be."""
    check_send_scope(question.scope)
    check_party(question.party, question.purpose)
    await require_scopes(context, {question.scope})


async def decide_rows(context: Context, keys: Keys, question: Question) -> Coded:
    """Catch up, then decide about fingerprints in bulk."""
    as_of = await context.standings.catch_up()
    return Coded(as_of, await _decide_caught_up(context, keys, question))


async def _decide_caught_up(context: Context, keys: Keys, question: Question) -> Bytes:
    """The codes of a batch whose barrier has been passed already; the array is the caller's."""
    engine = context.standings.engine
    if engine is None:
        codes = np.full(len(keys), INVALID_CODE, dtype=np.uint8)
        unsure = np.flatnonzero(keys.state != NO_ADDRESS)
    else:
        ask = (engine, keys, question, context.options.policy)
        is_small = len(keys) < IN_BULK_FROM
        decided = ask_engine(*ask) if is_small else await asyncio.to_thread(ask_engine, *ask)
        codes, unsure = decided.codes, decided.unsure
    if len(unsure):
        asked = await _work(len(unsure), _select, keys, unsure)
        exact = await decide_exactly(context, asked, question)
        codes[unsure] = [code_of(verdict) for verdict in exact.verdicts]
    return codes


def ask_engine(engine: Engine, keys: Keys, question: Question, policy: Policy) -> Decided:
    """The verdicts of a batch by the engine. Raises RuntimeError for one in bulk on the thread of an event loop."""
    if len(keys) >= IN_BULK_FROM and _is_loop_here():
        raise RuntimeError("a decision in bulk would hold up the event loop")
    return engine.decide(keys, question.purpose, question.scope, policy, question.party)


async def decide_exactly(context: Context, keys: Sequence[AddressKeys], question: Question) -> Checked:
    """Decide about fingerprints by asking PostgreSQL for all that stands about them, in one statement.

    Raises `ListUnavailable`, at a standby too.
    """
    exact, wide = await _work(len(keys), _list_forms, keys)
    async with context.database.connection() as connection:
        as_of, found = await suppression_store.find_rules(connection, exact, wide, question.channel)
    verdicts = await _work(len(keys), _decide_found, keys, found, question, context.options.policy)
    return Checked(as_of, verdicts)


def read_address(text: str) -> Address | None:
    """The address in a text, or None when there is no deliverable one."""
    try:
        return parse_address(text)
    except InvalidAddress:
        return None


def _is_loop_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _read_codes(codes: Bytes) -> list[Verdict]:
    return [INVALID if code == INVALID_CODE else read_code(code) for code in codes.tolist()]


async def _work(rows: int, do: Callable[P, T], *arguments: P.args, **names: P.kwargs) -> T:
    """Do what is little at once, and what is about many rows in a thread."""
    return do(*arguments, **names) if rows < IN_BULK_FROM else await asyncio.to_thread(do, *arguments, **names)


def _select(keys: Keys, rows: Indexes) -> list[AddressKeys]:
    return keys.select(rows).as_fingerprints()


def _list_forms(keys: Sequence[AddressKeys]) -> tuple[list[Fingerprint], list[Fingerprint]]:
    """What to look for: match and domain forms, and wide ones, each once."""
    exact = list({form: None for key in keys for form in (key.match, key.domain) if form is not None})
    return exact, list({key.wide: None for key in keys if key.wide is not None})


def _decide_found(
    keys: Sequence[AddressKeys], found: Sequence[FoundRule], question: Question, policy: Policy
) -> list[Verdict]:
    """The verdicts of addresses about which all that stands was found."""
    by_key: dict[Fingerprint, list[FoundRule]] = defaultdict(list)
    for rule in found:
        by_key[rule.key].append(rule)
    ask = (question.purpose, question.scope, policy, question.party)
    of_nothing, verdicts = decide((), *ask), []
    for key in keys:
        rules = [
            rule for form in (key.match, key.domain, key.wide) if form is not None for rule in by_key.get(form, ())
        ]
        verdicts.append(decide(order_rules(rules), *ask) if rules else of_nothing)
    return verdicts


def order_rules(found: Sequence[FoundRule]) -> RuleSet:
    """Rules, oldest first. Of an entry and a grant of the same moment the grant counts as the older (P4)."""
    ordered = sorted(found, key=lambda rule: (rule.at, rule.reason is not None))
    return tuple(_rule(rule) for rule in ordered)


def _rule(found: FoundRule) -> Rule:
    return Grant(found.scope) if found.reason is None else Entry(found.reason, found.scope)
