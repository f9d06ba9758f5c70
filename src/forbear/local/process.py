"""Programs that we start and that never outlive us, however we end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from forbear.domain.errors import ListUnavailable, Misconfigured
from forbear.local.account import Account

# The kernel's promise to signal a child when its parent dies begins only when the child has asked for it.
# Whoever died before that is caught by comparing the parent's id, after asking and before the program runs.
_ONLY_UNDER_US = '[ "$PPID" = "$0" ] && exec "$@"'
_POLL_SECONDS = 0.01
_PLAIN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


async def spawn(
    arguments: Sequence[str | Path],
    *,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    death_signal: str = "TERM",
    output: int | IO[bytes] = DEVNULL,
    folder: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a program in a session of its own; it gets `death_signal` when we end by any means.

    `output` takes its stdout and stderr. Without `environment` it gets almost none, so that no secret of ours
    reaches it.
    A session of its own keeps the terminal's Ctrl-C from it: in which order things stop is decided here.
    """
    try:
        return await asyncio.create_subprocess_exec(
            "setpriv",
            *(account.setpriv_arguments if account else ()),
            f"--pdeathsig={death_signal}",
            "--",
            "/bin/sh",
            "-c",
            _ONLY_UNDER_US,
            str(os.getpid()),
            *map(str, arguments),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env=_PLAIN_ENVIRONMENT if environment is None else environment,
            cwd=folder or "/",
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Misconfigured("the program setpriv (of util-linux) is needed and was not found") from error


async def run(
    arguments: Sequence[str | Path],
    *,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed; raise `ListUnavailable` with its last words if it fails."""
    process = await spawn(
        arguments,
        account=account,
        environment=None if environment is None else {**_PLAIN_ENVIRONMENT, **environment},
        death_signal="KILL",
        output=PIPE,
        folder=folder,
    )
    try:
        output, _ = await process.communicate()
    finally:
        await end(process, (signal.SIGKILL, None))
    text = output.decode(errors="replace")
    if process.returncode:
        raise ListUnavailable(f"{Path(arguments[0]).name} failed ({process.returncode}): {last_lines(text)}")
    return text


async def end(process: Process, *steps: tuple[signal.Signals, float | None]) -> None:
    """Send each signal in turn until the process is gone, waiting the given seconds after each."""
    for number, seconds in steps:
        if process.returncode is not None:
            return
        # Not Process.send_signal: it may reap the child before asyncio does, and then its exit code is lost.
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)


async def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until `condition` holds or the time is up; return whether it holds.

    For what lies in files or in other people's processes, of which nobody sends us word.
    """
    limit = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < limit:  # noqa: ASYNC110 - no event of ours is set there
        await asyncio.sleep(_POLL_SECONDS)
    return holds


def last_lines(text: str, count: int = 3) -> str:
    """The last lines that say something, as one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing"


def describe_exit(code: int) -> str:
    """Put an exit code into words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def find_start(pid: int) -> int | None:
    """When a process began, in the kernel's ticks, or `None` when it is gone; with the id it names one process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
