"""keys, api-keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forbear import bootstrap
from forbear.cli.running import Data, errors, open_list, output, run, run_with_context
from forbear.config import Settings
from forbear.domain.keys import Keyring
from forbear.domain.suppression import EVERYTHING, Purpose
from forbear.local.lock import open_database
from forbear.services import api_keys
from forbear.services.api_keys import Permission
from forbear.services.context import Context
from forbear.services.key_file import read_key_file, write_key_file

_keys = typer.Typer(no_args_is_help=True, help="The key file, without which the list cannot be read.")
_api_keys = typer.Typer(no_args_is_help=True, help="Who may ask what.")
Name = Annotated[str, typer.Argument(metavar="NAME")]
Many = typer.Option(help="Comma separated.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_keys, name="keys")
    app.add_typer(_api_keys, name="api-keys")


@_keys.command("list")
def list_keys(data: Data = None) -> None:
    """List the keys by id; their secrets are never shown."""

    async def work(settings: Settings) -> Keyring:
        return read_key_file(settings.keys_path)

    for key in run(work, data=data).keys:
        state = f"retired {key.retired_at}" if key.retired_at else "in use"
        output.print(f"{key.role.value:<12} {key.id:>3}  made {key.created_at}  {state}")


@_keys.command("backup")
def back_up_keys(
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A new file; keep it apart from the database.")
    ],
    data: Data = None,
) -> None:
    """Write a copy of the key file. Without it a list that was restored cannot be read."""

    async def work(settings: Settings) -> None:
        async with open_list(settings):
            # Opening the list has checked that these are its keys: a backup of others would be worth nothing.
            write_key_file(out, read_key_file(settings.keys_path))

    run(work, data=data)
    errors.print(f"the keys are in {out}: keep them secret, and apart from the database's backups")


@_keys.command("rotate")
def rotate_keys(data: Data = None) -> None:
    """Add a key for sealing and links, and retire the others, which go on opening what they sealed."""

    async def work(settings: Settings) -> Keyring:
        async with open_database(settings) as opened:
            return await bootstrap.rotate_keys(opened)

    ring = run(work, data=data)
    errors.print(f"sealing key {ring.active_sealing_key.id} is in use once the processes are restarted; back it up now")


@_api_keys.command("add")
def add_api_key(
    name: Name,
    permissions: Annotated[str, Many] = "check,scrub,links",
    purposes: Annotated[str, Many] = ",".join(Purpose),
    scope: Annotated[str, Many] = EVERYTHING,
    data: Data = None,
) -> None:
    """Make an API key and show it, this once."""

    async def work(context: Context) -> tuple[int, str]:
        return await api_keys.add_api_key(
            context, name, permissions=_split(permissions), purposes=_split(purposes), scopes=_split(scope)
        )

    key_id, secret = run_with_context(work, data, may_create=True)
    errors.print(f"API key {key_id} ({name}); it is not shown again:")
    output.print(secret)


@_api_keys.command("list")
def list_api_keys(data: Data = None) -> None:
    """List API keys; their secrets are not kept."""

    async def work(context: Context) -> None:
        for row in await api_keys.list_api_keys(context):
            key = row.key
            state = f"revoked {row.revoked_at:%Y-%m-%d}" if row.revoked_at else "in force"
            may = "everything" if set(Permission) <= key.permissions else ",".join(sorted(key.permissions))
            output.print(f"{key.id:>4}  {key.name:<24} {state:<20} {may}  {','.join(key.scopes)}")

    run_with_context(work, data)


@_api_keys.command("revoke")
def revoke_api_key(key_id: Annotated[int, typer.Argument(metavar="ID")], data: Data = None) -> None:
    """Revoke an API key; it works for some seconds at most."""

    async def work(context: Context) -> None:
        await api_keys.revoke_api_key(context, key_id)

    run_with_context(work, data)
    errors.print(f"API key {key_id} is revoked")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
