"""Rows on their way to a client that may not read yet.

Most HTTP clients send their whole body before they read a byte of the answer. So rows wait here: in memory up to
a mebibyte, then in an unlinked file that only this process can read, up to a limit.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from threading import Lock
from types import TracebackType
from typing import IO, Final, Self

from forbear.domain.errors import Busy, TooLarge

MEMORY_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 256 * 1024


class Spool:
    """A queue of bytes, first in first out, that spills to disk. One writer, one reader, one event loop."""

    def __init__(self, spill_bytes_max: int) -> None:
        """Take the limit of what may wait on disk at once."""
        self._spill_bytes_max = spill_bytes_max
        self._memory: deque[bytes] = deque()
        self._memory_bytes = 0
        self._file: IO[bytes] | None = None
        # Spilling and fetching run in threads at the same time, and the file has one position.
        self._file_lock = Lock()
        self._written = 0
        self._taken = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread may still be at it though its task was cancelled: it must not find another file under the number.
        with self._file_lock:
            if self._file is not None:
                self._file.close()

    async def put(self, data: bytes) -> None:
        """Add bytes at the end. Raises `TooLarge` when too much waits already, `Busy` when the disk takes no more."""
        if not data:
            return
        if self._written == self._taken and self._memory_bytes + len(data) <= MEMORY_BYTES:
            self._memory.append(data)
            self._memory_bytes += len(data)
        elif self._written - self._taken + len(data) > self._spill_bytes_max:
            raise TooLarge("the client does not take its rows, and no more can be kept for it")
        else:
            try:
                await asyncio.to_thread(self._spill, data)
            except OSError as error:
                raise Busy("there is no room on disk for rows that wait for their client") from error
            self._written += len(data)
        self._changed.set()

    def close(self) -> None:
        """Say that nothing more comes."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> bytes:
        """The next bytes, waiting for them; empty at the end."""
        while True:
            if self._memory:
                data = self._memory.popleft()
                self._memory_bytes -= len(data)
                return data
            if self._written > self._taken:
                data = await asyncio.to_thread(self._fetch, min(_READ_BYTES, self._written - self._taken))
                self._taken += len(data)
                return data
            if self._is_closed:
                return b""
            self._changed.clear()
            await self._changed.wait()

    def _spill(self, data: bytes) -> None:
        with self._file_lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="forbear-", buffering=0)  # noqa: SIM115 - see __exit__
            elif self._written == self._taken:
                # Everything was taken: begin anew, so that the file does not grow for ever.
                self._file.truncate(0)
                self._written = self._taken = 0
            self._file.seek(self._written)
            left = memoryview(data)
            while left:
                # A nearly full disk takes a part, and says so only at the next attempt.
                left = left[self._file.write(left) :]

    def _fetch(self, size: int) -> bytes:
        with self._file_lock:
            if self._file is None:
                raise AssertionError("bytes were counted that were never spilled")
            self._file.seek(self._taken)
            data = self._file.read(size)
        if not data:
            raise EOFError("the spilled rows are gone")
        return data
