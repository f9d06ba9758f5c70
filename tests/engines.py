"""What an engine says stands, to compare with what the tables say."""

from collections.abc import Iterable

import numpy as np

from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import RuleSet
from forbear.index.addresses import VALID
from forbear.index.engine import Engine
from forbear.index.rules import settle_order


def read_engine(engine: Engine, keys: Iterable[Fingerprint]) -> dict[Fingerprint, RuleSet]:
    """The rule sets of those keys under which anything stands."""
    keys = list(keys)
    words = np.frombuffer(b"".join(keys), dtype=np.uint32).reshape(-1, 4)
    numbers = engine._look_up(engine.overlay.view(), words, np.full(len(keys), VALID, dtype=np.uint8), VALID)
    sets = [engine.book.rule_sets[number] for number in numbers]
    return {key: rules for key, rules in zip(keys, sets, strict=True) if rules}


def settle(standing: dict[Fingerprint, RuleSet]) -> dict[Fingerprint, RuleSet]:
    """Rule sets as an engine keeps them."""
    return {key: settle_order(rules) for key, rules in standing.items()}
