"""The program behind real HTTP as a caller of its API sees it."""

import io
import itertools
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from aiohttp import ClientSession, DummyCookieJar
from aiohttp.web import Application

from forbear import bootstrap
from forbear.config import Settings
from forbear.services.api_keys import Permission, add_api_key
from forbear.services.context import Context
from forbear.web.app import make_app
from forbear.web.keys import WebOptions
from forbear.web.server import serve

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self) -> list[str]:
        return self.body.decode().splitlines()


@dataclass(frozen=True)
class Client:
    """Somebody with an API key."""

    context: Context
    session: ClientSession
    port: int
    key: str
    app: Application | None = None
    """The application, where it runs in this process."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def ask(self, method: str, path: str, **how) -> Answer:
        headers = {**self.authorization, **how.pop("headers", {})}
        async with self.session.request(method, path, headers=headers, allow_redirects=False, **how) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def post(self, path: str, **body) -> Answer:
        return await self.ask("POST", path, json=body)

    async def check(self, *addresses: str, purpose: str = "marketing", scope: str = "*") -> list[str]:
        """The verdicts, with their reasons after a colon."""
        answer = await self.post("/v1/check", purpose=purpose, scope=scope, addresses=addresses)
        assert answer.status == 200, answer.body
        assert [line["address"] for line in answer.json["results"]] == list(addresses)
        return [":".join(filter(None, (line["verdict"], line.get("reason")))) for line in answer.json["results"]]

    async def suppress(self, address: str, reason: str = "unsubscribe", scope: str = "*", **more) -> int:
        """Put one address on the list; the entry's id."""
        item = {"address": address, "reason": reason, "scope": scope, **more}
        answer = await self.post("/v1/suppressions", suppressions=[item])
        assert answer.status == 200, answer.body
        (result,) = answer.json["results"]
        assert result["status"] in {"added", "already"}, result
        return result["id"]

    async def scrub(self, listed: bytes | str, *, kind: str = "text/csv", **parameters) -> Answer:
        """Filter a list, of a type."""
        query = {"purpose": "marketing", "scope": "*", **parameters}
        data = io.BytesIO(listed.encode() if isinstance(listed, str) else listed)
        return await self.ask("POST", "/v1/scrubs", data=data, params=query, headers={"Content-Type": kind})

    async def counts(self, answer: Answer) -> dict:
        """The record of a scrub."""
        record = await self.ask("GET", f"/v1/scrubs/{answer.headers['Scrub-Id']}")
        assert record.status == 200, record.body
        return record.json

    async def with_key(
        self,
        *permissions: str,
        purposes: Sequence[str] = ("marketing", "transactional"),
        scopes: Sequence[str] = ("*",),
    ) -> "Client":
        """Somebody who may do less."""
        _, key = await add_api_key(self.context, "a test's", permissions=permissions, purposes=purposes, scopes=scopes)
        return replace(self, key=key)


def fresh(local: str = "person", domain: str = "example.com") -> str:
    """An address that no other test uses."""
    return f"{local}{next(_numbers)}@{domain}"


def assert_problem(answer: Answer, status: int, word: str | None = None) -> dict:
    """Check a problem document (RFC 9457), and give it back."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body = answer.json
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    assert not re.search(r"\w@\w", answer.body.decode()), "an address is repeated"
    assert word is None or body["type"] == f"/docs#{word}", body
    assert ("Retry-After" in answer.headers) == (status == 503)
    return body


@asynccontextmanager
async def open_client(settings: Settings, **chosen) -> AsyncIterator[Client]:
    """Serve a list as the web process does, with an administrator's key; `chosen` are settings."""
    settings = settings.model_copy(update=chosen)
    await bootstrap.warm_up(print)
    async with (
        bootstrap.open_context(settings) as context,
        bootstrap._follow_list(context, is_builder=False),
    ):
        _, key = await add_api_key(context, "administrator", permissions=Permission)
        options = replace(context.options, public_url=settings.public_url or "")
        async with serve_client(
            replace(context, options=options), bootstrap._make_web_options(settings), key
        ) as client:
            yield client


@asynccontextmanager
async def serve_client(context: Context, options: WebOptions, key: str) -> AsyncIterator[Client]:
    """Serve an open list; links lead to this very server unless the list has a public URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    opened = replace(context, options=replace(context.options, public_url=context.options.public_url or url))
    app = make_app(opened, options)
    async with (
        serve(app, listener, shutdown_seconds=1),
        ClientSession(url, cookie_jar=DummyCookieJar()) as session,
    ):
        yield Client(opened, session, port, key, app)
