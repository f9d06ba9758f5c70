"""Confirming (/c): the page behind the link of a message that asks. Looking does nothing; the button does it, once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web

from forbear.services import unsubscribe
from forbear.services.confirmations import Asked, Outcome, confirm, view_confirmation
from forbear.web.clicks import read_click
from forbear.web.framing import CONFIRM, add_page, token_of
from forbear.web.keys import CONTEXT
from forbear.web.rendering import make_path, render_page

_STATUSES: Final = {
    Outcome.DONE: HTTPStatus.OK,
    Outcome.USED: HTTPStatus.OK,
    Outcome.CLOSED: HTTPStatus.GONE,
    Outcome.HELD_BACK: HTTPStatus.TOO_MANY_REQUESTS,
}


def add_pages(app: web.Application) -> None:
    """Add the page's route; a token is whatever follows."""
    add_page(app.router.add_resource(r"/c/{token:(?s:.*)}", name=CONFIRM), show_confirmation, confirm_now)


async def show_confirmation(request: web.Request) -> web.Response:
    """Show what is asked, and one button."""
    token = token_of(request)
    asked = await view_confirmation(request.app[CONTEXT], token)
    if asked.outcome is not None:
        return _show_closed(request, asked)
    return render_page(
        request, "confirm.html", view=asked, asked=asked, confirm_path=make_path(request, "/c/{}", token)
    )


async def confirm_now(request: web.Request) -> web.Response:
    """Do what was asked for, whatever stands in the body: the link is the proof."""
    click = await read_click(request)
    context = request.app[CONTEXT]
    asked = await confirm(context, token_of(request), evidence=click.evidence)
    if asked.outcome is not Outcome.DONE or asked.address is None:
        return _show_closed(request, asked)
    link = unsubscribe.make_link(context, asked.address.raw, asked.scope)
    return render_page(request, "confirmed.html", token=link, view=asked, asked=asked)


def _show_closed(request: web.Request, asked: Asked) -> web.Response:
    outcome = asked.outcome or Outcome.CLOSED
    return render_page(
        request,
        "confirm_closed.html",
        status=_STATUSES[outcome],
        view=asked,
        is_used=outcome is Outcome.USED,
        is_held_back=outcome is Outcome.HELD_BACK,
    )
