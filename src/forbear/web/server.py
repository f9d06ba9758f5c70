"""Serving the application: aiohttp's server, with our own words where a request never reaches the application.

aiohttp answers what is no HTTP with plain text, and writes what it could not read into its log with a traceback.
Such bytes may hold an address or a token, so here they end as a problem document and as the name of an error.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web

from forbear.web.errors import problem

_log = structlog.get_logger()
LINE_BYTES_MAX: Final = 16 * 1024
"""Longest request line and header line; the longest link of ours takes about 800 bytes."""
_DETAILS: Final = {
    HTTPStatus.BAD_REQUEST: "this is not HTTP as it should be: a line, a header or the framing of the body is wrong",
    HTTPStatus.GATEWAY_TIMEOUT: "the answer took too long",
}


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words may quote what was sent
    ) -> web.StreamResponse:
        """Answer what did not come as far as the application, or what went wrong around it; then close."""
        _log.info("request_refused", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        answer = problem(status, _DETAILS.get(HTTPStatus(status), "something went wrong here; it was written down"))
        answer.force_close()
        return answer

    def log_exception(self, *_words: Any, **how: Any) -> None:
        """Write down which error it was, and nothing of what it says."""
        error = how.get("exc_info")
        # The rest of a body that was refused as unreadable is still unreadable when it is to be passed over.
        if not isinstance(error, web.RequestPayloadError):
            _log.error("unexpected_error", error=type(error).__name__)


@asynccontextmanager
async def serve(app: web.Application, listener: socket.socket, *, shutdown_seconds: float) -> AsyncIterator[None]:
    """Serve an application on a bound socket while the block runs.

    At the end nothing new is accepted; what is under way has half of `shutdown_seconds` to finish, and is then broken
    off visibly.
    """
    # aiohttp waits twice: for handlers to finish, and for cancelled ones to end.
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=shutdown_seconds / 2)
    await runner.setup()
    loop, manager = asyncio.get_running_loop(), runner.server
    if manager is None:
        raise AssertionError("a runner that was set up has a server")

    def make_protocol() -> _Protocol:
        return _Protocol(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None turns it off
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
        )

    server = await loop.create_server(make_protocol, sock=listener, backlog=1024)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()
