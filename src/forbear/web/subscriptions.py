"""Signing up: /subscribe and /subscribe/BRAND for people, POST /v1/subscriptions for shops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus

from aiohttp import web

from forbear.domain.address import parse_address
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.suppression import EVERYTHING, Channel, Source
from forbear.language import choose_language
from forbear.services import scopes
from forbear.services.api_keys import Permission, require_reach
from forbear.services.preferences import Box, Brand
from forbear.services.subscriptions import Subscription, list_offers, subscribe, subscribe_publicly
from forbear.web.api import Call, Operation
from forbear.web.clicks import Click, read_click
from forbear.web.framing import SUBSCRIBE, SUBSCRIBE_BRAND, add_page, is_from_elsewhere
from forbear.web.keys import CONTEXT
from forbear.web.rendering import accepted_language, make_path, render_page
from forbear.web.subscription_models import SubscriptionRequest, SubscriptionResponse

_ON = "email:"
"""What the name of a box begins with, before its scope."""


@dataclass(frozen=True, slots=True)
class FormView:
    """What a form says about itself: the brand that it is of, if it is of one."""

    brand: str
    scope: str


def add_pages(app: web.Application) -> None:
    """Add the pages' routes: one for all brands, one for each."""
    add_page(app.router.add_resource("/subscribe", name=SUBSCRIBE), show_form, subscribe_now)
    add_page(app.router.add_resource("/subscribe/{brand:[a-z0-9-]+}", name=SUBSCRIBE_BRAND), show_form, subscribe_now)


async def show_form(request: web.Request) -> web.Response:
    """Show what is offered."""
    return await _render_form(request)


async def subscribe_now(request: web.Request) -> web.Response:
    """Ask the typed address; the same answer whether or not anybody knows it."""
    click = await read_click(request)
    if is_from_elsewhere(request):
        return await _render_form(request, click, fault="elsewhere")
    names = [name.removeprefix(_ON) for name in click.fields if name.startswith(_ON)]
    if not names:
        return await _render_form(request, click, fault="choice")
    ip = click.evidence["ip"]
    try:
        wanted = Subscription(
            parse_address(click.fields.get("email", "")),
            names,
            accepted_language(request),
            evidence=click.evidence,
        )
        await subscribe_publicly(request.app[CONTEXT], wanted, ip=ip if isinstance(ip, str) else None)
    except InvalidAddress:
        return await _render_form(request, click, fault="address")
    except InvalidInput:
        return await _render_form(request, click, fault="choice")
    return render_page(request, "asked.html", view=(await _view_brand(request))[0])


async def _render_form(request: web.Request, click: Click | None = None, *, fault: str = "") -> web.Response:
    view, brands = await _view_brand(request, click)
    return render_page(
        request,
        "subscribe.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        view=view,
        brands=brands,
        fault=fault,
        given_address=click.fields.get("email", "") if click else "",
        subscribe_path=make_path(request, "/subscribe" if view.scope == EVERYTHING else f"/subscribe/{view.scope}"),
    )


async def _view_brand(request: web.Request, click: Click | None = None) -> tuple[FormView, list[Brand]]:
    """What is offered, of the brand that the path names or of all."""
    language, name = accepted_language(request), request.match_info.get("brand", EVERYTHING)
    known = await scopes.find_scopes(request.app[CONTEXT])
    offers = list_offers(known, name)
    if not offers:
        name, offers = EVERYTHING, list_offers(known)
    boxes = [
        Brand(scopes.title_of(brand, language), tuple(_make_box(scope, language, click) for scope in own))
        for brand, own in offers
    ]
    return FormView("" if name == EVERYTHING else scopes.title_of(known[name], language), name), boxes


def _make_box(scope: scopes.Scope, language: str, click: Click | None) -> Box:
    key = f"{_ON}{scope.name}"
    is_on = click is not None and key in click.fields
    words = scopes.title_of(scope, language), scopes.description_of(scope, language)
    return Box(key, *words, is_on=is_on, channel=Channel.EMAIL)


async def add_subscription(call: Call, body: SubscriptionRequest) -> Mapping[str, object]:
    """Ask an address whether it wants to receive something; only its answer makes a grant."""
    for scope in body.scopes:
        require_reach(call.key, scope)
    wanted = Subscription(
        parse_address(body.address),
        body.scopes,
        choose_language(body.language),
        source=Source.API,
        origin=body.origin,
        wording_version=body.wording_version,
        evidence={**body.evidence, "api_key": call.key.id},
    )
    await subscribe(call.context, wanted)
    return {"status": "asked"}


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/subscriptions",
        "add_subscription",
        "Ask an address to confirm that it wants to receive something",
        Permission.SUBSCRIBE,
        add_subscription,
        SubscriptionRequest,
        SubscriptionResponse,
        status=HTTPStatus.ACCEPTED,
        description="The address gets a message with a link; the button behind it makes the grants, and nothing else "
        "does. The answer is the same whether or not the address is known, and for an address that was asked a moment "
        "ago.",
    ),
)
