"""Compiling the kernels before anybody waits for them.

The first compilation on a machine takes some seconds, and is kept on disk; later processes load it in a fraction of
one. Whoever serves or filters warms up first, and says so when it takes long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from forbear.domain.fingerprint import FingerprintChain
from forbear.domain.suppression import BUILT_IN, EVERYTHING, Entry, Purpose, Reason
from forbear.index.addresses import RowFingerprinter
from forbear.index.engine import Engine
from forbear.index.fingerprint_set import FingerprintSet
from forbear.index.kernels.blake2s import hash_texts
from forbear.index.rules import RuleBook
from forbear.index.send_list import ListOptions, ListReader

_LIST: Final = b'email,name\nann.b+c@gmail.com,Ann\n"bob@example.com","Bob ""B"""\n'


def is_compiled() -> bool:
    """Whether an earlier process left compiled kernels that this one can load."""
    return any(Path(str(hash_texts.stats.cache_path)).glob("blake2s.hash_texts-*.nbi"))


def warm_up() -> None:
    """Load or compile every kernel that a decision needs, by filtering two rows. Takes a thread for itself."""
    reader = ListReader(ListOptions())
    fingerprinter = RowFingerprinter(FingerprintChain((bytes(32), bytes(32))))
    engine = Engine(None, RuleBook())
    engine.put([(bytes(16), (Entry(Reason.UNSUBSCRIBE, EVERYTHING),))], with_domains=True)
    for rows in (reader.feed(_LIST), reader.finish()):
        if rows is None:
            continue
        keys = fingerprinter.make(rows.cell_data, rows.cell_starts, rows.cell_ends)
        FingerprintSet().add_rows(keys.match, np.ones(len(keys), dtype=np.uint8))
        decided = engine.decide(keys, Purpose.MARKETING, EVERYTHING, BUILT_IN)
        rows.copy(decided.codes == 0)
