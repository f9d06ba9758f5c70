"""The OpenAPI 3.1 document at /openapi.json, and a page for people at /docs, both made from the operations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from forbear import __version__
from forbear.web.api import Operation
from forbear.web.errors import PROBLEM_TYPE
from forbear.web.models import SuppressionItem

_REFUSALS = {
    "400": "The request cannot be read.",
    "401": "A valid API key is missing.",
    "403": "This API key may not do that.",
    "404": "There is no such thing, or it is not this key's to see.",
    "413": "The request is larger than this installation allows.",
    "415": "The body is of another type.",
    "422": "The request is understood and cannot be carried out; the detail says why.",
    "429": "This was asked for too often. Try again after Retry-After.",
    "503": "The list cannot be asked: nothing was let through and nothing was changed. Try again after Retry-After.",
}


def make_document(operations: Sequence[Operation], public_url: str) -> dict[str, Any]:
    """The OpenAPI document as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _describe(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Forbear",
            "version": __version__,
            "description": "Decides whether a message may be sent to an address, and keeps that answer.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_schemas(operations), "Problem": dict(_PROBLEM)},
        },
    }


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    requests: set[type[BaseModel]] = {item.request for item in operations if item.request is not None}
    requests.add(SuppressionItem)
    responses: set[type[BaseModel]] = {item.response for item in operations if item.response is not None}
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in requests),
        *((model, "serialization") for model in responses),
    ]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")
    return dict(sorted(found["$defs"].items()))


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def _describe(operation: Operation, path: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"{operation.description}\n\nPermission: `{operation.permission.value}`.".strip(),
        "parameters": _path_parameters(path) + _query_parameters(operation),
        "responses": {str(int(operation.status)): _answer(operation), **_refusals()},
    }
    if operation.request is not None:
        described["requestBody"] = {"required": True, "content": _reference(operation.request)}
    elif "request" in operation.extra:
        described["requestBody"] = {"required": True, "content": operation.extra["request"]}
    return described


def _answer(operation: Operation) -> dict[str, Any]:
    if "response" in operation.extra:
        return {"description": operation.summary, "content": operation.extra["response"]}
    if operation.response is None:
        return {"description": operation.summary}
    return {"description": operation.summary, "content": _reference(operation.response)}


def _refusals() -> dict[str, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": required,
            "description": text,
            "schema": {"type": "string", **schema},
        }
        for name, text, required, schema in operation.extra.get("parameters", ())
    ]
