"""PostgreSQL processes of an earlier run: whoever was killed may have left some that are still ending.

What a pid file says is not believed, because its number may long belong to another program: a process counts as
PostgreSQL's when the kernel says that it has this name and works in this very folder.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from forbear.domain.errors import ListUnavailable
from forbear.local.process import wait_until

# A postmaster whose parent died is stopping already; the later steps are for one that hangs.
_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def list_servers(data: Path) -> list[int]:
    """List the ids of PostgreSQL processes, of any kind, that work in this folder."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _works_in(entry, data)]


async def end_leftovers(data: Path, socket: Path) -> None:
    """Wait until nothing of an earlier run is left, asking it to end; then remove its pid and lock files.

    Raises `ListUnavailable` when a process cannot be ended.
    """
    for number, seconds in _STEPS:
        left = list_servers(data)
        if not left:
            break
        # Backends have the postmaster for a parent: SIGINT, to them, would cancel one query only.
        heads = [pid for pid in left if _find_parent(pid) not in left]
        for pid in heads if number is signal.SIGINT else left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        await wait_until(lambda: not list_servers(data), seconds)
    if left := list_servers(data):
        raise ListUnavailable(f"an earlier PostgreSQL (process {left[0]}) still works in {data} and does not end")
    _remove_stale_files(data, socket)


def _remove_stale_files(data: Path, socket: Path) -> None:
    for stale in (data / "postmaster.pid", *socket.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def _works_in(process: Path, data: Path) -> bool:
    try:
        return (process / "comm").read_text().strip() == "postgres" and (process / "cwd").samefile(data)
    except OSError:  # it is gone, or somebody else's
        return False


def _find_parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
