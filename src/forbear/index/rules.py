"""Rule sets by number: each distinct combination of entries and grants is kept once.

A verdict for a purpose and scope is worked out once per rule set, not once per address; it then is one byte.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import numpy as np

from forbear.domain.party import Party
from forbear.domain.suppression import (
    DELIVER,
    NO_BASIS,
    Entry,
    Grant,
    Outcome,
    Policy,
    Purpose,
    Reason,
    Rule,
    RuleSet,
    Verdict,
    decide,
)
from forbear.index.kernels.blake2s import Bytes

NOTHING: Final = 0
"""The number of the empty rule set."""

DELIVER_CODE: Final = 0
NO_BASIS_CODE: Final = 252
DUPLICATE_CODE: Final = 253
INVALID_CODE: Final = 254
UNSURE_CODE: Final = 255
"""Codes of a verdict in bulk: 0 delivers, 252 has no basis (which only a question about a party needs), 253 stood
earlier in the same list, 254 is no address, 255 must be asked exactly. Those between are 1 and the place of the reason
in `Reason`, so that the smaller of two is the graver."""

_REASONS: Final = tuple(Reason)
_VERDICTS: Final = (DELIVER, *(Verdict(Outcome.SUPPRESS, reason.value) for reason in _REASONS))
_CODES: Final = {reason.value: code for code, reason in enumerate(_REASONS, 1)} | {NO_BASIS: NO_BASIS_CODE}
_WITHOUT_BASIS: Final = Verdict(Outcome.SUPPRESS, NO_BASIS)


def read_code(code: int) -> Verdict:
    """The verdict behind a code between 0 and the number of reasons, or behind `NO_BASIS_CODE`."""
    return _WITHOUT_BASIS if code == NO_BASIS_CODE else _VERDICTS[code]


def settle_order(rules: Sequence[Rule]) -> RuleSet:
    """The rules in one order of all those that decide alike.

    What is older counts between an entry and a grant only. So the entries between two grants are put in order, and
    somebody who left five topics one by one has the same rule set as whoever left them in another order.
    """
    settled: list[Rule] = []
    for is_grant, run in groupby(rules, lambda rule: isinstance(rule, Grant)):
        settled.extend(run if is_grant else sorted(set(run), key=_gravity))  # noqa: B031 - one of the two is used
    return tuple(settled)


class RuleBook:
    """Numbers for rule sets, given in order and never taken back. Threads may share it."""

    def __init__(self, rule_sets: Sequence[RuleSet] = ()) -> None:
        """Begin with the empty set, and the given ones after it."""
        self._lock = threading.Lock()
        self.rule_sets: list[RuleSet] = [()]
        self._numbers: dict[RuleSet, int] = {(): NOTHING}
        self._codes: dict[tuple[Purpose, str, Policy, Party | None], Bytes] = {}
        self._has_grant = np.zeros(1, dtype=np.uint8)
        for rule_set in rule_sets:
            self.intern(rule_set)

    def __len__(self) -> int:
        return len(self.rule_sets)

    def intern(self, rule_set: RuleSet) -> int:
        """The number of a rule set, a new one at its first appearance; sets that decide alike may share one."""
        with self._lock:
            number = self._numbers.get(rule_set)
            if number is None:
                settled = settle_order(rule_set)
                number = self._numbers.get(settled)
                if number is None:
                    number = self._numbers[settled] = len(self.rule_sets)
                    self.rule_sets.append(settled)
            return number

    def codes(self, purpose: Purpose, scope: str, policy: Policy, party: Party | None = None) -> Bytes:
        """For each number the code of its verdict; covers at least the numbers given so far."""
        key = purpose, scope, policy, party
        known = self._codes.get(key)
        if known is None or len(known) < len(self.rule_sets):
            start = 0 if known is None else len(known)
            new = [code_of(decide(rules, purpose, scope, policy, party)) for rules in self.rule_sets[start:]]
            known = np.concatenate([known if known is not None else _no_bytes(), np.array(new, dtype=np.uint8)])
            self._codes[key] = known
        return known

    def has_grant(self) -> Bytes:
        """For each number whether a grant is in it; covers at least the numbers given so far."""
        known = self._has_grant
        if len(known) < len(self.rule_sets):
            new = [any(isinstance(rule, Grant) for rule in rules) for rules in self.rule_sets[len(known) :]]
            known = self._has_grant = np.concatenate([known, np.array(new, dtype=np.uint8)])
        return known

    def as_json(self) -> list[list[list[str]]]:
        """The rule sets but the empty one, as they stand in an index file."""
        return [[_rule_as_json(rule) for rule in rules] for rules in self.rule_sets[1:]]

    @classmethod
    def from_json(cls, content: list[list[list[str]]]) -> RuleBook:
        """The opposite of `as_json`. Raises ValueError for what is none."""
        return cls([tuple(_rule_from_json(rule) for rule in rules) for rules in content])


def code_of(verdict: Verdict) -> int:
    """The code of a verdict that delivers or suppresses."""
    return DELIVER_CODE if verdict.reason is None else _CODES[verdict.reason]


def _gravity(rule: Rule) -> tuple[int, str]:
    return (0 if isinstance(rule, Grant) else _CODES[rule.reason.value], rule.scope)


def _rule_as_json(rule: Entry | Grant) -> list[str]:
    return ["", rule.scope] if isinstance(rule, Grant) else [rule.reason.value, rule.scope]


def _rule_from_json(rule: list[str]) -> Entry | Grant:
    reason, scope = rule
    return Entry(Reason(reason), scope) if reason else Grant(scope)


def _no_bytes() -> Bytes:
    return np.zeros(0, dtype=np.uint8)
