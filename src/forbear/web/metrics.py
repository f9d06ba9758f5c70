"""What Prometheus may read, on a listener of its own. No label ever holds an address or a token."""

from __future__ import annotations

from functools import cache
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

REQUESTS: Final = Counter("forbear_http_requests", "HTTP requests answered.", ["route", "method", "status"])
REQUEST_SECONDS: Final = Histogram("forbear_http_request_seconds", "Time to answer an HTTP request.", ["route"])
OPT_OUTS: Final = Counter("forbear_opt_outs", "Opt-outs committed from recipients' links.", ["source"])
UNKNOWN_KEYS: Final = Counter("forbear_unknown_keys", "Links refused because their key is not at hand: an alarm.")


@cache
def _find_counters(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, status), REQUEST_SECONDS.labels(route)


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    requests, times = _find_counters(route, method, status)
    requests.inc()
    times.observe(seconds)


def make_metrics_app() -> web.Application:
    """The application of the metrics listener."""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", show, name="metrics")
    return app
