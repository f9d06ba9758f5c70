"""The JSON API's frame: one `Operation` feeds the router and the OpenAPI document alike.

An operation's handler gets a `Call` and, where it has one, its validated body; it returns what is to be sent as
JSON. Authentication, permission, limits and errors are dealt with here, once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from aiohttp import HttpVersion11, hdrs, web
from pydantic import BaseModel

from forbear.domain.errors import InvalidInput, Unauthenticated
from forbear.services.api_keys import Permission, find_api_key, hash_secret, require_permission
from forbear.services.context import Context
from forbear.store.api_key import ApiKey
from forbear.web.errors import problem
from forbear.web.keys import CONTEXT, OPTIONS, WebOptions

KEY_FRESH_SECONDS: Final = 5.0
"""How long an API key is believed without asking again: a revoked one works at most this much longer."""
_KEYS_REMEMBERED_MAX: Final = 1000


@dataclass(slots=True)
class KeyCache:
    """API keys seen in the last seconds, by the hash of their secret."""

    known: dict[bytes, tuple[float, ApiKey]] = field(default_factory=dict)

    async def find(self, context: Context, secret: str) -> ApiKey:
        """The key behind a secret. Raises `Unauthenticated` or `ListUnavailable`."""
        digest = hash_secret(secret)
        seen_at, key = self.known.get(digest, (0.0, None))
        if key is None or time.monotonic() - seen_at > KEY_FRESH_SECONDS:
            self.known.pop(digest, None)
            key = await find_api_key(context, secret)
            if len(self.known) >= _KEYS_REMEMBERED_MAX:
                self.known.clear()
            self.known[digest] = (time.monotonic(), key)
        return key


KEY_CACHE: Final = web.AppKey("key_cache", KeyCache)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    request: web.Request
    key: ApiKey

    @property
    def context(self) -> Context:
        """What the services are given."""
        return self.request.app[CONTEXT]

    @property
    def options(self) -> WebOptions:
        """The door's options."""
        return self.request.app[OPTIONS]


Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API."""

    method: str
    path: str
    name: str
    summary: str
    permission: Permission
    handler: Handler
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: HTTPStatus = HTTPStatus.OK
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the OpenAPI document says besides: query parameters, and bodies that are not JSON."""

    @property
    def parameter_names(self) -> frozenset[str]:
        """The query parameters that it knows."""
        return frozenset(name for name, *_ in self.extra.get("parameters", ()))


def check_parameters(request: web.Request, known: frozenset[str]) -> None:
    """Refuse parameters that are not known, and those given twice; their names are not repeated."""
    if not known.issuperset(request.query):
        which = f"those of this call are: {', '.join(sorted(known))}" if known else "this call has none"
        raise InvalidInput(f"there is an unknown parameter; {which}")
    doubled = [name for name in request.query if len(request.query.getall(name)) > 1]
    if doubled:
        raise InvalidInput(f"{doubled[0]} is given more than once")


def add_operation(app: web.Application, operation: Operation) -> None:
    """Route an operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        call = Call(request, await authenticate(request))
        require_permission(call.key, operation.permission)
        if "request" not in operation.extra:
            check_parameters(request, operation.parameter_names)
        if operation.request is None:
            answer = await operation.handler(call)
        else:
            body = await read_body(request)
            if isinstance(body, web.Response):
                return body
            answer = await operation.handler(call, operation.request.model_validate_json(body))
        return answer if isinstance(answer, web.StreamResponse) else json_response(answer, status=operation.status)

    app.router.add_route(operation.method, operation.path, handle, name=operation.name, expect_handler=_expect)


async def _expect(request: web.Request) -> web.Response | None:
    """Answer an Expect header (RFC 9110, section 10.1.1), which comes before everything else about a request."""
    if request.version < HttpVersion11:
        return None
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return problem(HTTPStatus.EXPECTATION_FAILED, "no expectation but 100-continue can be met")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0
    return None


async def authenticate(request: web.Request) -> ApiKey:
    """The API key of a request (RFC 6750, section 2.1). Raises `Unauthenticated`."""
    scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated
    key = await request.app[KEY_CACHE].find(request.app[CONTEXT], secret.strip())
    structlog.contextvars.bind_contextvars(api_key=key.id)
    return key


async def read_body(request: web.Request) -> bytes | web.Response:
    """The JSON body, or the refusal of another type."""
    if request.content_type != "application/json" and request.can_read_body:
        return problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "this call takes a body of type application/json",
            instance=request.path,
        )
    return await request.read()


def json_response(
    content: object, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer as JSON, not to be kept by anything in between."""
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
