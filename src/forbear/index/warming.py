"""Compiling the kernels before anybody waits for them, and settling how memory is given back.

The first compilation on a machine takes some seconds, and is kept on disk; later processes load it in a fraction of
one. Whoever serves or filters warms up first, and says so when it takes long.
"""

from __future__ import annotations

import ctypes
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


_TRIM_THRESHOLD: Final = (-1, 64 * 1024 * 1024)
_MMAP_THRESHOLD: Final = (-3, 32 * 1024 * 1024)
"""Options of glibc's mallopt (mallopt(3)), and their values in bytes: the second is the greatest there is."""


def is_compiled() -> bool:
    """Whether an earlier process left compiled kernels that this one can load."""
    return any(Path(str(hash_texts.stats.cache_path)).glob("blake2s.hash_texts-*.nbi"))


def warm_up() -> None:
    """Load or compile every kernel that a decision needs, by filtering two rows. Takes a thread for itself."""
    _keep_freed_memory()
    reader = ListReader(ListOptions())
    fingerprinter = RowFingerprinter(FingerprintChain((bytes(32), bytes(32))))
    engine = Engine(None, RuleBook())
    engine.put([(bytes(16), (Entry(Reason.UNSUBSCRIBE, EVERYTHING),))], with_domains=True)
    engine.show()
    seen = FingerprintSet()
    # Enough to make the set grow.
    seen.add_rows(np.zeros((2000, 4), dtype=np.uint32), np.ones(2000, dtype=np.uint8))
    for rows in (reader.feed(_LIST), reader.finish()):
        if rows is None:
            continue
        keys = fingerprinter.make(rows.cell_data, rows.cell_starts, rows.cell_ends)
        seen.add_rows(keys.match, np.ones(len(keys), dtype=np.uint8))
        decided = engine.decide(keys, Purpose.MARKETING, EVERYTHING, BUILT_IN)
        rows.copy(decided.codes == 0)


def _keep_freed_memory() -> None:
    """Let the memory of one batch serve the next, where the C library can be told.

    By default glibc gives arrays of a megabyte back to the system as they are freed, and the pages that it asks for
    anew cost several times what is done with them.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for option, size_bytes in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            library.mallopt(option, size_bytes)
