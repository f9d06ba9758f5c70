"""The index file: fingerprint -> number of a rule set, mapped into memory and shared by all processes of a machine.

    8 bytes    FORBEAR1
    4 + 4      length and CRC-32 of the header's JSON (little-endian)
    ...        the header, up to byte 4096
    slots      five words each (see `kernels.table`): 20 bytes at a load of 0.7, 28.6 bytes a key
    rules      the rule sets as JSON

A file is written aside, synced and renamed, so it is whole or not there. It is checked from end to end when it is
opened; one that is cut off, damaged, foreign or of other keys is refused and never used.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from forbear.domain.errors import ForbearError
from forbear.index.kernels.blake2s import Words
from forbear.index.kernels.table import SLOT_WORDS, fill
from forbear.index.rules import RuleBook

_MAGIC: Final = b"FORBEAR1"
_HEADER_BYTES: Final = 4096
_PREFIX: Final = struct.Struct("<8sII")
_SLOT_BYTES: Final = SLOT_WORDS * 4
_LOAD: Final = 0.7
_SPARE_SLOTS: Final = 4096
_CHECK_BYTES: Final = 16 * 1024 * 1024


class BrokenIndex(ForbearError):
    """The index file cannot be used."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which list a file was built from: the fingerprint keys, the matching rules, and the server's own history."""

    key_check: str
    canon_version: int
    server: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself.

    `position` is the snapshot it was built at, as `forbear.store.feed` writes it, and `mark` what the list has on
    record about it.
    """

    origin: Origin
    position: str
    mark: str
    built_at: str
    has_domains: bool
    keys: int = 0
    home_slots: int = 0
    slots: int = 0
    rules_bytes: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was opened and found whole."""

    header: Header
    slots: Words
    book: RuleBook

    @property
    def home_slots(self) -> int:
        """How many slots a search may begin at."""
        return self.header.home_slots

    @property
    def has_domains(self) -> bool:
        """Whether any key stands for a whole domain."""
        return self.header.has_domains

    def __len__(self) -> int:
        return self.header.keys


class TableWriter:
    """Writes one file. Keys come in ascending order of their bytes, each once."""

    def __init__(self, path: Path, header: Header, keys_max: int) -> None:
        """Make the file aside; `keys_max` is at least the number of keys to come."""
        self._path, self._header = path, header
        self._aside = path.with_name(f"{path.name}.aside")
        self._home_slots = max(1, int(keys_max / _LOAD))
        self._slots = self._home_slots + _SPARE_SLOTS
        self._next_free = self._keys = 0
        self._file = self._aside.open("w+b")
        os.posix_fallocate(self._file.fileno(), 0, _HEADER_BYTES + self._slots * _SLOT_BYTES)
        self._table = _map(self._file.fileno(), self._slots, is_writable=True)

    def add(self, keys: Words, numbers: Words) -> None:
        """Write keys (uint32[n, 4]) and the numbers of their rule sets (uint32[n], none of them 0)."""
        done = fill(self._table, self._home_slots, np.ascontiguousarray(keys), numbers, self._next_free)
        if done < 0:
            raise BrokenIndex("the keys are spread so unevenly that the table has no room for them")
        self._next_free, self._keys = done, self._keys + len(keys)

    def finish(self, book: RuleBook) -> None:
        """Write the rule sets and the header, sync, and give the file its name."""
        rules = json.dumps(book.as_json(), separators=(",", ":")).encode()
        checksum = zlib.crc32(rules, _checksum(self._table))
        self._file.seek(0, os.SEEK_END)
        self._file.write(rules)
        header = replace(
            self._header, keys=self._keys, home_slots=self._home_slots, slots=self._slots,
            rules_bytes=len(rules), checksum=checksum,
        )  # fmt: skip
        self._file.seek(0)
        self._file.write(_pack(header))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        self._aside.rename(self._path)
        _sync_folder(self._path.parent)

    def close(self) -> None:
        """Let go of the file; what was not finished stays aside."""
        self._table = _map_nothing()
        self._file.close()


def open_table(path: Path, origin: Origin) -> Table:
    """Open a file and check all of it. Raises `BrokenIndex` where it is damaged or of another list."""
    try:
        with path.open("rb") as file:
            header = _read_header(file.read(_HEADER_BYTES))
            size = _HEADER_BYTES + header.slots * _SLOT_BYTES + header.rules_bytes
            if os.fstat(file.fileno()).st_size != size:
                raise BrokenIndex(f"{path.name} is cut off or has grown")
            slots = _map(file.fileno(), header.slots, is_writable=False)
            file.seek(size - header.rules_bytes)
            rules = file.read()
    except OSError as error:
        raise BrokenIndex(f"{path.name} cannot be read: {error.strerror}") from error
    if header.origin != origin:
        raise BrokenIndex(f"{path.name} was built from another list: {_difference(header.origin, origin)}")
    if zlib.crc32(rules, _checksum(slots)) != header.checksum or slots[-1, 4] != 0:
        raise BrokenIndex(f"{path.name} is damaged")
    try:
        return Table(header, slots, RuleBook.from_json(json.loads(rules)))
    except (TypeError, ValueError) as error:
        # A newer release, which a worker may run already, knows reasons that this one does not.
        raise BrokenIndex(f"{path.name} has rules of another release") from error


def _pack(header: Header) -> bytes:
    content = json.dumps(asdict(header)).encode()
    packed = _PREFIX.pack(_MAGIC, len(content), zlib.crc32(content)) + content
    if len(packed) > _HEADER_BYTES:
        raise BrokenIndex("the header of the index has no room for so many transactions under way")
    return packed.ljust(_HEADER_BYTES, b"\0")


def _read_header(packed: bytes) -> Header:
    if len(packed) < _HEADER_BYTES:
        raise BrokenIndex("the file ends within its header")
    magic, length, checksum = _PREFIX.unpack_from(packed)
    content = packed[_PREFIX.size : _PREFIX.size + length]
    if magic != _MAGIC or zlib.crc32(content) != checksum:
        raise BrokenIndex("the file has no header that can be read")
    try:
        values = json.loads(content)
        return Header(**{**values, "origin": Origin(**values["origin"])})
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenIndex("the header is that of another release") from error


def _difference(found: Origin, wanted: Origin) -> str:
    differing = [name for name, value in asdict(wanted).items() if asdict(found)[name] != value]
    return ", ".join(differing)


def _map(handle: int, slots: int, *, is_writable: bool) -> Words:
    access = mmap.ACCESS_WRITE if is_writable else mmap.ACCESS_READ
    mapped = mmap.mmap(handle, _HEADER_BYTES + slots * _SLOT_BYTES, access=access)
    words = np.frombuffer(mapped, dtype=np.uint32, count=slots * SLOT_WORDS, offset=_HEADER_BYTES)
    return words.reshape(slots, SLOT_WORDS)


def _map_nothing() -> Words:
    return np.zeros((0, SLOT_WORDS), dtype=np.uint32)


def _checksum(table: Words) -> int:
    """CRC-32 of all slots, a piece at a time, so that no copy of the table is made."""
    whole = table.reshape(-1).view(np.uint8).data
    checksum = 0
    for start in range(0, len(whole), _CHECK_BYTES):
        checksum = zlib.crc32(whole[start : start + _CHECK_BYTES], checksum)
    return checksum


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
