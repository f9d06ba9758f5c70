"""Where a data folder keeps its cluster and its socket, and who may enter there."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forbear.domain.errors import ListUnavailable
from forbear.local.account import Account
from forbear.local.credentials import write_privately
from forbear.local.process import run

PLACE_FILE = "postgres.place"
ELSEWHERE = Path("/var/lib/forbear")
SOCKET_BYTES_MAX = 107  # sun_path of unix(7), without its last zero byte
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")  # in URLs, clients take a comma for the end of one host


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one cluster: `folder` is ours, `data` and `socket` belong to PostgreSQL's account."""

    folder: Path

    @property
    def data(self) -> Path:
        """What PostgreSQL calls PGDATA."""
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """Where its socket stands: in the cluster, or in /tmp when that path would not do for one."""
        link = self._socket_link
        return link.readlink() if link.is_symlink() else self.folder / "socket"

    @property
    def _socket_link(self) -> Path:
        return self.folder / "socket-place"

    def make_socket_folder(self, account: Account | None) -> None:
        """See to it that the socket's folder is there, that nobody else may enter it, and that its path will do."""
        usual = self.folder / "socket"
        if len(os.fsencode(usual / ".s.PGSQL.5432")) <= SOCKET_BYTES_MAX and _PLAIN_PATH.fullmatch(str(usual)):
            if not usual.is_dir():
                make_private_folder(usual, account)
            return
        link = self._socket_link
        if link.is_symlink() and _is_private(link.readlink(), account):
            return
        link.unlink(missing_ok=True)
        short = Path(tempfile.mkdtemp(prefix="forbear-", dir="/tmp"))
        if account:
            os.chown(short, account.uid, account.gid)
        link.symlink_to(short)


def find_place(home: Path) -> Place | None:
    """Find where a data folder keeps its cluster; `None` when that has not been chosen yet."""
    with suppress(FileNotFoundError):
        return Place(Path((home / PLACE_FILE).read_text().strip()))
    return Place(home / "postgres") if (home / "postgres").is_dir() else None


async def make_place(home: Path, account: Account | None) -> Place:
    """Make the folder of a new cluster: in the data folder, or elsewhere when `account` cannot reach that."""
    place = find_place(home) or Place(home / "postgres")
    _make_passable_folder(place.folder)
    if account is None or await _can_enter(place.folder, account):
        return place
    # A parent is closed to PostgreSQL's account. Opening it would open whatever else lies in there.
    with suppress(OSError):
        place.folder.rmdir()
    return _make_place_elsewhere(home)


def _make_place_elsewhere(home: Path) -> Place:
    if not ELSEWHERE.is_dir():
        _make_passable_folder(ELSEWHERE)
    place = Place(ELSEWHERE / secrets.token_hex(8))
    # Remembered before it is made: a folder that is not there yet can still be made at the next start.
    write_privately(home / PLACE_FILE, f"{place.folder}\n")
    _make_passable_folder(place.folder)
    return place


def make_private_folder(folder: Path, account: Account | None) -> None:
    """Make a folder that only PostgreSQL's account may enter."""
    folder.mkdir(mode=0o700)
    if account:
        os.chown(folder, account.uid, account.gid)


def _make_passable_folder(folder: Path) -> None:
    """Make a folder through which others may pass to what is theirs, without seeing what is in it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)


async def _can_enter(folder: Path, account: Account) -> bool:
    try:
        await run(["test", "-x", folder], account=account)
    except ListUnavailable:
        return False
    return True


def _is_private(folder: Path, account: Account | None) -> bool:
    """Whether nobody has put something of theirs where our folder in /tmp was."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    owner = account.uid if account else os.geteuid()
    return folder.is_dir() and not folder.is_symlink() and status.st_uid == owner and status.st_mode & 0o077 == 0
