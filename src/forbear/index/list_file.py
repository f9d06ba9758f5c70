"""A send list that must be whole before it can be read."""

from __future__ import annotations

import tempfile
from typing import IO

from forbear.domain.errors import Busy, TooLarge


class ListFile:
    """The bytes of one list: a file of somebody's, or one without a name that only this process can read."""

    def __init__(self, file: IO[bytes] | None = None, *, bytes_max: int | None = None) -> None:
        """Take the file that the list is, where it is one already, else how much may be kept of it."""
        self._file, self._bytes_max, self._bytes = file, bytes_max, 0

    def append(self, data: bytes) -> None:
        """Keep the next bytes. Raises `TooLarge`, or `Busy` when the disk takes no more."""
        self._bytes += len(data)
        if self._bytes_max is not None and self._bytes > self._bytes_max:
            raise TooLarge(f"a list in this format may have up to {self._bytes_max} bytes")
        try:
            self.open().write(data)
        except OSError as error:
            raise Busy("there is no room on disk for a list that must be whole before it is read") from error

    def open(self) -> IO[bytes]:
        """The file, to be read from wherever one likes."""
        if self._file is None:
            # Buffered, so that whoever closes it waits for a thread that still reads: no other file gets its number.
            self._file = tempfile.TemporaryFile(prefix="forbear-")  # noqa: SIM115 - see close
        return self._file

    def close(self) -> None:
        """Give the bytes up."""
        if self._file is not None:
            self._file.close()
