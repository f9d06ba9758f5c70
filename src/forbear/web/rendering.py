"""The recipients' pages as responses: templates, headers, and the two files of our own that they load.

Every sentence that a recipient reads stands in a template. Nothing here comes from a request's Host: links begin
with the path of the configured public URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2s
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import jinja2
from aiohttp import web

from forbear.web.keys import CONTEXT, OPTIONS

RETRY_AFTER_SECONDS: Final = 120
"""When to come back to a page that could not be shown; mailbox providers repeat a one-click POST at their own pace."""
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
_HERE: Final = Path(__file__).parent
_TYPES: Final = {".css": "text/css", ".svg": "image/svg+xml"}
_STYLESHEET: Final = "pages.css"
_ICON: Final = "favicon.svg"
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()./-]{4,}[0-9]")
_MAIL: Final = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load; its name changes with its content, so that it may be kept for ever."""

    name: str
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Renderer:
    """The templates, and the files that pages load by their names in `static`."""

    templates: jinja2.Environment
    assets: dict[str, Asset]

    def find_asset(self, name: str) -> Asset | None:
        """The file of this public name."""
        return next((asset for asset in self.assets.values() if asset.name == name), None)


RENDERER: Final = web.AppKey("renderer", Renderer)


def make_renderer() -> Renderer:
    """Read the templates and files that ship with the program."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return Renderer(templates, {name: _read_asset(_HERE / "static" / name) for name in (_STYLESHEET, _ICON)})


def render_page(
    request: web.Request, template: str, *, status: int = HTTPStatus.OK, token: str = "", **values: object
) -> web.Response:
    """Answer with a page; `token` gives it its links. No answer sets a cookie or may be kept."""
    renderer, contact = request.app[RENDERER], request.app[OPTIONS].contact
    options = request.app[CONTEXT].options
    base, safe_token = urlsplit(options.public_url).path.rstrip("/"), quote(token, safe="", errors="replace")
    html = renderer.templates.get_template(template).render(
        {
            "view": None,
            "stylesheet": f"{base}/static/{renderer.assets[_STYLESHEET].name}",
            "icon": f"{base}/static/{renderer.assets[_ICON].name}",
            "unsubscribe_path": f"{base}/u/{safe_token}",
            "undo_path": f"{base}/u/{safe_token}/undo",
            "preferences_path": f"{base}/p/{safe_token}",
            "undo_minutes": int(options.undo_window.total_seconds() // 60),
            "contact": contact,
            "contact_href": contact and find_href(contact),
            **values,
        }
    )
    return web.Response(
        status=status,
        text=html,
        content_type="text/html",
        charset="utf-8",
        headers=PAGE_HEADERS | {"Content-Language": "en"},
    )


def render_text(text: str) -> web.Response:
    """Answer a machine in one plain line, under the same headers."""
    return web.Response(text=f"{text}\n", content_type="text/plain", charset="utf-8", headers=PAGE_HEADERS)


def find_href(contact: str) -> str | None:
    """What a contact links to: an e-mail address or a phone number; nothing where it is a postal address."""
    if _MAIL.fullmatch(contact):
        return f"mailto:{quote(contact, safe='@+')}"
    if _PHONE.fullmatch(contact):
        return "tel:" + re.sub(r"[^0-9+]", "", contact)
    return None


def _read_asset(path: Path) -> Asset:
    body = path.read_bytes()
    digest = blake2s(body, digest_size=5).hexdigest()
    return Asset(f"{path.stem}.{digest}{path.suffix}", body, _TYPES[path.suffix])
