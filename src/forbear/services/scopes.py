"""Registered scopes: an unregistered one is an error, never a pass."""

from __future__ import annotations

from collections.abc import Mapping

from forbear.domain.errors import UnknownScope
from forbear.domain.suppression import EVERYTHING, check_scope
from forbear.services.context import Context
from forbear.store import scope as scope_store
from forbear.store.scope import Scope


async def add_scope(context: Context, name: str, titles: Mapping[str, str]) -> None:
    """Register a brand or a topic; a topic's brand is registered with it."""
    check_scope(name)
    async with context.database.transaction() as connection:
        brand, slash, _ = name.partition("/")
        if slash:
            await scope_store.add_scope(connection, brand, {})
        await scope_store.add_scope(connection, name, titles)


async def list_scopes(context: Context) -> list[Scope]:
    """All registered scopes by name."""
    async with context.database.connection() as connection:
        return await scope_store.list_scopes(connection)


async def find_scopes(context: Context) -> Mapping[str, Scope]:
    """The registered scopes by name, at most a few seconds old."""
    book = context.scope_book
    if book.is_stale(context.now()):
        book.fill(await list_scopes(context), context.now())
    return book.scopes


async def require_scopes(context: Context, names: set[str]) -> dict[str, Scope]:
    """The registered scopes of these names. Raises `UnknownScope` naming the first that is not registered."""
    for name in names:
        check_scope(name)
    for name in sorted(await find_unregistered(context, names)):
        raise UnknownScope(f"the scope {name!r} is not registered; add it with: forbear scopes add {name}")
    return {name: context.scope_book.scopes[name] for name in names}


async def find_unregistered(context: Context, names: set[str]) -> set[str]:
    """Which of these names are not registered, by one look at the list where any seems not to be."""
    if not names <= context.scope_book.scopes.keys():
        context.scope_book.fill(await list_scopes(context), context.now())
    return names - context.scope_book.scopes.keys()


def title_of(scope: Scope, language: str = "en") -> str:
    """What people call a scope: its title, or its name made readable."""
    if scope.name == EVERYTHING and not scope.titles:
        return "everything"
    words = scope.name.rpartition("/")[2].replace("-", " ")
    return scope.titles.get(language) or scope.titles.get("en") or words.capitalize()
