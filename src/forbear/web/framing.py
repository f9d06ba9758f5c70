"""What surrounds every page for recipients: its methods, and an answer in words whatever goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from forbear.domain.errors import BrokenToken, KeyNotAtHand, LimitReached, TryAgain
from forbear.web.errors import list_places
from forbear.web.metrics import LIMITS_REACHED, UNKNOWN_KEYS
from forbear.web.rendering import RETRY_AFTER_SECONDS, make_path, render_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
UNSUBSCRIBE: Final = "unsubscribe"
PREFERENCES: Final = "preferences"
CONFIRM: Final = "confirm"
SUBSCRIBE: Final = "subscribe"
SUBSCRIBE_BRAND: Final = "subscribe_brand"
TYPED: Final = "typed_unsubscribe"
_AGAIN: Final = {
    PREFERENCES: "/p/{}",
    CONFIRM: "/c/{}",
    SUBSCRIBE: "/subscribe",
    SUBSCRIBE_BRAND: "/subscribe",
    TYPED: "/unsubscribe",
}
"""Where to try again what a route could not do; elsewhere it is the link's first page."""
_GLOBAL_PRIVACY_CONTROL: Final = "Sec-GPC"
_log = structlog.get_logger()


def add_page(resource: web.Resource, show: Handler, act: Handler) -> None:
    """Route a page: GET and HEAD show it, POST acts, and any other method is refused in words."""
    resource.add_route(hdrs.METH_GET, for_people(show))
    resource.add_route(hdrs.METH_HEAD, for_people(show))
    resource.add_route(hdrs.METH_POST, for_people(act))
    resource.add_route(hdrs.METH_ANY, refuse_method)


def for_people(handle: Handler) -> Handler:
    """Answer every failure of a handler by a page that says what has happened and names another way out."""

    @wraps(handle)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except BrokenToken:
            return _answer_broken(request)
        except LimitReached as error:
            return _answer_limited(request, error)
        except Exception as error:  # noqa: BLE001 - the outermost edge for people: an opt-out not kept is a 503
            return _answer_unavailable(request, error)

    return answer


async def refuse_method(request: web.Request) -> web.Response:
    """Answer a method that a page does not take, such as a reload of the undo page, without doing anything."""
    page = render_page(
        request,
        "wrong_method.html",
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        token=token_of(request),
        again_path=_again_path(request),
    )
    taken = (route.method for route in request.match_info.route.resource or ())
    page.headers[hdrs.ALLOW] = ", ".join(sorted(method for method in taken if method != hdrs.METH_ANY))
    return page


def token_of(request: web.Request) -> str:
    """The token of a request's path, whatever slash a mail program put behind it."""
    return request.match_info.get("token", "").rstrip("/")


def has_signal(request: web.Request) -> bool:
    """Whether the browser sends Global Privacy Control; any other value than 1 is no signal."""
    return request.headers.getall(_GLOBAL_PRIVACY_CONTROL, []) == ["1"]


def is_from_elsewhere(request: web.Request) -> bool:
    """Whether a page of another site made the browser send this form.

    Nobody needs a link for the forms into which an address is typed, so a page could send them from the networks of
    all its visitors. Browsers say where a request comes from (Fetch Metadata); what says nothing is no browser.
    """
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}


def _answer_broken(request: web.Request) -> web.Response:
    """The same page for every kind of breakage; a one-click POST gets 200, as sending it again would not help."""
    is_opt_out = request.method == hdrs.METH_POST and request.match_info.route.name == UNSUBSCRIBE
    return render_page(request, "broken_link.html", status=HTTPStatus.OK if is_opt_out else HTTPStatus.NOT_FOUND)


def _answer_limited(request: web.Request, error: LimitReached) -> web.Response:
    LIMITS_REACHED.labels(error.limit).inc()
    page = render_page(request, "too_many.html", status=HTTPStatus.TOO_MANY_REQUESTS, again_path=_again_path(request))
    page.headers[hdrs.RETRY_AFTER] = str(error.retry_after_seconds)
    return page


def _answer_unavailable(request: web.Request, error: Exception) -> web.Response:
    """Nothing is known to be committed, so nobody is told that it was."""
    route = request.match_info.route.name
    if isinstance(error, KeyNotAtHand):
        UNKNOWN_KEYS.inc()
    if isinstance(error, TryAgain):
        _log.warning("page_unavailable", route=route, error=type(error).__name__)
    else:
        _log.error("unexpected_error", route=route, error=type(error).__name__, places=list_places(error))
    page = render_page(
        request,
        "unavailable.html",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        token=token_of(request),
        is_reading=request.method != hdrs.METH_POST,
        again_path=_again_path(request),
    )
    page.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
    return page


def _again_path(request: web.Request) -> str:
    return make_path(request, _AGAIN.get(request.match_info.route.name or "", "/u/{}"), token_of(request))
