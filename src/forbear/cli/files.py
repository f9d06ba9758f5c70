"""Files that commands read and write: progress, tables, and the rows that could not be taken."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, BinaryIO, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from forbear.cli.decisions import write_aside
from forbear.cli.running import errors
from forbear.domain.errors import InvalidInput
from forbear.services.import_file import Rejected
from forbear.store.batch import Batch

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply at once, without a preview.")]
Strict = Annotated[bool, typer.Option("--strict", help="Apply nothing when any row cannot be taken.")]
RejectedFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the rows that could not be taken there.")
]

_SHOWN: Final = 10
"""How many rejected rows are shown one by one; --rejected has them all."""

_PRIVATE: Final = 0o600


@dataclass(slots=True)
class Rejects:
    """Rows that were not taken: all into a file where one is wanted, the first few to be shown."""

    file: IO[bytes] | None
    shown: list[Rejected] = field(default_factory=list)

    def begin(self, header: bytes) -> None:
        """Begin the file with the header, so that its rows can be mended and imported."""
        self._write(header)

    def add(self, row: Rejected) -> None:
        """Take one."""
        self._write(row.raw)
        if len(self.shown) < _SHOWN:
            self.shown.append(row)

    def _write(self, raw: bytes) -> None:
        if self.file is None or not raw:
            return
        try:
            self.file.write(raw if raw.endswith((b"\n", b"\r")) else raw + b"\n")
        except OSError as error:
            raise InvalidInput(f"the rejected rows cannot be written: {error.strerror}") from error


def open_source(file: Path, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    """Open a file, or stdin for `-`, and say how many bytes it has where that is known."""
    if str(file) == "-":
        return sys.stdin.buffer, None
    source = stack.enter_context(file.open("rb"))
    return source, os.fstat(source.fileno()).st_size


@contextmanager
def write_privately(path: Path) -> Iterator[IO[bytes]]:
    """Write a file of addresses: nobody else may read it, and it appears only when complete."""
    with write_aside(path) as file:
        os.fchmod(file.fileno(), _PRIVATE)
        yield file


@contextmanager
def show_progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; yields what is told how much is done."""
    count = TaskProgressColumn() if total is not None else MofNCompleteColumn()
    columns = (TextColumn(what), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def print_table(console: Console, rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print rows under their header as columns; they are never cut or wrapped, whoever reads them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        console.print("  ".join(cells).rstrip())


def show_rejected(batch: Batch, rejects: Rejects, path: Path | None) -> None:
    """Say which rows were not taken, and why."""
    if not batch.count("rejected"):
        return
    rows = [(f"{row.line:,}", f"{row.why}: {row.detail}") for row in rejects.shown]
    print_table(errors, [("line", "why"), *rows], right={"line"})
    more = batch.count("rejected") - len(rejects.shown)
    if more:
        errors.print(f"and {more:,} more")
    errors.print(f"these rows are in {path}" if path else "--rejected FILE writes these rows to a file")
