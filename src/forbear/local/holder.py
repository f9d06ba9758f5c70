"""Who holds a data folder: an exclusive lock on its file `lock`, and in that file what others want to know.

The kernel's lock decides; the words in the file only explain. They are believed while the process that wrote them
lives, so whoever was killed leaves nothing that could mislead.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from signal import Signals

from forbear.domain.errors import Misconfigured
from forbear.local.process import find_start

_BYTES_MAX = 64 * 1024


class State(StrEnum):
    """How far the holder is; its server may be used by others while it is ready."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ProcessName:
    """One process, told apart from a later one that got the same number by the tick in which it began."""

    pid: int
    start_ticks: int

    @classmethod
    def find(cls, pid: int) -> ProcessName | None:
        """Name a process; `None` when there is none of that number."""
        ticks = find_start(pid)
        return None if ticks is None else cls(pid, ticks)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return find_start(self.pid) == self.start_ticks

    def signal(self, number: Signals) -> None:
        """Send it a signal if it still runs."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class Holder:
    """What the holder of a data folder says about itself."""

    process: ProcessName
    command: str
    since: datetime
    state: State = State.STARTING
    socket: Path | None = None
    children: tuple[ProcessName, ...] = ()

    def __str__(self) -> str:
        """Name it for somebody who waits."""
        return f"{self.command} (process {self.process.pid}, since {self.since.astimezone():%Y-%m-%d %H:%M:%S})"

    def encode(self) -> bytes:
        """Write it down."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def decode(cls, text: bytes) -> Holder | None:
        """Read it back; `None` when it is not whole, as while it is being written."""
        try:
            fields = json.loads(text)
            return cls(
                process=ProcessName(**fields["process"]),
                command=fields["command"],
                since=datetime.fromisoformat(fields["since"]),
                state=State(fields["state"]),
                socket=Path(fields["socket"]) if fields["socket"] else None,
                children=tuple(ProcessName(**child) for child in fields["children"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


class Lock:
    """The lock of one data folder. Only one process at a time can have taken it."""

    def __init__(self, home: Path) -> None:
        """Open the lock file, making the data folder when there is none."""
        # Through a folder that root makes, PostgreSQL's account must be able to pass to its own.
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        self.path = home / "lock"
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(f"the data folder {home} cannot be used: {error.strerror}") from error
        self.holder: Holder | None = None

    def try_take(self, command: str) -> bool:
        """Take the lock if it is free. Children of a holder that was killed are remembered while they live."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        process = ProcessName.find(os.getpid())
        if process is None:
            raise Misconfigured("this program needs /proc")
        words = self._read()
        left = tuple(child for child in words.children if child.is_alive()) if words else ()
        self._write(Holder(process, command, datetime.now(UTC), children=left))
        return True

    def find_holder(self) -> Holder | None:
        """Who holds the lock, as far as can be told when it could not be taken."""
        words = self._read()
        return words if words and words.process.is_alive() else None

    def announce(
        self,
        *,
        state: State | None = None,
        socket: Path | None = None,
        children: tuple[ProcessName, ...] | None = None,
    ) -> None:
        """Tell others what has changed; only while we hold the lock."""
        if self.holder is None:
            return
        holder = self.holder
        self._write(
            replace(
                holder,
                state=state or holder.state,
                socket=socket or holder.socket,
                children=holder.children if children is None else children,
            )
        )

    def close(self) -> None:
        """Give the lock back, if we hold it."""
        self.holder = None
        os.close(self._file)

    def _read(self) -> Holder | None:
        return Holder.decode(os.pread(self._file, _BYTES_MAX, 0))

    def _write(self, holder: Holder) -> None:
        text = holder.encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        self.holder = holder
