"""/openapi.json and /docs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import orjson
from aiohttp import web
from jinja2 import Environment, StrictUndefined

from forbear.web.api import Operation
from forbear.web.errors import OTHER_PROBLEMS, STATUS, word_of
from forbear.web.openapi import make_document

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_docs(app: web.Application, operations: Sequence[Operation], public_url: str) -> None:
    """Route the document and its readable page; both are made once."""
    document = make_document(operations, public_url)
    as_json = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    as_page = _render(document)

    async def show_json(_request: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json")

    async def show_page(_request: web.Request) -> web.Response:
        return web.Response(text=as_page, content_type="text/html", headers=_HEADERS)

    app.router.add_get("/openapi.json", show_json, name="openapi")
    app.router.add_get("/docs", show_page, name="docs")


def _render(document: dict[str, object]) -> str:
    template = (files("forbear.web") / "templates" / "api.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    ours = ((int(status), word_of(kind()), kind().detail) for kind, status in STATUS.items())
    others = ((int(status), word, text) for word, (status, text) in OTHER_PROBLEMS.items())
    problems = sorted([*ours, *others])
    return environment.from_string(template).render(document=document, problems=problems)
