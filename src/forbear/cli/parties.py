"""parties."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from forbear.cli.running import AsJson, Data, errors, output, run_with_context
from forbear.domain.errors import InvalidInput
from forbear.domain.party import PartyKind
from forbear.services import parties
from forbear.services.context import Context
from forbear.services.parties import PartyDraft
from forbear.store.party import PartyRow

_parties = typer.Typer(no_args_is_help=True, help="To whom data may be disclosed.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Made of a-z, 0-9 and hyphens, such as salon-lyon.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_parties, name="parties")


@_parties.command("add")
def add_party(
    name: Name,
    kind: Annotated[str, typer.Option(help="affiliate, third_party, cosponsor or processor; it cannot change.")],
    title: Annotated[str, typer.Option(help="What people know it by.")],
    address: Annotated[
        str, typer.Option(help="Its postal address, lines separated by commas or \\n. Whoever asks is told it.")
    ],
    products: Annotated[str, typer.Option(help="Examples of what it sells, where its name does not say.")] = "",
    data: Data = None,
) -> None:
    """Register a party; again to change what is told about it."""

    async def work(context: Context) -> bool:
        if kind not in set(PartyKind):
            raise InvalidInput(f"--kind is one of: {', '.join(PartyKind)}")
        draft = PartyDraft(name, PartyKind(kind), title, address.replace("\\n", "\n"), products)
        _, is_new = await parties.put_party(context, draft)
        return is_new

    is_new = run_with_context(work, data, may_create=True)
    errors.print(f"the party {name} is {'registered' if is_new else 'changed'}")


@_parties.command("list")
def list_parties(as_json: AsJson = False, data: Data = None) -> None:
    """List every party, ended ones too."""

    async def work(context: Context) -> list[PartyRow]:
        return await parties.list_parties(context)

    for row in run_with_context(work, data):
        if as_json:
            output.print(orjson.dumps(row, option=orjson.OPT_UTC_Z).decode())
            continue
        state = f"ended {row.ended_at:%Y-%m-%d}" if row.ended_at else "in force"
        address = ", ".join(row.postal_address.splitlines())
        output.print(f"{row.name:<24} {row.kind:<12} {state:<18} {row.title}, {address}")


@_parties.command("end")
def end_party(name: Name, data: Data = None) -> None:
    """End a party: nothing is disclosed to it any more. It stays on record."""

    async def work(context: Context) -> None:
        await parties.end_party(context, name)

    run_with_context(work, data)
    errors.print(f"the party {name} has ended")
