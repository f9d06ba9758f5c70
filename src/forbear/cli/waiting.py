"""Waiting for files and pipes beside the event loop, so that what else a command has to do goes on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from io import FileIO
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

P = ParamSpec("P")
T = TypeVar("T")


async def wait_outside(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do blocking work in a thread that nobody waits for when the command is broken off.

    A pipe whose other end has fallen silent would otherwise keep Ctrl-C from ending the program.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # there is one where there is no error

    def run() -> None:
        try:
            done, error = work(*arguments, **options), None
        except BaseException as caught:  # noqa: BLE001 - it is raised where the answer is awaited
            done, error = None, caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, done, error)

    threading.Thread(target=run, daemon=True).start()
    return await answer


class Standard(FileIO):
    """Standard input (0) or output (1) without Python's buffer, whose lock a thread left behind would hold at exit."""

    def __init__(self, number: int) -> None:
        """Take it as it is, and leave it open at the end."""
        super().__init__(number, "rb" if number == 0 else "wb", closefd=False)

    def write(self, data: ReadableBuffer) -> int:
        """Write all of it; a pipe may take less at a time."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]
        return size
