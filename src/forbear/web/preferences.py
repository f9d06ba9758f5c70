"""The preference centre (/p): what a link's holder may be sent and to whom their details may be given."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import hdrs, web

from forbear.domain.errors import InvalidAddress
from forbear.domain.suppression import Source
from forbear.services import preferences, unsubscribe
from forbear.services.preferences import Box, Given
from forbear.services.unsubscribe import Choice, OptOut
from forbear.web.clicks import Body, Click, note_origin, read_click
from forbear.web.framing import PREFERENCES, add_page, has_signal, token_of
from forbear.web.keys import CONTEXT
from forbear.web.metrics import OPT_OUTS
from forbear.web.rendering import accepted_language, render_page


def add_pages(app: web.Application) -> None:
    """Add the page's route; a token is whatever follows."""
    add_page(app.router.add_resource(r"/p/{token:(?s:.*)}", name=PREFERENCES), show_preferences, choose)


async def show_preferences(request: web.Request) -> web.Response:
    """Show what may be sent to the link's holder; nothing changes, but for Global Privacy Control."""
    await honour_signal(request)
    return await _show_page(request)


async def choose(request: web.Request) -> web.Response:
    """Apply what a form of the page says: stop everything, or what was taken off and ticked."""
    click = await read_click(request)
    await honour_signal(request)
    match click.fields.get("choice"):
        case "list" | "everything" as choice:
            return await _opt_out(request, Choice(choice), click)
        case "rest":
            return await _stop_rest(request, click)
        case "save" if {"on", "off"} & click.fields.keys():
            return await _save(request, click)
        case _:
            return await _show_page(request, is_missing=True)


async def honour_signal(request: web.Request) -> None:
    """Record Global Privacy Control for the link's holder; a look ahead by HEAD records nothing."""
    if has_signal(request) and request.method != hdrs.METH_HEAD:
        evidence = note_origin(request)
        await preferences.honour_signal(request.app[CONTEXT], token_of(request), evidence=evidence)


async def list_rest(request: web.Request) -> tuple[Box, ...]:
    """What else may be sent to the link's holder."""
    context, accepted = request.app[CONTEXT], accepted_language(request)
    return await preferences.list_rest(context, token_of(request), accepted=accepted)


def show_opt_out(request: web.Request, done: OptOut, rest: tuple[Box, ...] = ()) -> web.Response:
    """Say what an opt-out did, and offer to take it back or to stop more: other topics, everything."""
    return render_page(request, "opted_out.html", token=token_of(request), view=done.view, done=done, rest=rest)


async def _opt_out(request: web.Request, choice: Choice, click: Click) -> web.Response:
    done = await unsubscribe.opt_out(
        request.app[CONTEXT],
        token_of(request),
        choice,
        source=Source.PREFERENCES,
        evidence=_evidence_of(click),
        accepted=accepted_language(request),
    )
    OPT_OUTS.labels(Source.PREFERENCES.value).inc()
    return show_opt_out(request, done)


async def _stop_rest(request: web.Request, click: Click) -> web.Response:
    view, others = await preferences.stop_rest(
        request.app[CONTEXT], token_of(request), evidence=_evidence_of(click), accepted=accepted_language(request)
    )
    OPT_OUTS.labels(Source.PREFERENCES.value).inc(len(others))
    return render_page(request, "rest_stopped.html", token=token_of(request), view=view, others=others)


async def _save(request: web.Request, click: Click) -> web.Response:
    context, token = request.app[CONTEXT], token_of(request)
    given, evidence = _read_choices(click), _evidence_of(click)
    try:
        chosen = await preferences.choose(context, token, given, evidence=evidence, accepted=accepted_language(request))
    except InvalidAddress:
        return await _show_page(request, is_address_bad=True)
    OPT_OUTS.labels(Source.PREFERENCES.value).inc(len(chosen.stopped))
    return render_page(request, "saved.html", token=token, view=chosen.view, chosen=chosen)


def _read_choices(click: Click) -> Given:
    fields = click.fields
    return Given(
        shown_on=frozenset(fields.get("on", "").split()),
        shown_off=frozenset(fields.get("off", "").split()),
        ticked=frozenset(name for name in fields if ":" in name),
        new_address=fields.get("new_email", "").strip(),
    )


def _evidence_of(click: Click) -> dict[str, object]:
    return {**click.evidence, "body": Body.PAGE.value}


async def _show_page(request: web.Request, *, is_missing: bool = False, is_address_bad: bool = False) -> web.Response:
    token = token_of(request)
    page = await preferences.view_preferences(
        request.app[CONTEXT], token, accepted=accepted_language(request), is_signalled=has_signal(request)
    )
    return render_page(
        request,
        "preferences.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if is_missing or is_address_bad else HTTPStatus.OK,
        token=token,
        view=page.view,
        page=page,
        is_missing=is_missing,
        is_address_bad=is_address_bad,
    )
