"""The recipients' pages: unsubscribe (/u), its undo, and the choice between this list and everything (/p).

GET and HEAD change nothing. A POST has committed before it is answered, never redirects, and needs nothing but the
link: no cookie, no Origin, no Referer (RFC 8058, section 3.1). Whatever goes wrong is answered by a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from forbear.domain.errors import BrokenToken, KeyNotAtHand, NothingToUndo, TryAgain
from forbear.domain.suppression import Source
from forbear.services import unsubscribe
from forbear.services.unsubscribe import Choice, OptOut
from forbear.web.clicks import Body, read_click
from forbear.web.errors import list_places
from forbear.web.keys import CONTEXT
from forbear.web.metrics import OPT_OUTS, UNKNOWN_KEYS
from forbear.web.rendering import (
    RENDERER,
    RETRY_AFTER_SECONDS,
    accepted_language,
    make_path,
    make_renderer,
    render_page,
    render_text,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ONE_CLICK_ANSWER: Final = "You are unsubscribed."
"""The same whether it was done now or before; nobody reads it but machines."""
UNSUBSCRIBE: Final = "unsubscribe"
PREFERENCES: Final = "preferences"
_AGAIN: Final = {PREFERENCES: "/p/{}"}
"""Where to try again what a route could not do; elsewhere it is the link's first page."""
_KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"
_log = structlog.get_logger()


def add_pages(app: web.Application) -> None:
    """Add the pages' routes. A token is whatever follows, so that a mangled link is answered like a broken one."""
    app[RENDERER] = make_renderer()
    undo = app.router.add_resource(r"/u/{token:[^/]+}/undo{slash:/?}", name="undo")
    undo.add_route(hdrs.METH_POST, _for_people(undo_opt_out))
    undo.add_route(hdrs.METH_ANY, refuse_method)
    links = app.router.add_resource(r"/u/{token:(?s:.*)}", name=UNSUBSCRIBE)
    _add_page(links, show_unsubscribe, unsubscribe_now)
    choices = app.router.add_resource(r"/p/{token:(?s:.*)}", name=PREFERENCES)
    _add_page(choices, show_preferences, choose)
    app.router.add_get("/static/{file}", send_asset, name="static")
    app.router.add_get("/robots.txt", send_robots, name="robots")


async def show_unsubscribe(request: web.Request) -> web.Response:
    """Show whose link it is, what would be left, and one button."""
    token = _token_of(request)
    view = await unsubscribe.view_link(request.app[CONTEXT], token, accepted=accepted_language(request))
    return render_page(request, "unsubscribe.html", token=token, view=view)


async def unsubscribe_now(request: web.Request) -> web.Response:
    """Opt out of the link's list: for a mailbox provider (RFC 8058), or for a person who pressed our button.

    A body that is neither counts as one-click: with a valid link, doubt is decided towards not mailing.
    """
    click = await read_click(request)
    if click.body is Body.MISSING:
        _log.info("body_missing", route=UNSUBSCRIBE)
    source = Source.PAGE if click.body is Body.PAGE else Source.ONE_CLICK
    done = await _opt_out(request, Choice.LIST, source, click.evidence)
    return render_text(ONE_CLICK_ANSWER) if source is Source.ONE_CLICK else _show_opt_out(request, done)


async def undo_opt_out(request: web.Request) -> web.Response:
    """Take back what one answer did, with the token that this answer handed out."""
    context, token = request.app[CONTEXT], _token_of(request)
    accepted = accepted_language(request)
    view = await unsubscribe.view_link(context, token, accepted=accepted)
    fields = (await read_click(request)).fields
    try:
        undone = await unsubscribe.undo(context, token, fields.get("undo", ""), accepted=accepted)
    except (NothingToUndo, BrokenToken):
        return render_page(request, "nothing_to_undo.html", status=HTTPStatus.CONFLICT, token=token, view=view)
    return render_page(request, "undone.html", token=token, view=undone.view, undone=undone)


