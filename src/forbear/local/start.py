"""`forbear start`: sets everything up, runs the whole service on this machine, and ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from forbear import bootstrap
from forbear.config import Settings, make_environment, split_host_port
from forbear.domain.errors import ListUnavailable, Misconfigured
from forbear.local.announcement import Announcement
from forbear.local.child import Child, WebChild
from forbear.local.holder import Lock, ProcessName
from forbear.local.lock import take_for_start
from forbear.local.messages import Stopwatch, say
from forbear.local.process import wait_until
from forbear.local.server import Server, hold_server, keep_running

ANSWER_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.05


async def start(settings: Settings, *, as_json: bool) -> int:
    """Run PostgreSQL (with a data folder), web and worker until a signal ends them; return the exit code.

    Progress is said on stderr. Once `/readyz` answers 200, stdout gets the URLs and the local API key, as one line
    of JSON if so asked. Whatever dies is started again. However this process ends, all that it started ends too.

    Raises `Misconfigured` for what a person must put right, `ListUnavailable` when PostgreSQL or web does not come up.
    """
    with _cancel_on_signals() as received:
        try:
            await _run(settings, as_json=as_json)
        except asyncio.CancelledError:
            if not received:
                raise
    say("stopped")
    return 0


async def _run(settings: Settings, *, as_json: bool) -> None:
    watch = Stopwatch()
    async with _open_server(settings, watch) as server:
        ours = server.settings if server else settings
        await bootstrap.set_up(ours)
        api_key = await bootstrap.ensure_local_api_key(ours)
        watch.say_done("the list is set up")
        # Before web and worker would both do it at the same time.
        await bootstrap.warm_up(say)
        watch.say_done("the filter is ready")
        if server:
            server.invite()
        async with _run_children(settings, server) as (web, keepers):
            await _wait_until_ready(web.http)
            watch.say_done("web and worker are up")
            announcement = Announcement(web.http, api_key, ours.database_url or "", os.getpid())
            (announcement.print_json if as_json else announcement.print_words)()
            await asyncio.gather(*keepers)


@asynccontextmanager
async def _open_server(settings: Settings, watch: Stopwatch) -> AsyncIterator[Server | None]:
    """Start the embedded PostgreSQL if the settings want one."""
    if not settings.is_embedded:
        _refuse_busy_port(settings.http)
        yield None
        return
    lock = Lock(settings.data_dir)
    try:
        await take_for_start(lock, settings)
        await _end_leftover_children(lock)
        _refuse_busy_port(settings.http)
        async with hold_server(lock, settings) as server:
            watch.say_done("PostgreSQL is up")
            if not server.cluster.place.folder.is_relative_to(settings.data_dir):
                say(
                    f"its files are in {server.cluster.place.folder}, "
                    f"because the user that it runs as may not enter {settings.data_dir}"
                )
            yield server
    finally:
        lock.close()


@asynccontextmanager
async def _run_children(
    settings: Settings, server: Server | None
) -> AsyncIterator[tuple[WebChild, list[asyncio.Task[None]]]]:
    """Run both, and yield with them the tasks that start them again."""
    pids: dict[str, ProcessName] = {}

    def note(command: str, pid: int) -> None:
        # Whoever comes after us, should we be killed, must know for whom to wait.
        if name := ProcessName.find(pid):
            pids[command] = name
        if server:
            server.lock.announce(children=tuple(pids.values()))

    environment = make_environment(settings)
    web = WebChild("web", environment, lambda pid: note("web", pid))
    worker = Child("worker", environment, lambda pid: note("worker", pid))
    keepers: list[asyncio.Task[None]] = []
    try:
        for child in (web, worker):
            await child.start()
            keepers.append(asyncio.create_task(keep_running(child.command, child)))
        yield web, keepers
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.gather(web.stop(), worker.stop())


async def _wait_until_ready(http: str) -> None:
    """Wait until decisions are made. What is said to be in the way, and changes, is progress and may take its time."""
    url, said, limit = f"{http}/readyz", "", time.monotonic() + ANSWER_SECONDS_MAX
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while (answer := await _ask(session, url)).get("status") != "ready":
            detail = str(answer.get("detail", ""))
            if detail and detail != said:
                say(detail)
                said, limit = detail, time.monotonic() + ANSWER_SECONDS_MAX
            if time.monotonic() > limit:
                raise ListUnavailable(f"{url} did not answer 200 within {ANSWER_SECONDS_MAX:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
    if answer.get("engine") == "missing":
        say("the index file is being built or brought up to date; until then PostgreSQL is asked, which is slower")


async def _ask(session: aiohttp.ClientSession, url: str) -> dict[str, object]:
    """The answer of a probe, whatever its status; {} when there was none."""
    try:
        async with session.get(url) as answer:
            content = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _refuse_busy_port(http: str) -> None:
    """Find out before anything is made, and not by the web process afterwards, that nobody could reach us."""
    host, port = split_host_port(http)
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(address)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {http}: {error.strerror}; choose another place with --http") from error


async def _end_leftover_children(lock: Lock) -> None:
    """Wait for processes of a service that was killed: they are ending, and hold our port until they have."""
    left = lock.holder.children if lock.holder else ()
    if left:
        say("waiting for processes of an earlier run to end")
    for number, seconds in ((signal.SIGTERM, 25.0), (signal.SIGKILL, 5.0)):
        for child in left:
            child.signal(number)
        if await wait_until(lambda: not any(child.is_alive() for child in left), seconds):
            break
    lock.announce(children=())


@contextmanager
def _cancel_on_signals() -> Iterator[list[signal.Signals]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a cancellation of the current task; later ones change nothing."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    received: list[signal.Signals] = []

    def receive(number: signal.Signals) -> None:
        if not received and task:
            say("stopping")
            task.cancel()
        received.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants us to go on
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, receive, number)
    try:
        yield received
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
