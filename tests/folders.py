"""Folders in which a test may keep a PostgreSQL, and how to be rid of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forbear.local.place import ELSEWHERE, find_place

_PREFIX = "forbear-test-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - durable writes are promised, not waited for, in tests
_MEMORY_BYTES_MIN = 2 * 1024**3


@contextmanager
def make_home(*, is_closed: bool = False, is_fast: bool = False) -> Iterator[Path]:
    """Make a folder for a data folder; a closed one cannot be entered by PostgreSQL's account when we are root."""
    root = _MEMORY if is_fast and _has_room(_MEMORY) else Path(tempfile.gettempdir())
    _remove_orphans(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    folder.chmod(0o700 if is_closed else 0o711)
    try:
        yield folder / "data"
    finally:
        remove_home(folder / "data")
        shutil.rmtree(folder)


def remove_home(home: Path) -> None:
    """Remove a data folder and the cluster that it may have elsewhere."""
    place = find_place(home)
    if place:
        if place.socket.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(place.socket, ignore_errors=True)
        if place.folder.is_relative_to(ELSEWHERE):
            shutil.rmtree(place.folder, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free > _MEMORY_BYTES_MIN


def _remove_orphans(root: Path) -> None:
    """Remove what test runs have left that were killed."""
    for folder in root.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if folder.stat().st_uid == os.geteuid() and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            remove_home(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)
