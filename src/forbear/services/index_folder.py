"""The folder with the index files of this machine: named by generation, opened only when whole and of this list."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2s
from pathlib import Path
from typing import Final

import structlog

from forbear.domain.address import CANON_VERSION
from forbear.domain.keys import Keyring, KeyRole
from forbear.index.table import BrokenIndex, Origin, Table, open_table
from forbear.store.feed import ServerIdentity

_PATTERN: Final = "list-*.index"
_ASIDE: Final = "list-*.index.aside"
_log = structlog.get_logger()


class IndexFolder:
    """Finds, names and clears away index files. One process at a time builds."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        """Take the folder, which is made when the first file is."""
        self.path = path
        self._key_check = _check_fingerprint_keys(keyring)
        self._refused: set[tuple[str, int]] = set()

    @property
    def builder(self) -> str:
        """What the list calls the builder of this folder."""
        return f"{socket.gethostname()}:{self.path}"

    def origin(self, identity: ServerIdentity) -> Origin:
        """What every file of this list on that server says about where it is from."""
        return Origin(self._key_check, CANON_VERSION, " ".join(map(str, identity)))

    def open_newest(self, identity: ServerIdentity, *, current: Path | None = None) -> tuple[Path, Table] | None:
        """Open the newest file that is whole and of this list, unless it is the current one; None when there is none.

        A file that is refused is named in the log once, and left to the next build. All of a file is read: call this
        in a thread.
        """
        for path in self._list_files():
            if path == current:
                return None
            if _version(path) in self._refused:
                continue
            try:
                return path, open_table(path, self.origin(identity))
            except BrokenIndex as error:
                if not path.exists():
                    # A newer one has taken its place just now.
                    return self.open_newest(identity, current=current)
                self.refuse(path, error.detail)
        return None

    def refuse(self, path: Path, why: str) -> None:
        """Leave a file alone from now on."""
        self._refused.add(_version(path))
        _log.warning("index_refused", file=path.name, detail=why)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the right to build; yields False when another process has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    def begin(self) -> Path:
        """The path of the next file; what an interrupted build has left is removed. The caller holds the lock."""
        for aside in self.path.glob(_ASIDE):
            aside.unlink()
        newest = next(iter(self._list_files()), None)
        return self.path / f"list-{1 + (_generation(newest) if newest else 0):012d}.index"

    def keep_only(self, path: Path) -> None:
        """Remove all files but one. Whoever has mapped another keeps what they have mapped."""
        for other in self._list_files():
            if other != path:
                other.unlink()

    def _list_files(self) -> list[Path]:
        files = [path for path in self.path.glob(_PATTERN) if _generation(path) >= 0]
        return sorted(files, key=_generation, reverse=True)


def _version(path: Path) -> tuple[str, int]:
    """A file as it is now; one of the same name that was written later is another."""
    try:
        return path.name, path.stat().st_mtime_ns
    except OSError:
        return path.name, 0


def _generation(path: Path) -> int:
    number = path.name.removeprefix("list-").removesuffix(".index")
    return int(number) if number.isascii() and number.isdecimal() else -1


def _check_fingerprint_keys(keyring: Keyring) -> str:
    """Tell one chain of fingerprint keys from another, without giving a key away."""
    chain = sorted((key.id, key.check) for key in keyring.keys if key.role is KeyRole.FINGERPRINT)
    return blake2s(b"".join(bytes((number,)) + check for number, check in chain), digest_size=16).hexdigest()
