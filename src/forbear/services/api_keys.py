"""API keys: who may ask what. A key is shown once; only the hash of its secret is kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256

from forbear.domain.errors import InvalidInput, NotFound, NotPermitted, Unauthenticated
from forbear.domain.suppression import EVERYTHING, Purpose, lies_within
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.store import api_key as api_key_store
from forbear.store.api_key import ApiKey, ApiKeyRow

_PREFIX = "forbear_"
_SECRET_BYTES = 32


class Permission(StrEnum):
    """What an API key may do."""

    CHECK = "check"
    SCRUB = "scrub"
    REASONS = "reasons"
    SUPPRESS = "suppress"
    LIFT = "lift"
    IMPORT = "import"
    EXPORT = "export"
    LINKS = "links"
    FRIENDS = "friends"
    SHARE = "share"
    STAFF = "staff"
    SUBSCRIBE = "subscribe"
    ATTEST = "attest"
    ADMIN = "admin"


async def add_api_key(
    context: Context,
    name: str,
    *,
    permissions: Iterable[str],
    purposes: Iterable[str] = tuple(Purpose),
    scopes: Iterable[str] = (EVERYTHING,),
) -> tuple[int, str]:
    """Make a key; its id and the key itself, which is shown this once."""
    wanted = [_known(Permission, permission) for permission in permissions]
    allowed = [_known(Purpose, purpose) for purpose in purposes]
    names = list(dict.fromkeys(scopes))
    if not name.strip() or not wanted or not allowed or not names:
        raise InvalidInput("an API key needs a name and at least one permission, purpose and scope")
    await require_scopes(context, set(names))
    secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    async with context.database.connection() as connection:
        key_id = await api_key_store.add_api_key(
            connection,
            name=name.strip(),
            secret_hash=hash_secret(secret),
            permissions=wanted,
            purposes=allowed,
            scopes=names,
        )
    return key_id, secret


async def find_api_key(context: Context, secret: str) -> ApiKey:
    """The key in force behind a secret. Raises `Unauthenticated`."""
    async with context.database.connection() as connection:
        key = await api_key_store.find_api_key(connection, hash_secret(secret))
    if key is None:
        raise Unauthenticated
    return key


async def list_api_keys(context: Context) -> list[ApiKeyRow]:
    """All keys, revoked ones too."""
    async with context.database.connection() as connection:
        return await api_key_store.list_api_keys(connection)


async def revoke_api_key(context: Context, key_id: int) -> None:
    """Revoke a key. Raises `NotFound` when none is in force under this id."""
    async with context.database.connection() as connection:
        if not await api_key_store.revoke_api_key(connection, key_id):
            raise NotFound(f"no API key {key_id} is in force")


def require_permission(key: ApiKey, permission: Permission) -> None:
    """Raise `NotPermitted` unless the key has the permission; `admin` includes every other."""
    if not has_permission(key, permission):
        raise NotPermitted(f"this API key lacks the permission {permission.value!r}")


def has_permission(key: ApiKey, permission: Permission) -> bool:
    """Whether the key has the permission."""
    return permission.value in key.permissions or Permission.ADMIN.value in key.permissions


def require_reach(key: ApiKey, scope: str, purpose: Purpose | None = None) -> None:
    """Raise `NotPermitted` unless the key may act for this scope and purpose."""
    if purpose is not None and purpose.value not in key.purposes:
        raise NotPermitted(f"this API key is not for the purpose {purpose.value!r}")
    if not has_reach(key, scope):
        raise NotPermitted(f"this API key is not for the scope {scope!r}")


def has_reach(key: ApiKey, scope: str) -> bool:
    """Whether the key may act for this scope."""
    return any(lies_within(scope, allowed) for allowed in key.scopes)


def reach_of(key: ApiKey) -> tuple[str, ...] | None:
    """The scopes that the key is for, or None when it is for all."""
    return None if EVERYTHING in key.scopes else key.scopes


def hash_secret(secret: str) -> bytes:
    """SHA-256; a 256-bit random secret needs no slow hash."""
    return sha256(secret.encode()).digest()


def _known(kind: type[StrEnum], value: str) -> str:
    try:
        return kind(value).value
    except ValueError as error:
        known = ", ".join(item.value for item in kind)
        raise InvalidInput(f"{value!r} is none of: {known}") from error
