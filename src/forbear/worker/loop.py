"""The worker's loop: each job does what is due at its own pace, and a list that is away only delays it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from forbear.domain.errors import ListUnavailable
from forbear.mailer.message import Sender
from forbear.mailer.pool import Mailer
from forbear.services.context import Context
from forbear.services.outbox import give_up_late, send_due
from forbear.services.retention import delete_expired

RETENTION_SECONDS: Final = 3600
OUTBOX_SECONDS: Final = 1
_RETRY_SECONDS: Final = 10
_FINISH_SECONDS: Final = 10
"""How long a job under way may finish once the worker is to stop; what is cut off then is taken up again later."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is done again and again."""

    name: str
    work: Callable[[], Awaitable[None]]
    pause_seconds: float


async def run_worker(context: Context, stop: asyncio.Event, mailer: Mailer | None, sender: Sender | None) -> None:
    """Work until `stop` is set. Without a mailer messages wait, and the log says so."""

    async def retain() -> None:
        deleted = await delete_expired(context)
        if any(asdict(deleted).values()):
            _log.info("retention", **asdict(deleted))

    async def send() -> None:
        if mailer is None or sender is None:
            await give_up_late(context)
        else:
            await send_due(context, mailer, sender)

    if mailer is None:
        _log.warning("no_upstream", text="messages wait in the outbox until FORBEAR_UPSTREAM is set")
    jobs = (Job("retention", retain, RETENTION_SECONDS), Job("outbox", send, OUTBOX_SECONDS))
    await asyncio.gather(*(_repeat(job, stop) for job in jobs))


async def _repeat(job: Job, stop: asyncio.Event) -> None:
    while not stop.is_set():
        pause = await _run_once(job, stop)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


async def _run_once(job: Job, stop: asyncio.Event) -> float:
    """Run a job once, and cut it off where it does not end in time after `stop`; how long to pause then."""
    work = asyncio.ensure_future(job.work())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait((work,), timeout=_FINISH_SECONDS)
        if not work.done():
            work.cancel()
        await work
    except ListUnavailable:
        return _RETRY_SECONDS
    except asyncio.CancelledError:
        work.cancel()
        if not stop.is_set():
            raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a job: the others and the next round go on
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        _log.error("unexpected_error", job=job.name, error=type(error).__name__, places=places[-12:])
        return _RETRY_SECONDS
    finally:
        stopped.cancel()
    return job.pause_seconds
