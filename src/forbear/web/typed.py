"""Unsubscribing by a typed address (/unsubscribe): one page, one field, one button; no login, no question."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from forbear.domain.errors import InvalidAddress
from forbear.domain.suppression import Source
from forbear.services.typed_unsubscribe import unsubscribe_typed
from forbear.web.clicks import Body, read_click
from forbear.web.framing import TYPED, add_page, is_from_elsewhere
from forbear.web.keys import CONTEXT
from forbear.web.metrics import OPT_OUTS
from forbear.web.rendering import render_page


def add_pages(app: web.Application) -> None:
    """Add the page's route."""
    add_page(app.router.add_resource("/unsubscribe", name=TYPED), show_form, unsubscribe_now)


async def show_form(request: web.Request) -> web.Response:
    """Show the form; an address that stood in the URL is not looked at."""
    return _render_form(request)


async def unsubscribe_now(request: web.Request) -> web.Response:
    """Opt the typed address out; the same answer whether or not anybody knows it."""
    click = await read_click(request)
    address = click.fields.get("email", "")
    if is_from_elsewhere(request):
        return _render_form(request, fault="elsewhere", given_address=address)
    ip = click.evidence["ip"]
    try:
        await unsubscribe_typed(
            request.app[CONTEXT],
            address,
            ip=ip if isinstance(ip, str) else None,
            evidence={**click.evidence, "body": Body.PAGE.value},
        )
    except InvalidAddress:
        return _render_form(request, fault="address", given_address=address)
    OPT_OUTS.labels(Source.TYPED.value).inc()
    return render_page(request, "typed_done.html")


def _render_form(request: web.Request, *, fault: str = "", given_address: str = "") -> web.Response:
    return render_page(
        request,
        "typed.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        fault=fault,
        given_address=given_address,
    )
