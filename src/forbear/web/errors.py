"""Errors at the HTTP door: the tree of `forbear.domain.errors` as status codes and problem documents (RFC 9457)."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from forbear.domain import errors

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
UNREADABLE_BODY: Final = "the body cannot be read: its framing or its packing is broken"

STATUS: Final[Mapping[type[errors.ForbearError], HTTPStatus]] = {
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidAddress: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownScope: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidList: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidImport: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.BrokenToken: HTTPStatus.NOT_FOUND,
    errors.NothingToUndo: HTTPStatus.CONFLICT,
    errors.Misconfigured: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.WrongKeys: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ListUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.KeyNotAtHand: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Every leaf of the tree; a test walks it."""

OTHER_PROBLEMS: Final[Mapping[str, tuple[HTTPStatus, str]]] = {
    "bad_request": (HTTPStatus.BAD_REQUEST, "This is not HTTP as it should be."),
    "invalid_json": (HTTPStatus.BAD_REQUEST, "The body is not valid JSON."),
    "method_not_allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "The path takes other methods; Allow lists them."),
    "request_timeout": (HTTPStatus.REQUEST_TIMEOUT, "Nothing more of the request came."),
    "unsupported_media_type": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is of another type."),
    "expectation_failed": (HTTPStatus.EXPECTATION_FAILED, "No expectation but 100-continue can be met."),
    "invalid_body": (HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not fit its schema; errors says where."),
    "internal_server_error": (HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it was written down."),
    "gateway_timeout": (HTTPStatus.GATEWAY_TIMEOUT, "The answer took too long."),
    "http_version_not_supported": (HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Scrubs need HTTP/1.1."),
}
"""Problems of HTTP itself, by their words."""


def problem(
    status: int,
    detail: str,
    *,
    word: str | None = None,
    instance: str | None = None,
    faults: Sequence[Mapping[str, object]] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem document. `word` is the short stable name of the refusal, `faults` name single parts of the input."""
    phrase = HTTPStatus(status).phrase
    name = word or phrase.lower().replace(" ", "_").replace("-", "_")
    body: dict[str, object] = {"type": f"/docs#{name}", "title": phrase, "status": status, "detail": detail}
    # Somebody may have put an address into a path, where none belongs.
    if instance and "@" not in instance:
        body["instance"] = instance
    if faults:
        body["errors"] = list(faults)
    merged = {"Cache-Control": "no-store", **(headers or {})}
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        merged.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if status == HTTPStatus.UNAUTHORIZED:
        merged.setdefault("WWW-Authenticate", 'Bearer realm="forbear"')
    return web.Response(status=status, body=orjson.dumps(body), content_type=PROBLEM_TYPE, headers=merged)


def from_error(error: errors.ForbearError, instance: str | None = None) -> web.Response:
    """The problem document of one of our own errors."""
    faults = []
    if isinstance(error, errors.InvalidList) and (error.row is not None or error.column is not None):
        faults = [{"row": error.row, "column": error.column, "detail": error.detail}]
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS or kind is errors.ForbearError)
    status = STATUS.get(kind, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, errors.LimitReached) else {}
    return problem(status, error.detail, word=word_of(error), instance=instance, faults=faults, headers=headers)


def from_framework(error: web.HTTPException, instance: str | None = None) -> web.Response:
    """The problem document of what aiohttp itself refuses: unknown paths, methods, bodies that are too large."""
    kept = {name: value for name, value in error.headers.items() if name in {"Allow", "Retry-After"}}
    details = {
        HTTPStatus.NOT_FOUND: "there is nothing at this path",
        HTTPStatus.METHOD_NOT_ALLOWED: f"this path takes {kept.get('Allow', 'other methods')}",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than this installation allows",
    }
    detail = details.get(HTTPStatus(error.status), error.reason)
    # Python's own phrase for 413 differs by version, and a word may not.
    word = word_of(errors.TooLarge()) if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else None
    return problem(error.status, detail, word=word, instance=instance, headers=kept)


def from_validation(error: ValidationError, instance: str | None = None) -> web.Response:
    """The problem document of a body that does not fit its schema; what was sent is not repeated."""
    if any(fault["type"] == "json_invalid" for fault in error.errors(include_input=False, include_url=False)):
        return problem(HTTPStatus.BAD_REQUEST, "the body is not valid JSON", word="invalid_json", instance=instance)
    faults = list_faults(error)
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{len(faults)} part(s) of the body do not fit: {faults[0]['pointer'] or '/'} {faults[0]['detail']}",
        word="invalid_body",
        instance=instance,
        faults=faults,
    )


def list_faults(error: ValidationError, most: int = 20) -> list[dict[str, str]]:
    """Where a body does not fit (JSON pointers, RFC 6901) and why."""
    return [
        {
            "pointer": "".join(f"/{_step(step)}" for step in fault["loc"] if step not in _UNION_STEPS),
            "detail": fault["msg"],
        }
        for fault in error.errors(include_input=False, include_url=False, include_context=False)[:most]
    ]


_UNION_STEPS: Final = frozenset({"str", "PostalAddressBody"})
"""What pydantic puts into a path for the form of an address that it tried; no part of the body."""

_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,79}")


def _step(step: int | str) -> str:
    # A field that we do not know is named by whoever asks, perhaps by an address or a number: only a word is repeated.
    return str(step) if isinstance(step, int) or _FIELD.fullmatch(step) else "..."


def list_places(error: BaseException, most: int = 12) -> list[str]:
    """Where an error came through, innermost last, as `file:line`: a traceback without any value in it."""
    frames = traceback.extract_tb(error.__traceback__)[-most:]
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]


def word_of(error: errors.ForbearError) -> str:
    """The short stable name of a refusal: the class's name in lower case with underscores."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", type(error).__name__).lower()
