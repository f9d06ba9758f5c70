"""Registered scopes and how they look, and the numbers that campaigns have inside mail tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from forbear.domain.look import Logo, Look
from forbear.store.database import Connection
from forbear.store.queries import load_queries

_SQL = load_queries("scope")
Words = Mapping[str, str]
"""By language tag."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A registered scope: what people call it and read about it, and whether pages offer it."""

    id: int
    name: str
    titles: Words = field(default_factory=dict)
    descriptions: Words = field(default_factory=dict)
    position: int = 0
    is_offered: bool = True
    look: Look | None = None
    logo_digest: str | None = None
    """Names the logo as it is now; None where there is none."""


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """What is said about a scope; None leaves it as it is. A title or description that is "" goes."""

    titles: Words = field(default_factory=dict)
    descriptions: Words = field(default_factory=dict)
    position: int | None = None
    is_offered: bool | None = None
    look: Look | None = None


NOTHING_SAID: Final = ScopeChange()


async def add_scope(connection: Connection, name: str, change: ScopeChange = NOTHING_SAID) -> int:
    """Register a scope, or change what is said about it; its number."""
    number: int = await connection.fetchval(
        _SQL["add_scope"],
        name,
        _words(change.titles),
        _words(change.descriptions),
        change.position,
        change.is_offered,
        None if change.look is None else asdict(change.look),
    )
    return number


async def list_scopes(connection: Connection) -> list[Scope]:
    """All registered scopes: brands in their order, each with its topics in theirs."""
    return [
        Scope(
            row["id"],
            row["name"],
            row["titles"],
            row["descriptions"],
            row["position"],
            row["is_offered"],
            Look(**row["look"]) if row["look"] else None,
            row["logo_digest"],
        )
        for row in await connection.fetch(_SQL["list_scopes"])
    ]


async def put_logo(connection: Connection, scope: str, logo: Logo, digest: str) -> None:
    """Give a scope its logo."""
    await connection.execute(_SQL["put_logo"], scope, logo.media_type, logo.content, digest)


async def delete_logo(connection: Connection, scope: str) -> None:
    """Take a scope's logo away, if it has one."""
    await connection.execute(_SQL["delete_logo"], scope)


async def find_logo(connection: Connection, scope: str) -> tuple[Logo, str] | None:
    """A scope's logo and its digest."""
    row = await connection.fetchrow(_SQL["find_logo"], scope)
    return None if row is None else (Logo(row["media_type"], row["content"]), row["digest"])


async def add_campaign(connection: Connection, name: str) -> int:
    """The number of a campaign, given at its first use."""
    number: int | None = await connection.fetchval(_SQL["add_campaign"], name)
    # Another process gave the number at this very moment: its row is visible to the next statement.
    return number if number is not None else await add_campaign(connection, name)


def _words(words: Words) -> dict[str, str | None]:
    return {language: text or None for language, text in words.items()}
