"""Rows of rules, as PostgreSQL's binary COPY sends them, become keys and numbers of rule sets.

Nothing here depends on the size of the list: rows come in pieces, and what is left of one waits for the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forbear.domain.suppression import Entry, Grant, Reason, Rule, RuleSet
from forbear.index.kernels.blake2s import Words
from forbear.index.rules import RuleBook, settle_order

Numbers = NDArray[np.int64]

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
_HEADER_BYTES: Final = 19
_TRAILER: Final = b"\xff\xff"
_FIELDS: Final = 3
_ROW: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("key_bytes", ">i4"), ("key", "<u4", 4),
        ("reason_bytes", ">i4"), ("reason", ">i2"),
        ("scope_bytes", ">i4"), ("scope", ">i4"),
    ]
)  # fmt: skip


class BrokenCopy(ValueError):
    """PostgreSQL sent rows of another form."""


class RowReader:
    """Finds whole rows in a stream of bytes that splits them anywhere."""

    def __init__(self) -> None:
        """Begin before the stream's header."""
        self._rest = b""
        self._is_begun = False

    def read(self, data: bytes) -> NDArray[np.void]:
        """The rows that are complete now (`key` uint32[4], `reason`, `scope`); the bytes after them wait."""
        data = self._rest + data
        start = 0 if self._is_begun else _HEADER_BYTES
        if len(data) < start:
            self._rest = data
            return np.zeros(0, dtype=_ROW)
        self._is_begun = True
        count = (len(data) - start) // _ROW.itemsize
        rows = np.frombuffer(data, dtype=_ROW, count=count, offset=start)
        self._rest = data[start + count * _ROW.itemsize :]
        if not (rows["fields"] == _FIELDS).all() or not (rows["key_bytes"] == 16).all():  # noqa: PLR2004 - a fingerprint
            raise BrokenCopy("a row has other fields than it should have")
        return rows

    def close(self) -> None:
        """The stream has ended. Raises `BrokenCopy` when it was cut off."""
        if self._rest != _TRAILER:
            raise BrokenCopy("the rows end without their trailer")


class KeyRuns:
    """Cuts rows in the order of keys into one run a key, and gives each the number of its rule set.

    Rule sets grow rule by rule: a set and the rule that comes next make the next set. So a step of thousands of runs
    costs one look-up for each pair that occurs, not for each run. The last key's rows wait for the next piece.
    """

    def __init__(self, book: RuleBook, scopes: Sequence[str]) -> None:
        """Take the scopes that rows name by their place, counted from 1."""
        self._book = book
        self._scopes = len(scopes)
        entries = (Entry(reason, scope) for reason in Reason for scope in scopes)
        self._rules: list[Rule] = [*map(Grant, scopes), *entries]
        self._sets: list[RuleSet] = [()]
        self._set_numbers: dict[RuleSet, int] = {(): 0}
        self._grown: dict[int, int] = {}
        self._waiting = np.zeros((0, 4), dtype=np.uint32), np.zeros(0, dtype=np.int64)

    def add(self, rows: NDArray[np.void]) -> tuple[Words, Words]:
        """The keys (uint32[n, 4]) that are complete now, and the numbers of their rule sets in the book."""
        keys = np.concatenate([self._waiting[0], rows["key"]])
        rules = rows["reason"].astype(np.int64) * self._scopes + rows["scope"] - 1
        rules = np.concatenate([self._waiting[1], rules])
        starts = _find_starts(keys)
        last = starts[-1] if len(starts) else 0
        self._waiting = keys[last:], rules[last:]
        return keys[starts[:-1]], self._number_runs(rules[:last], starts[:-1])

    def close(self) -> tuple[Words, Words]:
        """The last key, when there is one."""
        keys, rules = self._waiting
        starts = np.zeros(min(1, len(keys)), dtype=np.int64)
        return keys[starts], self._number_runs(rules, starts)

    def _number_runs(self, rules: Numbers, starts: Numbers) -> Words:
        lengths = np.diff(starts, append=len(rules))
        sets = self._grow(np.zeros(len(starts), dtype=np.int64), rules[starts])
        for step in range(1, lengths.max(initial=0)):
            longer = np.flatnonzero(lengths > step)
            sets[longer] = self._grow(sets[longer], rules[starts[longer] + step])
        found, places = np.unique(sets, return_inverse=True)
        numbers = [self._book.intern(self._sets[number]) for number in found.tolist()]
        return np.array(numbers, dtype=np.uint32)[places]

    def _grow(self, sets: Numbers, rules: Numbers) -> Numbers:
        pairs, places = np.unique(sets * len(self._rules) + rules, return_inverse=True)
        return np.array([self._grow_set(pair) for pair in pairs.tolist()], dtype=np.int64)[places]

    def _grow_set(self, pair: int) -> int:
        known = self._grown.get(pair)
        if known is None:
            number, rule = divmod(pair, len(self._rules))
            grown = settle_order((*self._sets[number], self._rules[rule]))
            known = self._grown[pair] = self._set_numbers.setdefault(grown, len(self._sets))
            if known == len(self._sets):
                self._sets.append(grown)
        return known


def _find_starts(keys: Words) -> Numbers:
    """Where a key begins that differs from the one before it."""
    differs = np.ones(len(keys), dtype=np.bool_)
    differs[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return np.flatnonzero(differs)
