"""The recipients' pages as responses: templates, headers, and the two files of our own that they load.

Every sentence that a recipient reads stands in a template, and in the catalogue of each language. Nothing here comes
from a request's Host: links begin with the path of the configured public URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import blake2s
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import jinja2
from aiohttp import hdrs, web

from forbear.domain.suppression import EVERYTHING
from forbear.language import LANGUAGES, choose_language, format_date, translations_for
from forbear.web.keys import CONTEXT, OPTIONS
from forbear.web.looks import LookPaths, find_look

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
    "Vary": "Accept-Language, Sec-GPC",
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
    """The templates by language, and the files that pages load by their names in `static`."""

    templates: dict[str, jinja2.Environment]
    assets: dict[str, Asset]

    def find_asset(self, name: str) -> Asset | None:
        """The file of this public name."""
        return next((asset for asset in self.assets.values() if asset.name == name), None)


RENDERER: Final = web.AppKey("renderer", Renderer)


def make_renderer() -> Renderer:
    """Read the files that ship with the program; templates are compiled when they are first shown."""
    templates = {language: _make_environment(language) for language in LANGUAGES}
    return Renderer(templates, {name: _read_asset(_HERE / "static" / name) for name in (_STYLESHEET, _ICON)})


def accepted_language(request: web.Request) -> str:
    """The language that a request asks for."""
    return choose_language(accepted=request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))


def render_page(
    request: web.Request,
    template: str,
    *,
    status: int = HTTPStatus.OK,
    token: str = "",
    language: str | None = None,
    **values: object,
) -> web.Response:
    """Answer with a page; `token` gives it its links. No answer sets a cookie or may be kept.

    It speaks `language`, else that of its `view`, else what the request asks for.
    """
    renderer = request.app[RENDERER]
    spoken = language or getattr(values.get("view"), "language", None) or accepted_language(request)
    html = (
        renderer.templates[spoken]
        .get_template(template)
        .render({"view": None, "look": _look_of(request, values.get("view")), **_links_of(request, token), **values})
    )
    return web.Response(
        status=status,
        text=html,
        content_type="text/html",
        charset="utf-8",
        headers=PAGE_HEADERS | {"Content-Language": spoken},
    )


def make_path(request: web.Request, path: str, token: str = "") -> str:
    """A path of ours below that of the configured public URL, with a token in its place `{}`."""
    base = urlsplit(request.app[CONTEXT].options.public_url).path.rstrip("/")
    return base + path.format(quote(token, safe="", errors="replace"))


def _look_of(request: web.Request, view: object) -> LookPaths:
    """How the page's brand looks, below the path of the public URL."""
    found = find_look(request, getattr(view, "scope", EVERYTHING))
    return LookPaths(*(path and make_path(request, path) for path in (found.stylesheet, found.logo)))


def _links_of(request: web.Request, token: str) -> dict[str, object]:
    """What pages link to and load, and what they name."""
    assets, contact = request.app[RENDERER].assets, request.app[OPTIONS].contact
    return {
        "token": token,
        "stylesheet": make_path(request, f"/static/{assets[_STYLESHEET].name}"),
        "icon": make_path(request, f"/static/{assets[_ICON].name}"),
        "unsubscribe_path": make_path(request, "/u/{}", token),
        "undo_path": make_path(request, "/u/{}/undo", token),
        "preferences_path": make_path(request, "/p/{}", token),
        "typed_path": make_path(request, "/unsubscribe"),
        "undo_minutes": int(request.app[CONTEXT].options.undo_window.total_seconds() // 60),
        "contact": contact,
        "contact_href": contact and find_href(contact),
    }


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


def _make_environment(language: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    translations = translations_for(language)
    installed: Any = environment
    installed.install_gettext_callables(translations.ugettext, translations.ungettext, newstyle=True)
    environment.globals["language"] = language
    environment.filters["without_stop"] = _take_stop_off
    environment.filters["date"] = partial(_write_date, language=language)
    return environment


def _take_stop_off(sentence: str) -> str:
    """A title is a sentence without its full stop; what a template gives is escaped already."""
    return type(sentence)(sentence.strip().rstrip(".\u3002"))


def _write_date(day: date, *, language: str) -> str:
    return format_date(day, language)


def _read_asset(path: Path) -> Asset:
    body = path.read_bytes()
    digest = blake2s(body, digest_size=5).hexdigest()
    return Asset(f"{path.stem}.{digest}{path.suffix}", body, _TYPES[path.suffix])
