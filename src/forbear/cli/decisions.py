"""check, scrub, explain."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Annotated, Final
from uuid import uuid4

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from forbear import bootstrap
from forbear.cli.questions import ChannelName, ChannelOfList, PartyName, Region, read_channel, read_question
from forbear.cli.running import (
    Addresses,
    AsJson,
    Data,
    PurposeName,
    Scope,
    errors,
    operator_name,
    output,
    read_addresses,
    run_with_context,
)
from forbear.cli.waiting import Standard, wait_outside
from forbear.domain.contact_point import parse_contact_point
from forbear.domain.errors import InvalidInput
from forbear.index.list_file import ListFile
from forbear.index.list_formats import ListFormat
from forbear.services import decision
from forbear.services.context import Context
from forbear.services.explain import ExplainedEntry, Explanation
from forbear.services.explain import explain as explain_address
from forbear.services.scrub import BATCH_BYTES, Scrub
from forbear.services.scrub_rows import Output, ScrubOptions

_BATCH = 10_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command()(scrub)
    app.command()(explain)


def check(
    addresses: Addresses = None,
    purpose: PurposeName = "marketing",
    scope: Scope = "*",
    channel: ChannelName = "email",
    region: Region = None,
    party: PartyName = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Decide about single addresses: deliver, suppress (and why) or invalid."""

    async def work(context: Context) -> None:
        question = await read_question(context, purpose, scope, channel, party)
        given = read_addresses(addresses)
        for place in range(0, len(given), _BATCH):
            batch = given[place : place + _BATCH]
            checked = await decision.check(context, batch, question, region)
            for address, verdict in zip(batch, checked.verdicts, strict=True):
                reason = {"reason": verdict.reason} if verdict.reason else {}
                if as_json:
                    output.print(
                        orjson.dumps({"address": address, "verdict": verdict.outcome.value, **reason}).decode()
                    )
                else:
                    output.print(f"{verdict.outcome.value:<9} {verdict.reason or '-':<17} {address}")

    run_with_context(work, data)


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a scrub reads and writes; the outputs appear under their names only when all is done."""

    source: IO[bytes]
    size: int | None
    kept: IO[bytes]
    refused: IO[bytes] | None


def scrub(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The list, as CSV, JSON lines or Parquet; - for stdin.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="The rows that may be mailed; - for stdout.")
    ],
    purpose: PurposeName = "marketing",
    scope: Scope = "*",
    kind: Annotated[
        str | None,
        typer.Option("--format", help="csv, ndjson or parquet. Default: what the name of FILE ends in, else csv."),
    ] = None,
    column: Annotated[str | None, typer.Option(help="The address column: its name, or its position from 1.")] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether the first row of CSV names the columns.")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the other rows there, each with verdict and reason.")
    ] = None,
    links: Annotated[bool, typer.Option("--links", help="Add personal unsubscribe and preference links.")] = False,
    campaign: Annotated[str, typer.Option(help="Name of the campaign, carried by the links.")] = "",
    channel: ChannelOfList = "email",
    region: Region = None,
    columns: Annotated[
        str, typer.Option(help="With post: the columns of name, lines, postcode and country, with commas between.")
    ] = "",
    party: PartyName = None,
    data: Data = None,
) -> None:
    """Filter a whole send list."""
    if str(file) != "-" and out.exists() and file.exists() and out.samefile(file):
        raise typer.BadParameter("the output must not be the list itself", param_hint="--output")

    async def work(context: Context) -> None:
        options = ScrubOptions(
            await read_question(context, purpose, scope, channel, party),
            column,
            header,
            links=links,
            campaign=campaign,
            refused_apart=refused is not None,
            format=choose_format(kind, file, out, refused),
            region=region,
            columns=tuple(columns.split(",")) if columns else (),
        )
        await bootstrap.warm_up(errors.print)
        with _open_files(file, out, refused) as files, _progress(files.size) as progress:
            # A file that can be read from its end need not be copied for it.
            is_whole = options.format is ListFormat.PARQUET and files.source.seekable()
            listed, source = (ListFile(files.source), BytesIO()) if is_whole else (ListFile(), files.source)
            run = Scrub(context, uuid4(), options, operator_name(), listed)
            await run.run(_read_file(source, progress), _writer(files))
        _show_counts(run)

    run_with_context(work, data)


_ENDINGS: Final = {
    ".csv": ListFormat.CSV,
    ".ndjson": ListFormat.NDJSON,
    ".jsonl": ListFormat.NDJSON,
    ".parquet": ListFormat.PARQUET,
}


def choose_format(given: str | None, file: Path, *outputs: Path | None) -> ListFormat:
    """Read in which format a list is. Raises `InvalidInput`, also where an output is named as if it were in another."""
    if given is not None and given not in set(ListFormat):
        raise InvalidInput(f"--format is one of: {', '.join(ListFormat)}")
    found = ListFormat(given) if given is not None else _ENDINGS.get(file.suffix.lower(), ListFormat.CSV)
    for path in filter(None, outputs):
        if _ENDINGS.get(path.suffix.lower(), found) is not found:
            raise InvalidInput(f"a list comes out as it went in, which is {found}: {path.name} says otherwise")
    return found


@contextmanager
def _open_files(file: Path, out: Path, refused: Path | None) -> Iterator[_Files]:
    with ExitStack() as stack:
        is_stdin = str(file) == "-"
        source = Standard(0) if is_stdin else stack.enter_context(file.open("rb"))
        size = None if is_stdin else os.fstat(source.fileno()).st_size
        kept = Standard(1) if str(out) == "-" else stack.enter_context(write_aside(out))
        other = None if refused is None else stack.enter_context(write_aside(refused))
        yield _Files(source, size, kept, other)


@contextmanager
def write_aside(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when the block ends well, complete and on disk."""
    aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


