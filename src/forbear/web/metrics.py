"""What Prometheus may read, on a listener of its own. No label ever holds an address or a token."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from forbear.domain.errors import ListUnavailable
from forbear.services.context import Context
from forbear.services.outbox import view_outbox
from forbear.store.outbox import MessageStatus

REQUESTS: Final = Counter("forbear_http_requests", "HTTP requests answered.", ["route", "method", "status"])
REQUEST_SECONDS: Final = Histogram("forbear_http_request_seconds", "Time to answer an HTTP request.", ["route"])
OPT_OUTS: Final = Counter("forbear_opt_outs", "Opt-outs committed from recipients' links.", ["source"])
UNKNOWN_KEYS: Final = Counter("forbear_unknown_keys", "Links refused because their key is not at hand: an alarm.")
LIMITS_REACHED: Final = Counter("forbear_limits_reached", "Requests refused because of a limit.", ["limit"])
MESSAGES: Final = Gauge("forbear_messages", "Messages of the outbox.", ["status"])
OLDEST_MESSAGE: Final = Gauge("forbear_oldest_message_seconds", "How long the oldest message that is due waits.")


@cache
def _find_counters(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, status), REQUEST_SECONDS.labels(route)


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    requests, times = _find_counters(route, method, status)
    requests.inc()
    times.observe(seconds)


def make_metrics_app(context: Context) -> web.Application:
    """The application of the metrics listener. What is in the outbox is counted when it is asked for."""

    async def show(_request: web.Request) -> web.Response:
        with suppress(ListUnavailable):
            await _measure_outbox(context)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", show, name="metrics")
    return app


async def _measure_outbox(context: Context) -> None:
    view = await view_outbox(context)
    for status in MessageStatus:
        MESSAGES.labels(status.value).set(view.counts.get(status, 0))
    oldest = view.oldest_waiting
    OLDEST_MESSAGE.set(0 if oldest is None else max(0.0, (context.now() - oldest).total_seconds()))
