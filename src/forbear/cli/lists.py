"""import, batches, export."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Annotated, Final

import typer

from forbear.cli.contacts import show_contacts
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
from forbear.cli.running import EXIT_BAD_INPUT, Data, errors, fail, operator_name, output, run_with_context
from forbear.domain.errors import InvalidInput, ListUnavailable
from forbear.domain.export_form import ExportForm
from forbear.domain.import_formats import DETAILS, Refusal
from forbear.domain.suppression import Reason
from forbear.services import batches, imports
from forbear.services.batches import Undone
from forbear.services.contact_file import CONTACTS
from forbear.services.context import Context
from forbear.services.exports import Export
from forbear.services.imports import ImportOptions, ImportPreview
from forbear.store.batch import Batch

_NUMBERS: Final = ("added", "revived", "already", "rejected")
_batches = typer.Typer(no_args_is_help=True, help="Imports that were made, and taking one back.")
BatchId = Annotated[int, typer.Argument(metavar="ID", help="The number that batches list shows.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_list)
    app.add_typer(_batches, name="batches")
    app.command("export")(export_list)


def import_list(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A suppression list, as CSV or JSON lines; - for stdin.")
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why these are suppressed, for every row. Default: what each row says.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="For which scope, for every row: '*', a brand, or a topic of a brand.")
    ] = None,
    yes: Yes = False,
    strict: Strict = False,
    rejected: RejectedFile = None,
    data: Data = None,
) -> None:
    """Put a whole list on the suppression list, as one batch that can be undone."""

    async def work(context: Context) -> None:
        # The garbage collector need not look again and again at what the program has loaded: a quarter faster.
        gc.freeze()
        name = "stdin" if str(file) == "-" else file.name
        options = ImportOptions(name, _read_reason(reason), scope, operator_name())
        with ExitStack() as stack:
            source, size = open_source(file, stack)
            rejects = Rejects(None if rejected is None else stack.enter_context(write_privately(rejected)))
            with show_progress("reading", size) as progress:
                batch = await imports.stage_import(context, source, options, on_progress=progress, rejects=rejects)
        show_rejected(batch, rejects, rejected)
        if strict and batch.count("rejected"):
            await imports.discard_import(context, batch.id)
            raise InvalidInput("nothing was applied, because not every row could be taken")
        if yes or await _confirm(context, batch):
            await _apply(context, batch)

    run_with_context(work, data, may_create=True)


async def _confirm(context: Context, batch: Batch) -> bool:
    """Show what would happen and ask; without somebody to ask, say how to go on."""
    preview = await imports.preview_import(context, batch.id)
    _show_preview(preview)
    if sys.stdin.isatty():
        agreed = typer.confirm("Apply it?", err=True)
        if not agreed:
            await imports.discard_import(context, batch.id)
            errors.print("nothing was applied")
        return agreed
    await imports.discard_import(context, batch.id)
    errors.print("nothing was applied: give --yes to apply it")
    return False


async def _apply(context: Context, batch: Batch) -> None:
    try:
        with show_progress("applying", batch.count("staged")) as progress:
            applied = await imports.apply_import(context, batch.id, on_progress=progress)
    except (asyncio.CancelledError, ListUnavailable):
        errors.print(f"batch {batch.id} may be applied in part: forbear batches resume {batch.id} goes on,")
        errors.print(f"forbear batches undo {batch.id} takes it back")
        raise
    _show_applied(applied)


@_batches.command("list")
def list_batches(data: Data = None) -> None:
    """List the newest batches first."""

    async def work(context: Context) -> None:
        rows = [_describe(batch) for batch in await batches.list_batches(context)]
        columns = ("id", "made", "by", "status", *_NUMBERS, "file")
        print_table(output, [columns, *rows], right={"id", *_NUMBERS})

    run_with_context(work, data)


@_batches.command("undo")
def undo_batch(batch_id: BatchId, data: Data = None) -> None:
    """Take a batch back, except where somebody else has asserted the same."""

    async def work(context: Context) -> Undone:
        batch = await batches.get_batch(context, batch_id)
        total = batch.count("added") + batch.count("revived")
        with show_progress("undoing", total) as progress:
            return await batches.undo_batch(context, batch_id, actor=operator_name(), on_progress=progress)

    undone = run_with_context(work, data)
    errors.print(
        f"batch {batch_id} is undone: {undone.lifted:,} lifted, {undone.kept:,} kept because others asserted them too"
    )


@_batches.command("resume")
def resume_batch(batch_id: BatchId, data: Data = None) -> None:
    """Go on with an import that was stopped while it was applied."""

    async def work(context: Context) -> None:
        await _apply(context, await batches.get_batch(context, batch_id))

    run_with_context(work, data)


def export_list(
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write; - for stdout.")],
    form: Annotated[
        str, typer.Option(help="plain (with addresses, as far as they are kept) or keyed (fingerprints only).")
    ] = ExportForm.PLAIN.value,
    with_lifted: Annotated[bool, typer.Option("--with-lifted", help="Add what was lifted, with lifted_at.")] = False,
    data: Data = None,
) -> None:
    """Write the whole list as CSV; it appears only when complete."""

    async def work(context: Context) -> Export:
        export = Export(context, _read_form(form), with_lifted)
        with ExitStack() as stack:
            file = sys.stdout.buffer if str(out) == "-" else stack.enter_context(write_privately(out))
            with show_progress("exporting", None) as progress:
                async with aclosing(export.read()) as pieces:
                    async for piece in pieces:
                        file.write(piece)
                        progress(export.entries + export.grants)
            file.flush()
        return export

    export = run_with_context(work, data)
    errors.print(f"{export.entries:,} entries and {export.grants:,} grants exported")
    if export.unopened:
        fail(f"the seal of {export.unopened:,} addresses is broken; their rows have the fingerprint only")
        raise typer.Exit(EXIT_BAD_INPUT)


def _read_reason(text: str | None) -> Reason | None:
    if text is None:
        return None
    if text not in set(Reason) or text == Reason.ERASED:
        raise InvalidInput(f"--reason is one of: {', '.join(item for item in Reason if item is not Reason.ERASED)}")
    return Reason(text)


def _read_form(text: str) -> ExportForm:
    if text not in set(ExportForm):
        raise InvalidInput(f"--form is one of: {', '.join(ExportForm)}")
    return ExportForm(text)


def _describe(batch: Batch) -> list[str]:
    status = f"{batch.status} (stopped)" if batch.is_interrupted else batch.status.value
    numbers = (f"{batch.count(name):,}" for name in _NUMBERS)
    return [str(batch.id), f"{batch.created_at:%Y-%m-%d %H:%M}", batch.actor, status, *numbers, batch.name]


def _show_preview(preview: ImportPreview) -> None:
    batch = preview.batch
    output.print(f"{batch.name}: {batch.facts['format']}")
    rows = [(count.reason.value, count.scope, _STATES[count.state], f"{count.entries:,}") for count in preview.counts]
    print_table(output, [("reason", "scope", "state", "entries"), *rows], right={"entries"})
    _show_rows(batch, preview.taken, preview.duplicates)


_STATES: Final = {
    "added": "new",
    "revived": "new again (was lifted)",
    "already": "on the list already",
}


def _show_applied(batch: Batch) -> None:
    if batch.facts["format"] == CONTACTS:
        show_contacts(batch)
        return
    rows = [(label, f"{batch.count(name):,}") for name, label in _STATES.items()]
    print_table(output, [("state", "entries"), *rows], right={"entries"})
    taken = sum(batch.count(name) for name in _STATES)
    _show_rows(batch, taken, batch.count("duplicates"))
    output.print(f"batch {batch.id} is applied; forbear batches undo {batch.id} takes it back")


def _show_rows(batch: Batch, taken: int, duplicates: int) -> None:
    """What became of every row of the file."""
    output.print(
        f"rows {batch.count('rows'):,} = taken {taken:,} + duplicates {duplicates:,} "
        f"+ rejected {batch.count('rejected'):,}"
    )
    for why, rows in sorted(batch.facts["rejected_by"].items()):
        output.print(f"  {rows:,} {why}: {DETAILS[Refusal(why)]}")
    if batch.facts["new_scopes"]:
        output.print(f"scopes registered with it: {', '.join(batch.facts['new_scopes'])}")
