"""Which PostgreSQL a command works with: the one it was given, a running service's, or one it starts itself."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from forbear.config import Settings
from forbear.domain.errors import Busy, ListUnavailable, Misconfigured
from forbear.local.credentials import Credentials
from forbear.local.holder import Holder, Lock, State
from forbear.local.messages import say
from forbear.local.server import hold_server

START = "start"
_SERVING = frozenset({START, "web", "worker"})
_POLL_SECONDS = 0.05


@asynccontextmanager
async def open_database(
    settings: Settings, *, command: str | None = None, may_create: bool = True
) -> AsyncIterator[Settings]:
    """Yield settings whose `database_url` and `migrate_url` can be connected to while the block runs.

    With a data folder, its PostgreSQL is started under the folder's lock and stopped afterwards; where a service
    has it up, that one is joined; while another command holds it, this waits and says so on stderr.
    `command` is the name that others are shown. With `may_create=False` a folder without a list is an error.

    Raises `Busy` when the wait passes `lock_wait_seconds`, `ListUnavailable` when PostgreSQL does not start,
    `Misconfigured` when the folder or its files cannot be used.
    """
    if not settings.is_embedded:
        yield settings
        return
    if not may_create:
        _refuse_no_list(settings)
    lock = Lock(settings.data_dir)
    try:
        joined = await _take_or_join(lock, settings, command or _name_command())
        if joined:
            yield joined
        else:
            async with hold_server(lock, settings) as server:
                server.invite()
                yield server.settings
    finally:
        lock.close()


async def take_for_start(lock: Lock, settings: Settings) -> None:
    """Take the lock for the service itself, waiting for commands but not for another service."""
    waiting = _Waiting(lock, settings)
    while not lock.try_take(START):
        holder = lock.find_holder()
        if holder and holder.command == START and holder.state is not State.STOPPING:
            raise Misconfigured(f"Forbear already runs on {settings.data_dir}: {holder}")
        await waiting.go_on(holder)


async def _take_or_join(lock: Lock, settings: Settings, command: str) -> Settings | None:
    waiting = _Waiting(lock, settings)
    while not lock.try_take(command):
        holder = lock.find_holder()
        if holder and holder.socket and holder.state is State.READY and holder.command in _SERVING:
            credentials = Credentials.find(settings.data_dir)
            if credentials:
                return settings.model_copy(update=credentials.urls(holder.socket))
        await waiting.go_on(holder)
    return None


class _Waiting:
    """One wait for a lock: says once for whom, and ends when it has taken too long."""

    def __init__(self, lock: Lock, settings: Settings) -> None:
        self._path = lock.path
        self._seconds = settings.lock_wait_seconds
        self._limit = time.monotonic() + self._seconds
        self._named: Holder | None = None

    async def go_on(self, holder: Holder | None) -> None:
        if holder and (self._named is None or self._named.process != holder.process):
            say(f"waiting for {holder}, which holds {self._path}")
            self._named = holder
        if time.monotonic() > self._limit:
            who = holder or "another command"
            raise Busy(f"{who} still holds {self._path} after {self._seconds} s")
        await asyncio.sleep(_POLL_SECONDS)


def _refuse_no_list(settings: Settings) -> None:
    if Credentials.find(settings.data_dir) is None:
        raise ListUnavailable(f"there is no list in {settings.data_dir}: forbear start makes one")


def _name_command() -> str:
    # The subcommand alone: whatever stands behind it may be an address.
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    return word if re.fullmatch(r"[a-z][a-z-]*", word) else "forbear"
