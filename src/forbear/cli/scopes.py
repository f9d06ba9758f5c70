"""scopes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from forbear.cli.running import Data, errors, output, run_with_context
from forbear.domain.errors import InvalidInput
from forbear.domain.look import Look, make_look
from forbear.services import scopes
from forbear.services.context import Context
from forbear.services.scopes import Scope, ScopeChange

_scopes = typer.Typer(no_args_is_help=True, help="Brands and their topics.")
ScopeName = Annotated[str, typer.Argument(metavar="SCOPE", help="maison, or maison/newsletter")]
Titles = Annotated[
    list[str] | None,
    typer.Option("--title", help="What people call it, as LANGUAGE=TITLE or TITLE (English). Repeatable."),
]
Descriptions = Annotated[
    list[str] | None,
    typer.Option("--description", help="What people read about it, as LANGUAGE=TEXT or TEXT (English). Repeatable."),
]
Position = Annotated[int | None, typer.Option(help="Its place among its like, the lowest first.")]
IsOffered = Annotated[bool | None, typer.Option("--offered/--hidden", help="Whether pages offer it to the public.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_scopes, name="scopes")


@_scopes.command("add")
def add_scope(
    name: ScopeName,
    title: Titles = None,
    description: Descriptions = None,
    position: Position = None,
    is_offered: IsOffered = None,
    data: Data = None,
) -> None:
    """Register a brand or a topic of a brand; again to change what is said about it."""
    _put(name, _read_change(title, description, position, is_offered), data)
    errors.print(f"{name} is registered")


@_scopes.command("set")
def set_scope(
    name: ScopeName,
    title: Titles = None,
    description: Descriptions = None,
    position: Position = None,
    is_offered: IsOffered = None,
    accent: Annotated[
        str, typer.Option(help="A brand's colour on the light background and, after a comma, on the dark one.")
    ] = "",
    logo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A brand's logo: PNG or SVG, at most 128 KiB; it is made safe.")
    ] = None,
    without_logo: Annotated[bool, typer.Option("--without-logo", help="Take the logo away.")] = False,
    data: Data = None,
) -> None:
    """Change what is said about a registered scope, or how a brand looks; what is not given stays."""
    change = _read_change(title, description, position, is_offered, accent)
    content = None if logo is None else logo.read_bytes()

    async def work(context: Context) -> None:
        await scopes.require_scopes(context, {name})
        await scopes.put_scope(context, name, change)
        if content is not None or without_logo:
            await scopes.put_logo(context, name, content)

    run_with_context(work, data)
    errors.print(f"{name} is changed")


@_scopes.command("list")
def list_scopes(data: Data = None) -> None:
    """List registered scopes with their titles: brands in their order, each with its topics in theirs."""

    async def work(context: Context) -> list[Scope]:
        return await scopes.list_scopes(context)

    for scope in run_with_context(work, data):
        titles = ", ".join(f"{language}={title}" for language, title in sorted(scope.titles.items()))
        hidden = "" if scope.is_offered else "  (hidden)"
        output.print(f"{scope.name:<40} {titles}{hidden}".rstrip())


def _put(name: str, change: ScopeChange, data: Path | None) -> None:
    async def work(context: Context) -> None:
        await scopes.put_scope(context, name, change)

    run_with_context(work, data, may_create=True)


def _read_change(
    titles: Iterable[str] | None,
    descriptions: Iterable[str] | None,
    position: int | None,
    is_offered: bool | None,  # noqa: FBT001 - None, yes or no, as the command line has it
    accent: str = "",
) -> ScopeChange:
    return ScopeChange(
        dict(_read_words("--title", text) for text in titles or ()),
        dict(_read_words("--description", text) for text in descriptions or ()),
        position,
        is_offered,
        _read_look(accent),
    )


def _read_words(option: str, text: str) -> tuple[str, str]:
    language, equals, words = text.partition("=")
    found = (language.strip(), words.strip()) if equals else ("en", text.strip())
    if not found[0]:
        raise InvalidInput(f"{option} is LANGUAGE=TEXT, such as fr=Nouveautés")
    return found


def _read_look(accent: str) -> Look | None:
    if not accent:
        return None
    light, comma, dark = accent.partition(",")
    if not comma:
        raise InvalidInput("--accent is two colours, such as '#80581f,#d9b477'")
    return make_look(light.strip(), dark.strip())
