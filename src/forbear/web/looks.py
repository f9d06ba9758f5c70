"""How a brand looks on its pages: a stylesheet with its colours, and its logo, both from paths of our own.

The colours stand in the stylesheet's name, so it can be kept for ever and needs no look at the list; a logo's name has
the digest of what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from forbear.domain.errors import InvalidInput, NotFound
from forbear.domain.look import Look, make_look
from forbear.domain.suppression import EVERYTHING
from forbear.services import scopes
from forbear.web.keys import CONTEXT

_KEPT_FOR_EVER: Final = {
    hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    # An SVG that is opened by itself is a document, which may do nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class LookPaths:
    """Where a brand's colours and logo are; None where it has none."""

    stylesheet: str | None
    logo: str | None


def add_looks(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get(r"/looks/{light:[0-9a-f]{6}}-{dark:[0-9a-f]{6}}.css", send_colours, name="look")
    app.router.add_get(r"/logos/{scope:\*|[a-z0-9-]+}/{digest:[0-9a-f]+}", send_logo, name="logo")


def find_look(request: web.Request, scope: str) -> LookPaths:
    """How the brand of a scope looks, as far as the scopes were read: a page that cannot read them has no look.

    A brand without colours takes those of `*`; a logo is that of whom the page speaks for, whose name stands beside it.
    """
    known = request.app[CONTEXT].scope_book.scopes
    house, brand = known.get(EVERYTHING), known.get(scope.partition("/")[0])
    look = (brand and brand.look) or (house and house.look)
    logo = f"/logos/{brand.name}/{brand.logo_digest}" if brand is not None and brand.logo_digest else None
    return LookPaths(name_stylesheet(look) if look else None, logo)


def name_stylesheet(look: Look) -> str:
    """The path of a look's colours."""
    return f"/looks/{look.accent.removeprefix('#')}-{look.accent_dark.removeprefix('#')}.css"


async def send_colours(request: web.Request) -> web.Response:
    """Send a stylesheet with two accent colours, if they can be read on the pages."""
    try:
        look = make_look(f"#{request.match_info['light']}", f"#{request.match_info['dark']}")
    except InvalidInput as error:
        raise web.HTTPNotFound from error
    css = (
        f":root {{ --accent: {look.accent}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {look.accent_dark}; }} }}\n"
        "@media print { :root { --accent: #000; } }\n"
    )
    return web.Response(text=css, content_type="text/css", charset="utf-8", headers=_KEPT_FOR_EVER)


async def send_logo(request: web.Request) -> web.Response:
    """Send a brand's logo as it is now; another one has another name."""
    try:
        logo, digest = await scopes.get_logo(request.app[CONTEXT], request.match_info["scope"])
    except NotFound as error:
        raise web.HTTPNotFound from error
    if digest != request.match_info["digest"]:
        raise web.HTTPNotFound
    return web.Response(body=logo.content, content_type=logo.media_type, headers=_KEPT_FOR_EVER)
