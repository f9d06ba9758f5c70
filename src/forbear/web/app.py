"""The web application: routes, and what surrounds every request."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from pydantic import ValidationError

from forbear.domain.errors import ForbearError, LimitReached, ListUnavailable
from forbear.services.context import Context
from forbear.web import (
    changes,
    check,
    consents,
    contacts,
    intake,
    links,
    pages,
    parties,
    scopes,
    scrub_stream,
    scrubs,
    subscriptions,
    suppressions,
)
from forbear.web.api import KEY_CACHE, KeyCache, add_operation, json_response
from forbear.web.docs import add_docs
from forbear.web.errors import UNREADABLE_BODY, from_error, from_framework, from_validation, list_places, problem
from forbear.web.keys import CONTEXT, OPTIONS, WebOptions
from forbear.web.metrics import LIMITS_REACHED, count_request

_log = structlog.get_logger()
OPERATIONS: Final = (
    *check.OPERATIONS,
    *scrubs.OPERATIONS,
    *suppressions.OPERATIONS,
    *links.OPERATIONS,
    *changes.OPERATIONS,
    *intake.OPERATIONS,
    *contacts.OPERATIONS,
    *consents.OPERATIONS,
    *subscriptions.OPERATIONS,
    *scopes.OPERATIONS,
    *parties.OPERATIONS,
)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(context: Context, options: WebOptions) -> web.Application:
    """The application, ready to be served."""
    app = web.Application(middlewares=[_observe, _translate_errors], client_max_size=options.json_body_bytes_max)
    app[CONTEXT] = context
    app[OPTIONS] = options
    app[KEY_CACHE] = KeyCache()
    app.cleanup_ctx.append(scrub_stream.keep_scrubs)
    changes.add_waiting(app)
    for operation in OPERATIONS:
        add_operation(app, operation)
    add_docs(app, OPERATIONS, context.options.public_url)
    pages.add_pages(app)
    app.router.add_get("/livez", _livez, name="livez")
    app.router.add_get("/readyz", _readyz, name="readyz")
    return app


async def _livez(_request: web.Request) -> web.Response:
    """The process runs."""
    return json_response({"status": "alive"})


async def _readyz(request: web.Request) -> web.Response:
    """The list can be asked, as every decision asks it first; 503 while it cannot, on a standby or unadopted too.

    `"engine": "missing"` says that decisions ask PostgreSQL itself meanwhile: they are as right, and slower.
    """
    standings = request.app[CONTEXT].standings
    await standings.catch_up()
    return json_response({"status": "ready"} if standings.engine else {"status": "ready", "engine": "missing"})


@web.middleware
async def _observe(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Give the request an id, count it, and write one line about it: its route's name, never its path."""
    started = time.monotonic()
    request_id = secrets.token_hex(8)
    route = request.match_info.route.name or "unknown"
    status = 499
    structlog.contextvars.bind_contextvars(request_id=request_id)
    try:
        response = await handler(request)
        status = response.status
        if not response.prepared:
            response.headers["Request-Id"] = request_id
        return response
    finally:
        seconds = time.monotonic() - started
        count_request(route, request.method if request.method in _METHODS else "other", status, seconds)
        _log.info("request", route=route, status=status, milliseconds=round(seconds * 1000, 1))
        structlog.contextvars.unbind_contextvars("request_id", "api_key")


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


@web.middleware
async def _translate_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer every refusal as a problem document; what nobody expected is a 500 without its text."""
    instance = request.path if request.match_info.route.name in _NAMED_PATHS else None
    try:
        return await handler(request)
    except ForbearError as error:
        if isinstance(error, ListUnavailable):
            _log.warning("list_unavailable", route=request.match_info.route.name)
        if isinstance(error, LimitReached):
            LIMITS_REACHED.labels(error.limit).inc()
        return from_error(error, instance)
    except ValidationError as error:
        return from_validation(error, instance)
    except web.HTTPException as error:
        return from_framework(error, instance)
    except web.RequestPayloadError:
        return problem(HTTPStatus.BAD_REQUEST, UNREADABLE_BODY, instance=instance)
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a request
        # What an error says may quote an address, so it is told by its kind and by the places it came through.
        _log.error("unexpected_error", error=type(error).__name__, places=list_places(error))
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; it was written down", instance=instance
        )


_NAMED_PATHS: Final = frozenset(operation.name for operation in OPERATIONS)
