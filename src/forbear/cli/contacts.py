"""contacts."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer

from forbear.cli.files import (
    RejectedFile,
    Rejects,
    Strict,
    Yes,
    open_source,
    print_table,
    show_progress,
    show_rejected,
    write_privately,
)
from forbear.cli.running import AsJson, Data, errors, operator_name, output, run_with_context
from forbear.domain.errors import InvalidInput, ListUnavailable
from forbear.services import contact_imports, contacts, imports
from forbear.services.contacts import Contact
from forbear.services.context import Context
from forbear.store.batch import Batch

_contacts = typer.Typer(no_args_is_help=True, help="The people the organisation knows.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_contacts, name="contacts")


@_contacts.command("import")
def import_contacts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header; - for stdin.")],
    yes: Yes = False,
    strict: Strict = False,
    rejected: RejectedFile = None,
    data: Data = None,
) -> None:
    """Write down a file of existing customers, with their opt-outs and consents; again does no harm."""

    async def work(context: Context) -> None:
        # The garbage collector need not look again and again at what the program has loaded.
        gc.freeze()
        name = "stdin" if str(file) == "-" else file.name
        # Reading a list from stdin closes it.
        is_asked = sys.stdin.isatty()
        with ExitStack() as stack:
            source, size = open_source(file, stack)
            rejects = Rejects(None if rejected is None else stack.enter_context(write_privately(rejected)))
            with show_progress("reading", size) as progress:
                batch = await contact_imports.stage_contacts(
                    context, source, name=name, actor=operator_name(), on_progress=progress, rejects=rejects
                )
        show_rejected(batch, rejects, rejected)
        if strict and batch.count("rejected"):
            await imports.discard_import(context, batch.id)
            raise InvalidInput("nothing was applied, because not every row could be taken")
        if yes or await _confirm(context, batch, is_asked=is_asked):
            await _apply(context, batch)

    run_with_context(work, data, may_create=True)


async def _confirm(context: Context, batch: Batch, *, is_asked: bool) -> bool:
    """Show what would happen and ask; without somebody to ask, say how to go on."""
    added, changed = await contact_imports.count_contacts(context, batch.id)
    output.print(f"{batch.name}: {added:,} new contacts, {changed:,} known ones")
    preview = await imports.preview_import(context, batch.id)
    rows = [(count.reason.value, count.scope, count.state, f"{count.entries:,}") for count in preview.counts]
    if rows:
        print_table(output, [("reason", "scope", "state", "entries"), *rows], right={"entries"})
    _show_rows(batch)
    agreed = is_asked and typer.confirm("Apply it?", err=True)
    if not agreed:
        await imports.discard_import(context, batch.id)
        errors.print("nothing was applied" + ("" if is_asked else ": give --yes to apply it"))
    return agreed


async def _apply(context: Context, batch: Batch) -> None:
    try:
        with show_progress("applying", batch.count("contact_rows")) as progress:
            applied = await imports.apply_import(context, batch.id, on_progress=progress)
    except (asyncio.CancelledError, ListUnavailable):
        errors.print(f"batch {batch.id} may be applied in part: forbear batches resume {batch.id} goes on")
        raise
    show_contacts(applied)


def show_contacts(batch: Batch) -> None:
    """Say what a batch of contacts has done."""
    output.print(f"{batch.count('contacts_added'):,} contacts added, {batch.count('contacts_changed'):,} changed")
    entries = [f"{batch.count(name):,} {words}" for name, words in _ENTRIES]
    output.print(f"opt-outs: {', '.join(entries)}; consents recorded: {batch.count('consents'):,}")
    _show_rows(batch)
    output.print(f"batch {batch.id} is applied; forbear batches undo {batch.id} takes its opt-outs back")


_ENTRIES = (("added", "new"), ("revived", "new again"), ("already", "on the list already"))


def _show_rows(batch: Batch) -> None:
    output.print(
        f"rows {batch.count('rows'):,} = taken {batch.count('contact_rows'):,} + rejected {batch.count('rejected'):,}"
    )


@_contacts.command("show")
def show_contact(
    external_id: Annotated[str, typer.Argument(metavar="ID", help="The organisation's own id; never an address.")],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show a contact in clear, and what stands about it."""

    async def work(context: Context) -> tuple[Contact, list[contacts.Standing]]:
        contact = await contacts.get_contact(context, external_id)
        return contact, await contacts.list_standing(context, contact)

    contact, standing = run_with_context(work, data)
    if as_json:
        output.print(orjson.dumps(_describe(contact, standing)).decode())
        return
    output.print(f"{contact.external_id}  {contact.name or '-'}  {contact.language or '-'}  {contact.country or '-'}")
    for held, one in zip(contact.points, standing, strict=True):
        output.print(f"{held.channel:<6} {held.plain or '(erased)'}")
        for entry in one.entries:
            output.print(f"       {entry.reason} of {entry.scope} by {entry.source}, {entry.since:%Y-%m-%d}")
        for opt_in in one.grants:
            output.print(f"       grant for {opt_in.scope} by {opt_in.source}, {opt_in.granted_at:%Y-%m-%d}")


def _describe(contact: Contact, standing: list[contacts.Standing]) -> dict[str, object]:
    points = [
        {
            "channel": held.channel,
            "address": held.plain,
            "entries": [{"id": entry.id, "reason": entry.reason, "scope": entry.scope} for entry in one.entries],
            "grants": [{"id": opt_in.id, "scope": opt_in.scope} for opt_in in one.grants],
        }
        for held, one in zip(contact.points, standing, strict=True)
    ]
    return {
        "external_id": contact.external_id,
        "name": contact.name,
        "language": contact.language,
        "country": contact.country,
        "notice_channel": contact.notice_channel,
        "points": points,
    }
