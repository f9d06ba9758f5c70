"""The one way to decide: every door asks `decide_all`.

The rules that stand about an address come from `_find_rule_sets`, which asks PostgreSQL for a whole batch at once.
That function is the seam for the mapped index: it takes fingerprints and gives rule sets that were true at a
moment after the question, and nothing else here knows where they come from.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from forbear.domain.address import Address, parse_address
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.fingerprint import AddressKeys, Fingerprint
from forbear.domain.suppression import (
    DELIVER,
    Channel,
    Entry,
    Grant,
    Outcome,
    Purpose,
    Rule,
    RuleSet,
    Verdict,
    decide,
)
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.store import suppression as suppression_store
from forbear.store.suppression import FoundRule

INVALID: Final = Verdict(Outcome.INVALID, "invalid_address")
_THREAD_FROM: Final = 200
"""Batches of this size and more are fingerprinted in a thread, so that the event loop stays free."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be sent: a decision is always about a purpose, a scope and a channel."""

    purpose: Purpose
    scope: str
    channel: Channel = Channel.EMAIL


@dataclass(frozen=True, slots=True)
class Checked:
    """Verdicts in the order asked, true at `as_of` or later."""

    as_of: datetime
    verdicts: list[Verdict]


async def check(context: Context, addresses: Sequence[str], question: Question) -> Checked:
    """Decide about addresses as they were typed; one that is none gets the verdict `invalid`."""
    await require_question(context, question)
    if len(addresses) < _THREAD_FROM:
        parsed = [read_address(address) for address in addresses]
    else:
        parsed = await asyncio.to_thread(lambda: [read_address(address) for address in addresses])
    return await decide_all(context, parsed, question)


async def require_question(context: Context, question: Question) -> None:
    """Refuse a question about an unregistered scope, or about a channel that is not served."""
    if question.channel is not Channel.EMAIL:
        raise InvalidInput(f"the channel {question.channel.value!r} is not served yet; 'email' is")
    await require_scopes(context, {question.scope})


async def decide_all(context: Context, addresses: Sequence[Address | None], question: Question) -> Checked:
    """Decide about a batch of addresses; None stands for one that could not be read."""
    valid = [address for address in addresses if address is not None]
    if len(valid) < _THREAD_FROM:
        keys = context.keyring.fingerprints.email.make_keys(valid)
    else:
        keys = await asyncio.to_thread(context.keyring.fingerprints.email.make_keys, valid)
    checked = await decide_keys(context, keys, question)
    decided = iter(checked.verdicts)
    return Checked(checked.as_of, [INVALID if address is None else next(decided) for address in addresses])


async def decide_keys(context: Context, keys: Sequence[AddressKeys], question: Question) -> Checked:
    """Decide about addresses by their fingerprints."""
    as_of, rule_sets = await _find_rule_sets(context, keys, question.channel)
    policy = context.options.policy
    verdicts = [
        decide(rules, question.purpose, question.scope, policy) if (rules := rule_sets.get(key.match)) else DELIVER
        for key in keys
    ]
    return Checked(as_of, verdicts)


def read_address(text: str) -> Address | None:
    """The address in a text, or None when there is no deliverable one."""
    try:
        return parse_address(text)
    except InvalidAddress:
        return None


async def _find_rule_sets(
    context: Context, keys: Sequence[AddressKeys], channel: Channel
) -> tuple[datetime, dict[Fingerprint, RuleSet]]:
    """The rule sets by match fingerprint, of those addresses about which anything stands."""
    exact = list({form: None for key in keys for form in (key.match, key.domain)})
    wide = list({key.wide: None for key in keys if key.wide is not None})
    async with context.database.connection() as connection:
        as_of, found = await suppression_store.find_rules(connection, exact, wide, channel)
    if not found:
        return as_of, {}
    by_key: dict[Fingerprint, list[FoundRule]] = defaultdict(list)
    for rule in found:
        by_key[rule.key].append(rule)
    sets = {
        key.match: order_rules([*by_key.get(key.match, ()), *by_key.get(key.domain, ()), *_wide_rules(by_key, key)])
        for key in keys
        if key.match in by_key or key.domain in by_key or key.wide in by_key
    }
    return as_of, sets


def _wide_rules(by_key: dict[Fingerprint, list[FoundRule]], key: AddressKeys) -> list[FoundRule]:
    return by_key.get(key.wide, []) if key.wide is not None else []


def order_rules(found: Sequence[FoundRule]) -> RuleSet:
    """Rules, oldest first. Of an entry and a grant of the same moment the grant counts as the older (P4)."""
    ordered = sorted(found, key=lambda rule: (rule.at, rule.reason is not None))
    return tuple(_rule(rule) for rule in ordered)


def _rule(found: FoundRule) -> Rule:
    return Grant(found.scope) if found.reason is None else Entry(found.reason, found.scope)
