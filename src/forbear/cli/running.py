"""What every subcommand shares: settings, a context, addresses from stdin, and errors as exit codes."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console

from forbear import bootstrap
from forbear.config import Settings, read_settings
from forbear.domain.errors import ForbearError, InvalidInput, InvalidList, TryAgain
from forbear.local.lock import open_database
from forbear.services.context import Context

EXIT_BAD_INPUT: Final = 1
EXIT_TRY_AGAIN: Final = 75
STDIN_ADDRESSES_MAX: Final = 1_000_000
"""How many addresses a command takes on stdin; longer lists are scrubs or imports."""

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder; beats FORBEAR_DATA and DATABASE_URL."),
]
Scope = Annotated[str, typer.Option("--scope", help="'*', a brand, or a topic of a brand such as maison/newsletter.")]
PurposeName = Annotated[
    str, typer.Option("--purpose", help="marketing, friend, gift, transactional, notice or sharing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Addresses = Annotated[list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="Or one a line on stdin.")]

errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
output = Console(highlight=False, markup=False, soft_wrap=True)
T = TypeVar("T")


def run(work: Callable[[Settings], Coroutine[Any, Any, T]], **chosen: object) -> T:
    """Run one command's work; our errors become one line on stderr and an exit code."""
    try:
        bootstrap.configure_logging(as_json=False)
        return asyncio.run(work(read_settings(**chosen)))
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        # Whoever read our output has gone; Python would complain again when it closes stdout.
        sys.stderr.close()
        raise typer.Exit(EXIT_BAD_INPUT) from error
    except TryAgain as error:
        # The kind of error tells a wrong password from a server that is away; its text may quote a value.
        fail(f"{error.detail} ({type(error.__cause__).__name__})" if error.__cause__ else error.detail)
        raise typer.Exit(EXIT_TRY_AGAIN) from error
    except ForbearError as error:
        fail(_place(error) + error.detail)
        raise typer.Exit(EXIT_BAD_INPUT) from error
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise typer.Exit(EXIT_BAD_INPUT) from error


def run_with_context(work: Callable[[Context], Awaitable[T]], data: Path | None, *, may_create: bool = False) -> T:
    """Run work that needs the list: a running service's, or one started for this command alone.

    Only a command that writes may make a new list; to a mistyped folder every other says that there is none, since an
    empty list would let everybody through.
    """

    async def inside(settings: Settings) -> T:
        async with open_list(settings, may_create=may_create) as context:
            return await work(context)

    return run(inside, data=data)


@asynccontextmanager
async def open_list(settings: Settings, *, may_create: bool = False) -> AsyncIterator[Context]:
    """The list that settings name; that of a data folder is brought up to date, or made where it may be."""
    async with open_database(settings, may_create=may_create) as opened:
        if opened.is_embedded and len(await bootstrap.set_up(opened)) == bootstrap.count_migrations():
            errors.print(f"forbear: a new list was made in {opened.data_dir}")
        async with bootstrap.open_context(opened) as context:
            yield context


def fail(detail: str) -> None:
    """Say on stderr what was wrong."""
    errors.print(f"forbear: {detail}")


def read_addresses(given: Sequence[str] | None) -> list[str]:
    """The addresses of the command line, or those on stdin, one a line."""
    if given and list(given) != ["-"]:
        return list(given)
    if sys.stdin.isatty() and not given:
        errors.print("reading addresses from the keyboard, one a line; end with Ctrl-D")
    lines = [line.strip() for line in _limited(sys.stdin)]
    found = [line for line in lines if line]
    if not found:
        raise InvalidInput("no address was given, neither as an argument nor on stdin")
    return found


def operator_name() -> str:
    """Who runs this command, for the history."""
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return "operator"


def _limited(lines: Iterable[str]) -> Iterable[str]:
    for number, line in enumerate(lines):
        if number >= STDIN_ADDRESSES_MAX:
            raise InvalidInput(f"more than {STDIN_ADDRESSES_MAX} addresses on stdin: use scrub or import")
        yield line


def _place(error: ForbearError) -> str:
    if isinstance(error, InvalidList) and error.row is not None:
        return f"row {error.row}: "
    return ""
