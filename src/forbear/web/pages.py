"""The recipients' pages: unsubscribe (/u) and its undo here, the others in modules of their own.

GET and HEAD change nothing, but for Global Privacy Control, which only restricts. A POST has committed before it is
answered, never redirects, and needs nothing but the link: no cookie, no Origin, no Referer (RFC 8058, section 3.1).
Whatever goes wrong is answered by a page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from forbear.domain.errors import BrokenToken, NothingToUndo
from forbear.domain.suppression import Source
from forbear.services import unsubscribe
from forbear.services.unsubscribe import Choice
from forbear.web import confirmations, looks, preferences, subscriptions, typed
from forbear.web.clicks import Body, read_click
from forbear.web.framing import UNSUBSCRIBE, add_page, for_people, has_signal, refuse_method, token_of
from forbear.web.keys import CONTEXT
from forbear.web.metrics import OPT_OUTS
from forbear.web.rendering import RENDERER, accepted_language, make_renderer, render_page, render_text

ONE_CLICK_ANSWER: Final = "You are unsubscribed."
"""The same whether it was done now or before; nobody reads it but machines."""
_KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"
_SIGNAL_SINCE: Final = "2026-11-24"
"""Since when Global Privacy Control is honoured as it is now."""
_log = structlog.get_logger()


def add_pages(app: web.Application) -> None:
    """Add the pages' routes. A token is whatever follows, so that a mangled link is answered like a broken one."""
    app[RENDERER] = make_renderer()
    undo = app.router.add_resource(r"/u/{token:[^/]+}/undo{slash:/?}", name="undo")
    undo.add_route(hdrs.METH_POST, for_people(undo_opt_out))
    undo.add_route(hdrs.METH_ANY, refuse_method)
    links = app.router.add_resource(r"/u/{token:(?s:.*)}", name=UNSUBSCRIBE)
    add_page(links, show_unsubscribe, unsubscribe_now)
    for module in (preferences, confirmations, subscriptions, typed):
        module.add_pages(app)
    looks.add_looks(app)
    app.router.add_get("/static/{file}", send_asset, name="static")
    app.router.add_get("/robots.txt", send_robots, name="robots")
    app.router.add_get("/.well-known/gpc.json", send_signal_support, name="gpc")


async def show_unsubscribe(request: web.Request) -> web.Response:
    """Show whose link it is, what would be left, and one button."""
    token = token_of(request)
    await preferences.honour_signal(request)
    view = await unsubscribe.view_link(request.app[CONTEXT], token, accepted=accepted_language(request))
    return render_page(request, "unsubscribe.html", token=token, view=view, is_signalled=has_signal(request))


async def unsubscribe_now(request: web.Request) -> web.Response:
    """Opt out of the link's list: for a mailbox provider (RFC 8058), or for a person who pressed our button.

    A body that is neither counts as one-click: with a valid link, doubt is decided towards not mailing.
    """
    click = await read_click(request)
    if click.body is Body.MISSING:
        _log.info("body_missing", route=UNSUBSCRIBE)
    source = Source.PAGE if click.body is Body.PAGE else Source.ONE_CLICK
    # Read first, like all that the answer shows: once the opt-out is committed, nothing may fail that would hide it.
    rest = await preferences.list_rest(request) if source is Source.PAGE else ()
    done = await unsubscribe.opt_out(
        request.app[CONTEXT],
        token_of(request),
        Choice.LIST,
        source=source,
        evidence=click.evidence,
        accepted=accepted_language(request),
    )
    OPT_OUTS.labels(source.value).inc()
    return (
        render_text(ONE_CLICK_ANSWER) if source is Source.ONE_CLICK else preferences.show_opt_out(request, done, rest)
    )


async def undo_opt_out(request: web.Request) -> web.Response:
    """Take back what one answer did, with the token that this answer handed out."""
    context, token, accepted = request.app[CONTEXT], token_of(request), accepted_language(request)
    view = await unsubscribe.view_link(context, token, accepted=accepted)
    fields = (await read_click(request)).fields
    try:
        undone = await unsubscribe.undo(context, token, fields.get("undo", ""), accepted=accepted)
    except (NothingToUndo, BrokenToken):
        return render_page(request, "nothing_to_undo.html", status=HTTPStatus.CONFLICT, token=token, view=view)
    return render_page(request, "undone.html", token=token, view=undone.view, undone=undone)


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


async def send_signal_support(_request: web.Request) -> web.Response:
    """Say that Global Privacy Control is honoured, in the form that its specification gives."""
    return web.json_response(
        {"gpc": True, "lastUpdate": _SIGNAL_SINCE}, headers={"Cache-Control": "public, max-age=86400"}
    )
