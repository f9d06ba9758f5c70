"""Fingerprints of a whole batch of addresses, straight from the bytes they came in.

Kernels read the usual shape (the one that `domain.address` has a fast path for, in 64 bytes at most); every other
row goes to `parse_address`, one by one. Both ways give the same fingerprints, and the tests prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from forbear.domain.address import Address, parse_address
from forbear.domain.errors import InvalidAddress
from forbear.domain.fingerprint import AddressKeys, Fingerprint, FingerprintChain, Kind
from forbear.domain.wide_domains import WIDE_DOMAINS
from forbear.index.kernels.addresses import (
    INVALID,
    NAME_BYTES_MAX,
    NAME_SLOTS,
    TEXT_BYTES,
    UNUSUAL,
    VALID,
    WIDE,
    cut_domains,
    find_name,
    fold_wide,
    read_usual,
)
from forbear.index.kernels.blake2s import DIGEST_BYTES, Bytes, Indexes, Words, hash_texts, make_midstate

ASCII_SPACE = " \t\n\r\v\f"
"""What may stand around an address that is sent to, and does not belong to it."""

_BLOCK_ROWS: Final = 2048
"""Rows that go through one kernel after another together: their texts stay in the processor's cache."""


@dataclass(frozen=True)
class Keys:
    """Fingerprints of n addresses as uint32[n, 4]: the 16 bytes of each as little-endian words.

    `state` says which of them mean something: nothing for INVALID, `match` and `domain` for VALID, all for WIDE.
    """

    match: Words
    wide: Words
    state: Bytes
    make_domain: Callable[[], Words] = field(repr=False)

    @cached_property
    def domain(self) -> Words:
        """Made when first asked for: few lists have entries for whole domains."""
        return self.make_domain()

    def __len__(self) -> int:
        return len(self.state)

    def select(self, rows: Indexes) -> Keys:
        """The keys of some rows, in their order."""
        return Keys(self.match[rows], self.wide[rows], self.state[rows], lambda: self.domain[rows])

    @classmethod
    def of(cls, keys: Sequence[AddressKeys | None]) -> Keys:
        """The same keys as arrays; None stands for no address."""
        none = bytes(DIGEST_BYTES)
        given = [key or _NO_KEYS for key in keys]
        return cls(
            _words(b"".join(key.match for key in given)),
            _words(b"".join(key.wide or none for key in given)),
            np.array([_state_of(key) for key in keys], dtype=np.uint8),
            lambda: _words(b"".join(key.domain or none for key in given)),
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


_NO_KEYS: Final = AddressKeys(Fingerprint(bytes(DIGEST_BYTES)), None, None)


def _state_of(key: AddressKeys | None) -> int:
    if key is None:
        return INVALID
    return VALID if key.wide is None else WIDE


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
        lengths = np.array([len(text) for text in encoded], dtype=np.int64)
        ends = np.cumsum(lengths)
        return self.make(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends - lengths, ends)

    def make(self, data: Bytes, starts: Indexes, ends: Indexes, *, with_domains: bool = False) -> Keys:
        """Fingerprint the addresses at `data[starts[i]:ends[i]]`; a negative start stands for no address at all.

        ASCII white space around an address does not count. `with_domains` says that the fingerprints of domains will
        be asked for: to make them at once is less work than to come back for them.
        """
        data = data.view()
        data.flags.writeable = False
        match, wide, state = _no_digests(len(starts)), _no_digests(len(starts)), np.empty(len(starts), dtype=np.uint8)
        domain = _no_digests(len(starts) if with_domains else 0)
        for block in self._read_blocks(data, starts, ends, state):
            self._hash(Kind.MATCH, block.space.texts, block.space.lengths, block.usual, match[block.part])
            if with_domains:
                self._hash_domains(block, domain[block.part])
            self._hash_wide(block, wide[block.part])
        exact, none = self._read_unusual(data, starts, ends, state), bytes(DIGEST_BYTES)
        for row, own in exact.items():
            match[row] = _words(own.match)
            if own.wide is not None:
                wide[row] = _words(own.wide)

        def make_domain() -> Words:
            made = domain if with_domains else self._make_domains(data, starts, ends)
            for row, own in exact.items():
                made[row] = _words(own.domain or none)
            return made

        return Keys(match, wide, state, make_domain)

    def _make_domains(self, data: Bytes, starts: Indexes, ends: Indexes) -> Words:
        domain = _no_digests(len(starts))
        for block in self._read_blocks(data, starts, ends, np.empty(len(starts), dtype=np.uint8)):
            self._hash_domains(block, domain[block.part])
        return domain

    def _read_blocks(self, data: Bytes, starts: Indexes, ends: Indexes, state: Bytes) -> Iterator[_Block]:
        """Read the usual rows, a block at a time; each block lies where the one before it lay."""
        space = _Space.make(min(len(starts), _BLOCK_ROWS))
        for first in range(0, len(starts), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            usual, wide = read_usual(
                data, starts[part], ends[part], state[part], space.texts, space.lengths, space.at,
                self._wide_domains.names, space.slots, space.usual, space.wide,
            )  # fmt: skip
            yield _Block(part, space.usual[:usual], space.wide[:wide], space)

    def _hash_domains(self, block: _Block, out: Words) -> None:
        space = block.space
        cut_domains(space.texts, space.lengths, space.at, block.usual, space.others, space.other_lengths)
        self._hash(Kind.DOMAIN, space.others, space.other_lengths, block.usual, out)

    def _hash_wide(self, block: _Block, out: Words) -> None:
        space, domains = block.space, self._wide_domains
        fold_wide(
            space.texts, space.lengths, space.at, space.slots, block.wide,
            domains.mailboxes, domains.mailbox_lengths, domains.is_dotless, space.others, space.other_lengths,
        )  # fmt: skip
        self._hash(Kind.WIDE, space.others, space.other_lengths, block.wide, out)

    def _hash(self, kind: Kind, texts: Bytes, lengths: Bytes, rows: Indexes, out: Words) -> None:
        first, *later = self._midstates[kind]
        hash_texts(_blocks_of(texts), lengths, rows, first, out)
        for midstate in later:
            again = np.zeros((len(out), TEXT_BYTES // 4), dtype=np.uint32)
            again[:, :4] = out
            hash_texts(again, np.full(len(out), DIGEST_BYTES, dtype=np.uint8), rows, midstate, out)

    def _read_unusual(self, data: Bytes, starts: Indexes, ends: Indexes, state: Bytes) -> Mapping[int, AddressKeys]:
        """Read one by one what the kernel has left, and settle its state."""
        rows = np.flatnonzero(state == UNUSUAL)
        found = {row: _read(data[starts[row] : ends[row]].tobytes()) for row in rows.tolist()}
        valid = {row: address for row, address in found.items() if address is not None}
        state[rows] = INVALID
        for row, address in valid.items():
            state[row] = VALID if address.wide is None else WIDE
        return dict(zip(valid, self._exact.make_keys(list(valid.values())), strict=True))


@dataclass(frozen=True, slots=True)
class _Space:
    """Room for what kernels find out about a block of rows."""

    texts: Bytes
    others: Bytes
    """64 bytes a row, and as many behind the last, because kernels look ahead."""
    lengths: Bytes
    other_lengths: Bytes
    at: Bytes
    slots: npt.NDArray[np.uint16]
    usual: Indexes
    wide: Indexes

    @classmethod
    def make(cls, rows: int) -> _Space:
        texts, others = (np.empty((rows + 1) * TEXT_BYTES, dtype=np.uint8) for _ in range(2))
        lengths, other_lengths, at = (np.empty(rows, dtype=np.uint8) for _ in range(3))
        usual, wide = (np.empty(rows, dtype=np.int64) for _ in range(2))
        return cls(texts, others, lengths, other_lengths, at, np.empty(rows, dtype=np.uint16), usual, wide)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows that were read: which rows of the batch they are, and by their place in the block the usual ones."""

    part: slice
    usual: Indexes
    wide: Indexes
    space: _Space


@dataclass(frozen=True, slots=True)
class _WideDomains:
    """The listed domains for the kernels: names in an open-addressed table, and beside each its mailbox domain."""

    names: npt.NDArray[np.uint64]
    mailboxes: npt.NDArray[np.uint64]
    mailbox_lengths: Bytes
    is_dotless: Bytes

    @classmethod
    def make(cls) -> _WideDomains:
        names, mailboxes = (np.zeros((NAME_SLOTS, NAME_BYTES_MAX // 8), dtype=np.uint64) for _ in range(2))
        table = cls(names, mailboxes, np.zeros(NAME_SLOTS, dtype=np.uint8), np.zeros(NAME_SLOTS, dtype=np.uint8))
        for name, spelling in WIDE_DOMAINS.items():
            words = _pad_name(name)
            slot = find_name(names, *words)
            names[slot] = words
            mailboxes[slot] = _pad_name(spelling.mailbox_domain)
            table.mailbox_lengths[slot] = len(spelling.mailbox_domain)
            table.is_dotless[slot] = spelling.is_dotless
        return table


def _pad_name(name: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(name.encode().ljust(NAME_BYTES_MAX, b"\0"), dtype=np.uint64)


def _blocks_of(texts: Bytes) -> Words:
    """Texts of 64 bytes as words: uint32[n, 16]."""
    return texts.view(np.uint32).reshape(-1, TEXT_BYTES // 4)


def _read(cell: bytes) -> Address | None:
    try:
        return parse_address(cell.decode())
    except (InvalidAddress, UnicodeDecodeError):
        return None


def _words(fingerprints: bytes) -> Words:
    # From a bytearray it can be written to, like every other array of keys: kernels are compiled for one kind.
    return np.frombuffer(bytearray(fingerprints), dtype=np.uint32).reshape(-1, DIGEST_BYTES // 4)


def _no_digests(count: int) -> Words:
    return np.zeros((count, DIGEST_BYTES // 4), dtype=np.uint32)
