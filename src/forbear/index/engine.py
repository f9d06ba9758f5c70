"""The bulk decision: a mapped table, an overlay of what has changed since, and the verdict of every rule set.

It is as old as the last changes that it was told to show, and knows no clock: bringing it up to date before each
decision is the business of `forbear.services.standings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forbear.domain.party import Party
from forbear.domain.suppression import Policy, Purpose, RuleSet
from forbear.index.addresses import Keys
from forbear.index.kernels.addresses import VALID, WIDE
from forbear.index.kernels.blake2s import Bytes, Indexes, Words
from forbear.index.kernels.table import SLOT_WORDS, combine, look_up
from forbear.index.overlay import SPARE_SLOTS, Overlay, View
from forbear.index.rules import UNSURE_CODE, RuleBook
from forbear.index.table import Table

_NO_TABLE: Final = np.zeros((1 + SPARE_SLOTS, SLOT_WORDS), dtype=np.uint32)
# Like a mapped table: kernels are compiled for one kind.
_NO_TABLE.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Decided:
    """Codes of verdicts by row (see `forbear.index.rules`), and the rows that must be asked exactly."""

    codes: Bytes
    unsure: Indexes


class Engine:
    """Rules by fingerprint, in bulk. One task changes it; threads may decide meanwhile."""

    def __init__(self, table: Table | None, book: RuleBook) -> None:
        """Begin with a mapped table, or with nothing."""
        self.table = table
        self.book = book
        self.overlay = Overlay()
        self.has_domains = table is not None and table.has_domains

    def put(self, changes: Sequence[tuple[bytes, RuleSet]], *, with_domains: bool = False) -> None:
        """Take in what stands now about each key (16 bytes), hidden until `show`.

        An empty rule set says that nothing stands. `with_domains` must be set when domain entries may be among them.
        """
        if not changes:
            return
        keys = np.frombuffer(b"".join(key for key, _ in changes), dtype=np.uint32).reshape(-1, 4)
        numbers = np.array([self.book.intern(rules) for _, rules in changes], dtype=np.uint32)
        if with_domains:
            self.has_domains = True
        self.overlay.put(keys, numbers)

    def show(self) -> None:
        """Decide by what was put from now on; all of it was in force at one moment."""
        self.overlay.show()

    def decide(self, keys: Keys, purpose: Purpose, scope: str, policy: Policy, party: Party | None = None) -> Decided:
        """Decide about a batch; compiled, without the interpreter's lock.

        All keys of a row are looked up in one view, so that its verdict was right at one moment. A row with a key that
        changes meanwhile is unsure.
        """
        # The view comes before the question for domains: whatever is in it has been counted there.
        view = self.overlay.view()
        own = self._look_up(view, keys.match, keys.state, VALID)
        wide = self._look_up(view, keys.wide, keys.state, WIDE)
        domain = self._look_up(view, keys.domain, keys.state, VALID) if self.has_domains else np.zeros_like(own)
        out = np.zeros(len(keys), dtype=np.uint8)
        codes, has_grant = self.book.codes(purpose, scope, policy, party), self.book.has_grant()
        unsure = combine(keys.state, own, wide, domain, codes, has_grant, out)
        return Decided(out, np.flatnonzero(out == UNSURE_CODE) if unsure else _NO_ROWS)

    def _look_up(self, view: View, keys: Words, state: Bytes, least_state: int) -> Words:
        numbers = np.zeros(len(keys), dtype=np.uint32)
        base, slots = (_NO_TABLE, 1) if self.table is None else (self.table.slots, self.table.home_slots)
        look_up(base, slots, *view, keys, state, least_state, numbers)
        return numbers


_NO_ROWS: Final[Indexes] = np.zeros(0, dtype=np.int64)
