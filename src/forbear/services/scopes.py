"""Registered scopes: an unregistered one is an error, never a pass.

The scopes of the reserved brand `sharing` say whom a choice against sharing is about. They exist without being
registered: `sharing`, one for each kind of party, one for each party. Messages have none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from forbear.domain.errors import InvalidInput, NotFound, UnknownScope
from forbear.domain.look import Logo, make_logo
from forbear.domain.party import SHARING_BRAND, PartyKind, is_sharing_scope, kind_scope, party_scope
from forbear.domain.suppression import EVERYTHING, check_scope
from forbear.services.context import Context
from forbear.store import party as party_store
from forbear.store import scope as scope_store
from forbear.store.scope import Scope, ScopeChange, Words

__all__ = ["Scope", "ScopeChange", "add_scope", "find_scopes", "list_scopes", "require_scopes", "title_of"]

WORDS_CHARACTERS_MAX: Final = 500
_POSITION_MAX: Final = 32_767
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_DIGEST_CHARACTERS: Final = 16


async def add_scope(context: Context, name: str, titles: Mapping[str, str]) -> None:
    """Register a brand or a topic with its titles; a topic's brand is registered with it."""
    await put_scope(context, name, ScopeChange(titles=titles))


async def put_scope(context: Context, name: str, change: ScopeChange) -> None:
    """Register a brand or a topic, or change what is said about it; what is not said stays.

    A topic's brand is registered with it. Raises `InvalidInput`, for the reserved brand too.
    """
    _check_registrable(name)
    _check_change(name, change)
    async with context.database.transaction() as connection:
        brand, slash, _ = name.partition("/")
        if slash:
            await scope_store.add_scope(connection, brand)
        await scope_store.add_scope(connection, name, change)
    context.scope_book.read_at = None


async def put_logo(context: Context, name: str, content: bytes | None) -> None:
    """Give a brand a logo (PNG or SVG, made safe), or with None take it away.

    `*` holds the look of pages that are about no brand. Raises `UnknownScope` or `InvalidInput`.
    """
    logo = None if content is None else make_logo(content)
    if "/" in name:
        raise InvalidInput(_BRAND_ONLY)
    await require_scopes(context, {_check_registrable(name)})
    async with context.database.connection() as connection:
        if logo is None:
            await scope_store.delete_logo(connection, name)
        else:
            digest = sha256(logo.content).hexdigest()[:_DIGEST_CHARACTERS]
            await scope_store.put_logo(connection, name, logo, digest)
    context.scope_book.read_at = None


async def get_logo(context: Context, name: str) -> tuple[Logo, str]:
    """A brand's logo and the digest that names it. Raises `NotFound`."""
    async with context.database.connection() as connection:
        found = await scope_store.find_logo(connection, name)
    if found is None:
        raise NotFound("there is no such logo")
    return found


async def list_scopes(context: Context) -> list[Scope]:
    """All registered scopes: `*`, then brands in their order, each with its topics in theirs."""
    async with context.database.connection() as connection:
        return await scope_store.list_scopes(connection)


async def find_scopes(context: Context) -> Mapping[str, Scope]:
    """The registered scopes by name, in the order of `list_scopes`, at most a few seconds old."""
    book = context.scope_book
    if book.is_stale(context.now()):
        await _fill_book(context)
    return book.scopes


async def require_scopes(context: Context, names: set[str]) -> dict[str, Scope]:
    """The registered scopes of these names; those about sharing exist as well, and are not among them.

    Raises `UnknownScope` naming the first that does not exist.
    """
    for name in names:
        check_scope(name)
    for name in sorted(await find_unregistered(context, names)):
        if is_sharing_scope(name):
            raise UnknownScope(f"the scope {name!r} names no kind of party, and no party that is registered")
        raise UnknownScope(f"the scope {name!r} is not registered; add it with: forbear scopes add {name}")
    return {name: context.scope_book.scopes[name] for name in names if not is_sharing_scope(name)}


async def find_unregistered(context: Context, names: set[str]) -> set[str]:
    """Which of these names do not exist, by one look at the list where any seems not to."""
    if unknown := names - context.scope_book.names:
        await _fill_book(context)
        unknown = names - context.scope_book.names
    return unknown


async def refresh_scopes(context: Context) -> frozenset[str]:
    """The names of all scopes as they are now, those about sharing included."""
    await _fill_book(context)
    return context.scope_book.names


def title_of(scope: Scope, language: str = "en") -> str:
    """What people call a scope: its title, or its name made readable."""
    if scope.name == EVERYTHING and not scope.titles:
        return "everything"
    words = scope.name.rpartition("/")[2].replace("-", " ")
    return _in_language(scope.titles, language) or words.capitalize()


def description_of(scope: Scope, language: str = "en") -> str:
    """What people may read about a scope; nothing where nothing is said."""
    return _in_language(scope.descriptions, language)


def _in_language(words: Words, language: str) -> str:
    """The words in a language, in its primary one (`fr` for `fr-CH`), or in English."""
    return words.get(language) or words.get(language.partition("-")[0]) or words.get("en") or ""


_BRAND_ONLY: Final = "a brand has a look, and so has '*'; a topic looks like its brand"


def _check_registrable(name: str) -> str:
    if is_sharing_scope(check_scope(name)):
        raise InvalidInput(f"the brand {SHARING_BRAND!r} is reserved: its scopes name parties")
    return name


def _check_change(name: str, change: ScopeChange) -> None:
    if change.look is not None and "/" in name:
        raise InvalidInput(_BRAND_ONLY)
    if change.position is not None and not 0 <= change.position <= _POSITION_MAX:
        raise InvalidInput(f"position: a number from 0 to {_POSITION_MAX}")
    for words in (change.titles, change.descriptions):
        for language, text in words.items():
            if not _LANGUAGE.fullmatch(language):
                raise InvalidInput("a language is a tag such as 'fr' or 'zh-Hans'")
            if len(text) > WORDS_CHARACTERS_MAX or any(character < " " for character in text):
                raise InvalidInput(f"a title or description is one line of {WORDS_CHARACTERS_MAX} characters at most")


async def _fill_book(context: Context) -> None:
    async with context.database.connection() as connection:
        registered = await scope_store.list_scopes(connection)
        parties = await party_store.list_parties(connection)
    about_sharing = {SHARING_BRAND, *map(kind_scope, PartyKind), *(party_scope(party.name) for party in parties)}
    context.scope_book.fill(registered, context.now(), about_sharing)
