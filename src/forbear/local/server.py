"""A data folder's server while we hold the lock: started, kept running, stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from forbear.config import Settings
from forbear.domain.errors import ForbearError
from forbear.local.cluster import Cluster, open_cluster
from forbear.local.holder import Lock, State
from forbear.local.messages import say
from forbear.local.process import describe_exit

_DELAY_SECONDS_MIN = 0.1
_DELAY_SECONDS_MAX = 30.0
_STEADY_SECONDS = 60.0  # what ran this long did not fail at once


class Program(Protocol):
    """Something that runs until it ends, and can be started again: PostgreSQL or a process of ours."""

    async def start(self) -> None:
        """Start it, and return once it is of use."""

    async def wait(self) -> int:
        """Wait until it ends; return its exit code at once when it has ended, or was never started."""


class Server:
    """A running embedded PostgreSQL whose data folder is ours alone."""

    def __init__(self, lock: Lock, cluster: Cluster, settings: Settings) -> None:
        """Take what `hold_server` has started."""
        self.lock = lock
        self.cluster = cluster
        self.settings = settings.model_copy(update=cluster.credentials.urls(cluster.place.socket))
        self._is_open = False

    def invite(self) -> None:
        """Let other commands use the server, while it runs."""
        self._is_open = True
        self.announce_start()

    def announce_start(self) -> None:
        """Tell others that the server can be used again, if it could be used at all."""
        if self._is_open:
            self.lock.announce(state=State.READY, socket=self.cluster.place.socket)

    def announce_end(self) -> None:
        """Tell others to wait."""
        self.lock.announce(state=State.STARTING)


@asynccontextmanager
async def hold_server(lock: Lock, settings: Settings) -> AsyncIterator[Server]:
    """Run the data folder's PostgreSQL, under a lock that was taken already; it is restarted when it dies."""
    cluster = await open_cluster(settings.data_dir)
    await cluster.start()
    server = Server(lock, cluster, settings)
    keeper = asyncio.create_task(
        keep_running("PostgreSQL", cluster, on_end=server.announce_end, on_start=server.announce_start)
    )
    try:
        yield server
    finally:
        lock.announce(state=State.STOPPING)
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        await cluster.stop()


async def keep_running(
    name: str,
    program: Program,
    *,
    on_end: Callable[[], None] = lambda: None,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Start a program again whenever it ends, later and later while it fails at once."""
    delay = _DELAY_SECONDS_MIN / 2
    while True:
        began = time.monotonic()
        code = await program.wait()
        on_end()
        is_steady = time.monotonic() - began > _STEADY_SECONDS
        delay = _DELAY_SECONDS_MIN if is_steady else min(2 * delay, _DELAY_SECONDS_MAX)
        say(f"{name} has ended ({describe_exit(code)}) and is started again in {delay:.1f} s")
        await asyncio.sleep(delay)
        try:
            await program.start()
        except ForbearError as error:
            say(f"{name}: {error.detail}")
        else:
            on_start()
