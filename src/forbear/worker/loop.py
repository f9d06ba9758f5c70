"""The worker's loop: each round does what is due, and a list that is away only delays it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Final

import structlog

from forbear.domain.errors import ListUnavailable
from forbear.services.context import Context
from forbear.services.retention import delete_expired

RETENTION_SECONDS: Final = 3600
_RETRY_SECONDS: Final = 10
_log = structlog.get_logger()


async def run_worker(context: Context, stop: asyncio.Event) -> None:
    """Work until `stop` is set."""
    while not stop.is_set():
        try:
            deleted = await delete_expired(context)
            if any(asdict(deleted).values()):
                _log.info("retention", **asdict(deleted))
            pause: float = RETENTION_SECONDS
        except ListUnavailable:
            pause = _RETRY_SECONDS
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue
