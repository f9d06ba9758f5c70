"""start, web, worker, migrate."""

from __future__ import annotations

from typing import Annotated

import typer

from forbear import bootstrap
from forbear.cli.running import Data, errors, run
from forbear.config import Settings
from forbear.local.lock import open_database

Http = Annotated[
    str | None, typer.Option("--http", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
]
PublicUrl = Annotated[
    str | None, typer.Option("--public-url", metavar="URL", help="How recipients reach it; links are built from it.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(start)
    app.command()(web)
    app.command()(worker)
    app.command()(migrate)


def start(
    data: Data = None,
    http: Http = None,
    public_url: PublicUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="When ready, print one line of JSON: http, api_key, database_url, pid.")
    ] = False,
) -> None:
    """Set everything up and run the whole service on this machine."""
    # It asks the service over HTTP; no other command needs a client for that.
    from forbear.local.start import start as run_service  # noqa: PLC0415

    async def work(settings: Settings) -> int:
        return await run_service(settings, as_json=as_json)

    code = run(work, data=data, http=http, public_url=public_url)
    raise typer.Exit(code)


def web(
    data: Data = None,
    http: Http = None,
    public_url: PublicUrl = None,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
) -> None:
    """Serve the API and the recipients' pages."""

    async def work(settings: Settings) -> None:
        async with open_database(settings) as opened:
            await bootstrap.serve_web(opened, ready_fd=ready_fd)

    run(work, data=data, http=http, public_url=public_url)


def worker(data: Data = None) -> None:
    """Do what has to happen without anybody asking: index files, messages, retention."""

    async def work(settings: Settings) -> None:
        async with open_database(settings) as opened:
            await bootstrap.run_worker(opened)

    run(work, data=data)


def migrate(data: Data = None) -> None:
    """Bring the database to this program's schema; make the keys of a new list."""

    async def work(settings: Settings) -> list[str]:
        async with open_database(settings) as opened:
            return await bootstrap.set_up(opened)

    applied = run(work, data=data)
    for name in applied:
        errors.print(f"applied {name}")
    errors.print("the schema is up to date")