async def show_preferences(request: web.Request) -> web.Response:
    """Show the two choices: this list, or everything."""
    return await _ask_for_choice(request, is_missing=False)


async def choose(request: web.Request) -> web.Response:
    """Apply the choice made on the preferences page."""
    click = await read_click(request)
    try:
        choice = Choice(click.fields.get("choice", ""))
    except ValueError:
        return await _ask_for_choice(request, is_missing=True)
    evidence = {**click.evidence, "body": Body.PAGE.value}
    return _show_opt_out(request, await _opt_out(request, choice, Source.PREFERENCES, evidence))


async def _opt_out(request: web.Request, choice: Choice, source: Source, evidence: Mapping[str, object]) -> OptOut:
    context, accepted = request.app[CONTEXT], accepted_language(request)
    done = await unsubscribe.opt_out(
        context, _token_of(request), choice, source=source, evidence=evidence, accepted=accepted
    )
    OPT_OUTS.labels(source.value).inc()
    return done


def _show_opt_out(request: web.Request, done: OptOut) -> web.Response:
    return render_page(request, "opted_out.html", token=_token_of(request), view=done.view, done=done)


async def _ask_for_choice(request: web.Request, *, is_missing: bool) -> web.Response:
    token = _token_of(request)
    view = await unsubscribe.view_link(request.app[CONTEXT], token, accepted=accepted_language(request))
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_missing else HTTPStatus.OK
    return render_page(request, "preferences.html", status=status, token=token, view=view, is_missing=is_missing)


async def refuse_method(request: web.Request) -> web.Response:
    """Answer a method that a page does not take, such as a reload of the undo page, without doing anything."""
    page = render_page(request, "wrong_method.html", status=HTTPStatus.METHOD_NOT_ALLOWED, token=_token_of(request))
    taken = (route.method for route in request.match_info.route.resource or ())
    page.headers[hdrs.ALLOW] = ", ".join(sorted(method for method in taken if method != hdrs.METH_ANY))
    return page


async def send_asset(request: web.Request) -> web.Response:
    """Send a file that pages load; it is known by name, nothing is looked up on disk."""
    asset = request.app[RENDERER].find_asset(request.match_info["file"])
    if asset is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": _KEPT_FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)


async def send_robots(_request: web.Request) -> web.Response:
    """Ask crawlers to stay away: links are personal."""
    return web.Response(text="User-agent: *\nDisallow: /\n", headers={"Cache-Control": "public, max-age=86400"})


def _add_page(resource: web.Resource, show: Handler, act: Handler) -> None:
    resource.add_route(hdrs.METH_GET, _for_people(show))
    resource.add_route(hdrs.METH_HEAD, _for_people(show))
    resource.add_route(hdrs.METH_POST, _for_people(act))
    resource.add_route(hdrs.METH_ANY, refuse_method)


def _for_people(handle: Handler) -> Handler:
    """Answer every failure of a handler by a page that says what has happened and names another way out."""

    @wraps(handle)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except BrokenToken:
            return _answer_broken(request)
        except Exception as error:  # noqa: BLE001 - the outermost edge for people: an opt-out not kept is a 503
            return _answer_unavailable(request, error)

    return answer


def _answer_broken(request: web.Request) -> web.Response:
    """The same page for every kind of breakage; a one-click POST gets 200, as sending it again would not help."""
    is_opt_out = request.method == hdrs.METH_POST and request.match_info.route.name == UNSUBSCRIBE
    return render_page(request, "broken_link.html", status=HTTPStatus.OK if is_opt_out else HTTPStatus.NOT_FOUND)


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
        token=_token_of(request),
        is_reading=request.method != hdrs.METH_POST,
        again_path=make_path(request, _AGAIN.get(route or "", "/u/{}"), _token_of(request)),
    )
    page.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
    return page


def _token_of(request: web.Request) -> str:
    return request.match_info["token"].rstrip("/")
