"""feedback: what bounces, complaints and unsubscribe mails would do."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from forbear.cli.running import AsJson, output, run
from forbear.config import Settings
from forbear.domain.errors import TooLarge
from forbear.feedback.events import Effect, Feedback, Kind
from forbear.feedback.limits import LIMITS
from forbear.feedback.mailbox import is_mbox, split_mbox
from forbear.feedback.reader import read_feedback

_feedback = typer.Typer(no_args_is_help=True, help="Bounces, complaints and unsubscribe mails.")
_BEGINNING_BYTES: Final = 200
_READ_BYTES: Final = LIMITS.report_bytes_max + 1


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_feedback, name="feedback")


@_feedback.command("classify")
def classify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mails, mbox files, maildirs; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Say what each mail would do, and do nothing; addresses are printed, and no token's seal is looked at."""

    async def work(_settings: Settings) -> None:
        for name, raw in _list_mails(files):
            found = describe_mail(raw)
            if as_json:
                sys.stdout.buffer.write(orjson.dumps({"file": name, **found}) + b"\n")
            else:
                named = f" ({', '.join(found['recipients'])})" if found["recipients"] else ""
                output.print(f"{name}: {found['kind']}, {found['effect']}{named}: {found['why']}")
        sys.stdout.flush()

    run(work)


def describe_mail(raw: bytes) -> dict[str, Any]:
    """What one mail would do, as it is printed; one that passes a limit would do nothing."""
    try:
        found = read_feedback(raw)
    except TooLarge as error:
        found = Feedback(Kind.OTHER, error.detail, effect=Effect.NONE)
    described: dict[str, Any] = {"kind": found.kind, "effect": found.effect, "recipients": list(found.recipients)}
    if found.status:
        described["status"] = found.status
    return {**described, "why": found.why}


def _list_mails(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        if str(file) == "-":
            yield "-", sys.stdin.buffer.read(_READ_BYTES)
        elif file.is_dir():
            yield from _list_mails(_list_folder(file))
        else:
            yield from _read_file(file)


def _list_folder(folder: Path) -> list[Path]:
    """The mails of a maildir, or all files of another folder, but for those that are hidden."""
    parts = [folder / name for name in ("cur", "new") if (folder / name).is_dir()]
    found = (file for part in parts or [folder] for file in part.iterdir())
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))


def _read_file(file: Path) -> Iterator[tuple[str, bytes]]:
    name = str(file).encode("utf-8", "replace").decode()
    with file.open("rb") as source:
        beginning = source.read(_BEGINNING_BYTES)
        source.seek(0)
        # Mails kept one a file may keep the line of the mbox that they came from; then nothing ends them.
        if file.suffix == ".eml" or not is_mbox(beginning):
            yield name, source.read(_READ_BYTES)
        else:
            for number, raw in enumerate(split_mbox(source, LIMITS.report_bytes_max), 1):
                yield f"{name}#{number}", raw
