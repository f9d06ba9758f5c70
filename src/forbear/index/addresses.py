"""Fingerprints of a whole batch of addresses, straight from the bytes they came in.

Kernels read the usual shape (the one that `domain.address` has a fast path for, in 64 bytes at most); every other
row goes to `parse_address`, one by one. Both ways give the same fingerprints, and the tests prove it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forbear.domain.address import Address, parse_address
from forbear.domain.errors import InvalidAddress
from forbear.domain.fingerprint import AddressKeys, Fingerprint, FingerprintChain, Kind
from forbear.domain.wide_domains import WIDE_DOMAINS
from forbear.index.kernels.addresses import (
    HASH_START,
    HASH_STEP,
    INVALID,
    TEXT_BYTES,
    UNUSUAL,
    VALID,
    WIDE,
    WIDE_SLOTS,
    cut_domains,
    fold_wide,
    read_usual,
)
from forbear.index.kernels.blake2s import DIGEST_BYTES, Bytes, Indexes, Words, hash_texts, make_midstate

ASCII_SPACE = " \t\n\r\v\f"
"""What may stand around an address that is sent to, and does not belong to it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Fingerprints of n addresses as uint32[n, 4]: the 16 bytes of each as little-endian words.

    `state` says which of them mean something: nothing for INVALID, `match` and `domain` for VALID, all for WIDE.
    """

    match: Words
    wide: Words
    domain: Words
    state: Bytes

    def __len__(self) -> int:
        return len(self.state)

    def select(self, rows: Indexes) -> Keys:
        """The keys of some rows, in their order."""
        return Keys(self.match[rows], self.wide[rows], self.domain[rows], self.state[rows])

    @classmethod
    def of(cls, keys: Sequence[AddressKeys]) -> Keys:
        """The same keys as arrays; all of them valid."""
        none = bytes(DIGEST_BYTES)
        return cls(
            _words(b"".join(key.match for key in keys)),
            _words(b"".join(key.wide or none for key in keys)),
            _words(b"".join(key.domain for key in keys)),
            np.array([VALID if key.wide is None else WIDE for key in keys], dtype=np.uint8),
        )

    def as_fingerprints(self) -> list[AddressKeys]:
        """The same keys one by one; all of them must be valid."""
        return [
            AddressKeys(
                Fingerprint(self.match[row].tobytes()),
                Fingerprint(self.wide[row].tobytes()) if self.state[row] == WIDE else None,
                Fingerprint(self.domain[row].tobytes()),
            )
            for row in range(len(self))
        ]


class RowFingerprinter:
    """Fingerprints rows under a chain of secrets. Holds nothing that changes, so threads may share it."""

    def __init__(self, chain: FingerprintChain) -> None:
        """Prepare the keys and the table of wide domains."""
        self._exact = chain.email
        self._midstates = {kind: [make_midstate(key) for key in chain.email.keys_of(kind)] for kind in Kind}
        self._wide_domains = _WideDomains.make()

    def make_texts(self, texts: Sequence[str]) -> Keys:
        """Fingerprint addresses as they were typed."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
        return self.make(np.frombuffer(b"".join(encoded), dtype=np.uint8), starts, ends)

    def make(self, data: Bytes, starts: Indexes, ends: Indexes) -> Keys:
        """Fingerprint the addresses at `data[starts[i]:ends[i]]`; a negative start stands for no address at all.

        ASCII white space around an address does not count.
        """
        count = len(starts)
        texts = np.zeros((count, TEXT_BYTES), dtype=np.uint8)
        shape = _Shape.make(count)
        wide = self._wide_domains
        read_usual(
            data, starts, ends, texts, shape.lengths, shape.at, shape.wide_domain, shape.state,
            wide.hashes, wide.names, wide.name_lengths,
        )  # fmt: skip
        keys = self._hash(texts, shape)
        self._read_unusual(data, starts, ends, keys)
        return keys

    def _hash(self, texts: Bytes, shape: _Shape) -> Keys:
        count, wide = len(texts), self._wide_domains
        keys = Keys(_no_digests(count), _no_digests(count), _no_digests(count), shape.state)
        usual = np.flatnonzero((shape.state == VALID) | (shape.state == WIDE))
        self._hash_into(keys.match, Kind.MATCH, texts, shape.lengths, usual)
        others, lengths = np.zeros_like(texts), np.zeros_like(shape.lengths)
        cut_domains(texts, shape.lengths, shape.at, usual, others, lengths)
        self._hash_into(keys.domain, Kind.DOMAIN, others, lengths, usual)
        with_wide = np.flatnonzero(shape.state == WIDE)
        fold_wide(
            texts, shape.at, shape.wide_domain, with_wide, wide.mailboxes, wide.mailbox_lengths, wide.is_dotless,
            others, lengths, shape.lengths,
        )  # fmt: skip
        self._hash_into(keys.wide, Kind.WIDE, others, lengths, with_wide)
        return keys

    def _hash_into(self, out: Words, kind: Kind, texts: Bytes, lengths: Bytes, rows: Indexes) -> None:
        first, *later = self._midstates[kind]
        hash_texts(texts.view(np.uint32), lengths, rows, first, out)
        for midstate in later:
            again = np.zeros((len(out), TEXT_BYTES // 4), dtype=np.uint32)
            again[:, :4] = out
            hash_texts(again, np.full(len(out), DIGEST_BYTES, dtype=np.uint8), rows, midstate, out)

    def _read_unusual(self, data: Bytes, starts: Indexes, ends: Indexes, keys: Keys) -> None:
        rows = np.flatnonzero(keys.state == UNUSUAL)
        if not len(rows):
            return
        found = [(row, _read(data[starts[row] : ends[row]].tobytes())) for row in rows.tolist()]
        keys.state[rows] = INVALID
        valid = [(row, address) for row, address in found if address is not None]
        for (row, address), own in zip(valid, self._exact.make_keys([item for _, item in valid]), strict=True):
            keys.state[row] = VALID if address.wide is None else WIDE
            keys.match[row] = _words(own.match)
            keys.domain[row] = _words(own.domain)
            if own.wide is not None:
                keys.wide[row] = _words(own.wide)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the first kernel finds out about each row."""

    lengths: Bytes
    at: Bytes
    wide_domain: np.ndarray[tuple[int], np.dtype[np.uint16]]
    state: Bytes

    @classmethod
    def make(cls, count: int) -> _Shape:
        lengths, at, state = (np.zeros(count, dtype=np.uint8) for _ in range(3))
        return cls(lengths, at, np.zeros(count, dtype=np.uint16), state)


@dataclass(frozen=True, slots=True)
class _WideDomains:
    """The listed domains for the kernels: an open-addressed table of hashes, names, and mailbox domains."""

    hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]
    names: Bytes
    name_lengths: Bytes
    mailboxes: Bytes
    mailbox_lengths: Bytes
    is_dotless: Bytes

    @classmethod
    def make(cls) -> _WideDomains:
        slots = WIDE_SLOTS
        table = cls(
            np.zeros(slots, dtype=np.uint64),
            np.zeros((slots, TEXT_BYTES), dtype=np.uint8),
            np.zeros(slots, dtype=np.uint8),
            np.zeros((slots, TEXT_BYTES), dtype=np.uint8),
            np.zeros(slots, dtype=np.uint8),
            np.zeros(slots, dtype=np.uint8),
        )
        for name, spelling in WIDE_DOMAINS.items():
            own = _hash_name(name)
            slot = own % slots
            while table.hashes[slot]:
                slot = (slot + 1) % slots
            table.hashes[slot] = own
            _put_text(table.names, table.name_lengths, slot, name)
            _put_text(table.mailboxes, table.mailbox_lengths, slot, spelling.mailbox_domain)
            table.is_dotless[slot] = spelling.is_dotless
        return table


def _hash_name(name: str) -> int:
    own = int(HASH_START)
    for byte in name.encode():
        own = ((own ^ byte) * int(HASH_STEP)) % 2**64
    return own


def _put_text(texts: Bytes, lengths: Bytes, row: int, text: str) -> None:
    encoded = text.encode()
    texts[row, : len(encoded)] = np.frombuffer(encoded, dtype=np.uint8)
    lengths[row] = len(encoded)


def _read(cell: bytes) -> Address | None:
    try:
        return parse_address(cell.decode())
    except (InvalidAddress, UnicodeDecodeError):
        return None


def _words(fingerprints: bytes) -> Words:
    return np.frombuffer(fingerprints, dtype=np.uint32).reshape(-1, DIGEST_BYTES // 4)


def _no_digests(count: int) -> Words:
    return np.zeros((count, DIGEST_BYTES // 4), dtype=np.uint32)