async def _read_file(source: IO[bytes], progress: Progress) -> AsyncIterator[bytes]:
    task = progress.task_ids[0]
    while chunk := await wait_outside(source.read, BATCH_BYTES):
        yield chunk
        progress.advance(task, len(chunk))


def _writer(files: _Files):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a closure of the Sink type
    def write_both(written: Output) -> None:
        files.kept.write(written.rows)
        if files.refused is not None:
            files.refused.write(written.refused)

    async def write(written: Output) -> None:
        await wait_outside(write_both, written)

    return write


@contextmanager
def _progress(size: int | None) -> Iterator[Progress]:
    columns = (TextColumn("filtering"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        progress.add_task("filtering", total=size)
        yield progress


def _show_counts(run: Scrub) -> None:
    counts = run.counts
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("rows", f"{counts.rows:,}")
    table.add_row("deliver", f"{counts.deliver:,}")
    for reason, number in sorted(counts.suppress.items()):
        table.add_row(f"suppress: {reason}", f"{number:,}")
    table.add_row("invalid", f"{counts.invalid:,}")
    table.add_row("duplicate", f"{counts.duplicate:,}")
    errors.print(table)
    if counts.blank_lines:
        errors.print(f"{counts.blank_lines:,} blank lines were left out")
    errors.print(f"as of {run.as_of:%Y-%m-%d %H:%M:%S} UTC")


def explain(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="- reads it from stdin.")],
    purpose: PurposeName = "marketing",
    scope: Scope = "*",
    channel: ChannelName = "email",
    region: Region = None,
    party: PartyName = None,
    data: Data = None,
) -> None:
    """Say why an address is or is not let through."""

    async def work(context: Context) -> Explanation:
        given, (known, where) = read_addresses([address])[0], read_channel(channel, region)
        question = await read_question(context, purpose, scope, channel, party)
        return await explain_address(context, parse_contact_point(known, given, where), question)

    explanation = run_with_context(work, data)
    verdict = explanation.verdict
    output.print(f"{verdict.outcome.value}{f' ({verdict.reason})' if verdict.reason else ''}")
    output.print(explanation.rule)
    for entry in explanation.entries:
        _show_entry(entry)
    for opt_in in explanation.grants:
        state = f"lifted {opt_in.lifted_at:%Y-%m-%d %H:%M}" if opt_in.lifted_at else "stands"
        output.print(f"\ngrant {opt_in.id}: {opt_in.scope} since {opt_in.granted_at:%Y-%m-%d %H:%M} UTC, {state}")


def _show_entry(entry: ExplainedEntry) -> None:
    state = entry.state
    standing = f"lifted {state.lifted_at:%Y-%m-%d %H:%M} UTC" if state.lifted_at else "stands"
    output.print(
        f"\nentry {state.id}: {state.reason.value} of {state.scope} by {state.source.value} "
        f"since {state.since:%Y-%m-%d %H:%M} UTC, {standing}"
    )
    for line in entry.history:
        event = line.event
        batch = f" (batch {event.batch_id})" if event.batch_id is not None else ""
        output.print(f"  {event.at:%Y-%m-%d %H:%M:%S} {event.action} by {event.source.value}, {event.actor}{batch}")
        for name, value in (line.evidence or {}).items():
            output.print(f"      {name}: {value}")
