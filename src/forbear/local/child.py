"""The processes of the service that `forbear start` runs: each is this same program with another subcommand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path

from forbear.domain.errors import Misconfigured
from forbear.local.process import describe_exit, end, spawn

READY_SECONDS_MAX = 60.0  # importing and connecting takes about a second; longer means that it hangs
_STOP_STEPS = ((signal.SIGTERM, 20.0), (signal.SIGKILL, None))


class Child:
    """One subcommand, run as a process of its own that ends when we do."""

    def __init__(self, command: str, environment: Mapping[str, str], on_spawn: Callable[[int], None]) -> None:
        """Take the subcommand; `on_spawn` is told the process id at every start."""
        self.command = command
        self._environment = dict(environment)
        self._on_spawn = on_spawn
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it."""
        await self._spawn()

    async def wait(self) -> int:
        """Wait until it ends; return its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Ask it to end, and see to it."""
        if self._process:
            await end(self._process, *_STOP_STEPS)

    async def _spawn(self, *options: str, pass_fds: tuple[int, ...] = ()) -> None:
        # What they print goes to stderr: on stdout, a script reads the one line that says we are ready.
        self._process = await spawn(
            [sys.executable, "-m", "forbear", self.command, *options],
            environment=self._environment,
            output=sys.stderr.fileno(),
            folder=Path.cwd(),
            pass_fds=pass_fds,
        )
        self._on_spawn(self._process.pid)


class WebChild(Child):
    """The web process, which says on a pipe where it listens."""

    http = ""

    async def start(self) -> None:
        """Start it and wait until it listens; afterwards `http` is its base URL, the same at every start.

        Raises `Misconfigured` when it ends before that.
        """
        receiving, sending = os.pipe()
        try:
            await self._spawn("--ready-fd", str(sending), pass_fds=(sending,))
        finally:
            os.close(sending)
        line = await _read_line(receiving)
        if not line:
            await self.stop()
            raise Misconfigured(f"the web process did not start ({describe_exit(await self.wait())})")
        self.http = json.loads(line)["http"]
        # A free port was asked for once. Whoever was told its number still finds us after a restart.
        host = self._environment.get("FORBEAR_HTTP", "")
        if host.endswith(":0"):
            self._environment["FORBEAR_HTTP"] = f"{host[:-2]}:{self.http.rpartition(':')[2]}"


async def _read_line(descriptor: int) -> bytes:
    """Read one line from a pipe; nothing when its other end is closed or too much time has passed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        return await asyncio.wait_for(reader.readline(), READY_SECONDS_MAX)
    except TimeoutError:
        return b""
    finally:
        transport.close()
