"""A list in and its rows out over one HTTP request, at the pace of whoever is slower.

The request body is read to its end whatever happens, because most clients read nothing before they have sent it.
Trouble before the first row is a problem document; later the chunked body ends without its last chunk, so that no
client can take a part for the whole, and the record of the scrub says what happened. What came through a proxy is
answered once the whole list has been decided, because most proxies carry one direction at a time; so is what comes
from a client that is known to stop sending.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from forbear.domain.errors import ForbearError, InvalidInput, ListUnavailable
from forbear.index.list_formats import ListFormat
from forbear.services.scrub import Scrub
from forbear.services.scrub_rows import Output
from forbear.web.errors import UNREADABLE_BODY, from_error, problem
from forbear.web.keys import OPTIONS
from forbear.web.spool import Spool

_log = structlog.get_logger()
CSV: Final = "text/csv"
_DRAIN_BYTES: Final = 64 * 1024**3
"""How much of a refused list is read on, so that its sender gets to see why."""
_RECORD_AGAIN_SECONDS: Final = 1.0
_PROXY_HEADERS: Final = ("Forwarded", "Via", "X-Forwarded-For")
"""What proxies add. nginx, for one, sends on no more of a request once its answer has begun."""
_SENDS_FIRST: Final = "aiohttp/"
"""A client, by its User-Agent, that closes the file it sends as soon as an answer begins (aiohttp 3.12 to 3.14)."""


@dataclass(slots=True)
class ScrubsUnderWay:
    """Scrubs of this process: how many run, and the ends that are still to be recorded."""

    running: int = 0
    unrecorded: set[asyncio.Task[None]] = field(default_factory=set)


SCRUBS_UNDER_WAY: Final = web.AppKey("scrubs_under_way", ScrubsUnderWay)


async def keep_scrubs(app: web.Application) -> AsyncIterator[None]:
    """Count the application's scrubs while it is served."""
    app[SCRUBS_UNDER_WAY] = under_way = ScrubsUnderWay()
    yield
    for task in under_way.unrecorded:
        task.cancel()


async def stream(request: web.Request, run: Scrub) -> web.StreamResponse:
    """Run a scrub over the request's body and answer with its rows."""
    with Spool(request.app[OPTIONS].scrub_spill_bytes_max) as spool:

        async def put(output: Output) -> None:
            if request.transport is None:
                # Nothing else tells, once all of the list has been read and before any of the answer is written.
                raise ConnectionResetError("the client went away")
            await spool.put(output.rows)

        async def work() -> None:
            try:
                await run.run(_read_body(request), put)
            except Exception:
                spool.close()
                # Its sender may read nothing before all is sent, so that neither would get any further.
                await drain(request)
                raise
            finally:
                spool.close()

        task = asyncio.create_task(work())
        try:
            return await _answer(request, run, task, spool)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not run.is_recorded:
                _record_later(request.app[SCRUBS_UNDER_WAY], run)


async def drain(request: web.Request) -> None:
    """Read on to the end of the body, so that a client which is still sending gets to read the answer."""
    read = 0
    with suppress(Exception):
        async for chunk in _read_body(request):
            read += len(chunk)
            if read > _DRAIN_BYTES:
                return


async def _answer(request: web.Request, run: Scrub, task: asyncio.Task[None], spool: Spool) -> web.StreamResponse:
    """Send rows as they are decided; nothing is sent before the first of them is, through a proxy before all are."""
    if _sends_before_it_reads(request):
        await asyncio.wait([task])
    data = b"" if _has_failed(task) else await spool.take()
    if not data:
        try:
            await task
        except ForbearError as error:
            refusal = from_error(error, request.path)
            refusal.headers["Scrub-Id"] = str(run.id)
            return refusal
        except TimeoutError:
            return problem(HTTPStatus.REQUEST_TIMEOUT, "no more of the list came", instance=request.path)
    response = _begin(request, run)
    await response.prepare(request)
    try:
        while data:
            async with asyncio.timeout(request.app[OPTIONS].scrub_idle_seconds):
                await response.write(data)
            data = await spool.take()
        await task
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, the answer must end without its last chunk
        _log.warning("scrub_failed", scrub=str(run.id), error=type(error).__name__)
        _cut(request)
        return response
    await response.write_eof()
    return response


def _sends_before_it_reads(request: web.Request) -> bool:
    """Whether an answer that begins early would keep the rest of the list from coming."""
    is_proxied = any(name in request.headers for name in _PROXY_HEADERS)
    return is_proxied or _SENDS_FIRST in request.headers.get(hdrs.USER_AGENT, "")


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _begin(request: web.Request, run: Scrub) -> web.StreamResponse:
    # Rows come out byte for byte as they went in, so their encoding is the sender's.
    charset = f"; charset={request.charset}" if request.charset else ""
    response = web.StreamResponse(
        headers={
            "Content-Type": (CSV if run.options.format is ListFormat.CSV else request.content_type) + charset,
            "Cache-Control": "no-store",
            "Scrub-Id": str(run.id),
            "X-Accel-Buffering": "no",
        }
    )
    response.enable_chunked_encoding()
    return response


def _cut(request: web.Request) -> None:
    """End the connection without the last chunk: the answer is visibly incomplete."""
    if request.transport is not None:
        request.transport.abort()


async def _read_body(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises `TimeoutError` when nothing has come for too long."""
    idle_seconds = request.app[OPTIONS].scrub_idle_seconds
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await request.content.readany()
        except web.RequestPayloadError as error:
            raise InvalidInput(UNREADABLE_BODY) from error
        if not chunk:
            return
        yield chunk


def _record_later(under_way: ScrubsUnderWay, run: Scrub) -> None:
    """Go on trying to record how a scrub ended: the list was away, and a record that says `running` would lie."""
    task = asyncio.create_task(_record(run))
    under_way.unrecorded.add(task)
    task.add_done_callback(under_way.unrecorded.discard)


async def _record(run: Scrub) -> None:
    while not run.is_recorded:
        await asyncio.sleep(_RECORD_AGAIN_SECONDS)
        with suppress(ListUnavailable):
            await run.record_end()
