"""/v1/scopes: brands and topics, what people read about them, and how a brand looks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPMethod

from forbear.domain.errors import InvalidInput
from forbear.domain.look import make_look
from forbear.domain.suppression import check_scope
from forbear.services import scopes
from forbear.services.api_keys import Permission, has_reach, require_reach
from forbear.services.scopes import Scope, ScopeChange
from forbear.web.api import Call, Operation
from forbear.web.contact_models import ScopeBody, ScopeRequest, ScopesResponse


async def list_scopes(call: Call) -> Mapping[str, object]:
    """List the scopes that the key reaches."""
    found = await scopes.list_scopes(call.context)
    return {"scopes": [_scope(scope) for scope in found if has_reach(call.key, scope.name)]}


async def put_scope(call: Call, body: ScopeRequest) -> Mapping[str, object]:
    """Register a scope, or change what is said about it."""
    require_reach(call.key, check_scope(body.name))
    look = None if body.look is None else make_look(body.look.accent, body.look.accent_dark)
    logo = None if not body.logo else _read_base64(body.logo)
    change = ScopeChange(body.titles, body.descriptions, body.position, body.is_offered, look)
    await scopes.put_scope(call.context, body.name, change)
    if body.logo is not None:
        await scopes.put_logo(call.context, body.name, logo)
    return _scope((await scopes.find_scopes(call.context))[body.name])


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("logo: this is not base64") from error


def _scope(scope: Scope) -> Mapping[str, object]:
    return {
        "name": scope.name,
        "titles": dict(scope.titles),
        "descriptions": dict(scope.descriptions),
        "position": scope.position,
        "is_offered": scope.is_offered,
        **({"look": asdict(scope.look)} if scope.look else {}),
        "has_logo": scope.logo_digest is not None,
    }


OPERATIONS = (
    Operation(
        HTTPMethod.GET,
        "/v1/scopes",
        "list_scopes",
        "List brands and topics",
        Permission.CHECK,
        list_scopes,
        response=ScopesResponse,
        description="Those within the key's own scopes: brands in their order, each with its topics in theirs.",
    ),
    Operation(
        HTTPMethod.PUT,
        "/v1/scopes",
        "put_scope",
        "Register a brand or a topic, or change what is said about it",
        Permission.ADMIN,
        put_scope,
        ScopeRequest,
        ScopeBody,
        description="What is left out stays as it is; an empty title or description takes its language away. "
        "A topic's brand is registered with it. The brand `sharing` is reserved.",
    ),
)
