"""intake."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import orjson
import typer

from forbear.cli.running import AsJson, Data, errors, operator_name, output, run_with_context
from forbear.domain.errors import InvalidInput, NotFound
from forbear.domain.legal_clock import Jurisdiction, Request
from forbear.domain.postal_address import PostalFields, read_line
from forbear.language import find_language
from forbear.services import intake
from forbear.services.context import Context
from forbear.services.intake import Given, Intake, IntakeView, Match
from forbear.store.intake import Decision, IntakeChannel, IntakeRow

_NEWEST = 2**63 - 1
_ROWS_MAX = 1000
_intake = typer.Typer(no_args_is_help=True, help="What people ask for by phone, letter, e-mail or in person.")
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The number that add and list show.")]
Clear = Annotated[bool, typer.Option("--clear", help="Show addresses and numbers in clear.")]
Kind = TypeVar("Kind", bound=StrEnum)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_intake, name="intake")


@_intake.command("add")
def add_request(
    channel: Annotated[str, typer.Option(help="How it came: phone, letter, email or in_person.")],
    request: Annotated[str, typer.Option(help="everything, scopes, no_sharing or change.")],
    reference: Annotated[str, typer.Option(help="By what it is found again, such as a letter's number.")],
    jurisdiction: Annotated[str, typer.Option(help="Whose law counts: us, us-ca, ca, au, eu, uk or other.")],
    received: Annotated[str, typer.Option(help="The day it came, as 2026-12-23. Default: today.")] = "",
    taken_by: Annotated[str, typer.Option(help="Who took it. Default: the user who runs this.")] = "",
    name: Annotated[str, typer.Option(help="What the person is called.")] = "",
    email: Annotated[str, typer.Option(help="The e-mail address that they gave; the receipt goes there.")] = "",
    phone: Annotated[str, typer.Option(help="The number that they gave.")] = "",
    region: Annotated[str, typer.Option(help="The country of a number without +, such as FR.")] = "",
    post: Annotated[
        str, typer.Option(help="Their postal address: name, lines, postcode and country, with vertical bars between.")
    ] = "",
    scope: Annotated[list[str] | None, typer.Option(help="What is to stop, for --request scopes. Repeatable.")] = None,
    note: Annotated[str, typer.Option(help="What else was said.")] = "",
    language: Annotated[str, typer.Option(help="Of the receipt. Default: that of the contact, else English.")] = "",
    as_json: AsJson = False,
    clear: Clear = False,
    data: Data = None,
) -> None:
    """Write a request down, and apply it to all that is certain."""

    async def work(context: Context) -> IntakeView:
        taken = Intake(
            channel=_read(IntakeChannel, "--channel", channel),
            request=_read(Request, "--request", request),
            taken_by=taken_by or operator_name().partition(":")[2] or "operator",
            reference=reference,
            received_on=_read_day(received),
            jurisdiction=_read(Jurisdiction, "--jurisdiction", jurisdiction),
            given=Given(name, email, phone, region or None, _read_post(post)),
            scopes=tuple(dict.fromkeys(scope or ())),
            note=note,
            language=find_language(language),
        )
        return await intake.take_request(context, taken, actor=operator_name())

    _print_view(run_with_context(work, data, may_create=True), as_json=as_json, in_clear=clear)


@_intake.command("list")
def list_requests(
    every: Annotated[bool, typer.Option("--all", help="Those of which nothing is left to do too.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List what is due, the most pressing first."""

    async def work(context: Context) -> list[IntakeRow]:
        if every:
            return await intake.list_requests(context, below=_NEWEST, limit=_ROWS_MAX)
        return await intake.list_due(context, limit=_ROWS_MAX)

    for row in run_with_context(work, data):
        if as_json:
            output.print(orjson.dumps(_line(row)).decode())
        else:
            state = f"done {row.done_at:%Y-%m-%d}" if row.done_at else f"due {row.due_on}"
            output.print(f"{row.id:>6}  {state:<15} {row.channel:<10} {row.request:<11} {row.reference}")


@_intake.command("show")
def show_request(number: Number, as_json: AsJson = False, clear: Clear = False, data: Data = None) -> None:
    """Show one request with all that was found and decided."""

    async def work(context: Context) -> IntakeView:
        return await intake.get_request(context, number)

    _print_view(run_with_context(work, data), as_json=as_json, in_clear=clear)


@_intake.command("resolve")
def resolve(
    number: Number,
    decision: Annotated[str, typer.Option(help="applied or rejected, about a contact; done, about the whole.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for the history.")],
    contact: Annotated[str, typer.Option(help="The contact's external id, as show shows it.")] = "",
    as_json: AsJson = False,
    clear: Clear = False,
    data: Data = None,
) -> None:
    """Decide about a contact who may be meant, or that nothing is left to do."""

    async def work(context: Context) -> IntakeView:
        chosen = _read(Decision, "--decision", decision)
        contact_id = None
        if contact:
            found = (await intake.get_request(context, number)).matches
            contact_id = next((line.row.contact_id for line in found if line.row.external_id == contact), None)
            if contact_id is None:
                raise NotFound("this request is about no such contact")
        return await intake.resolve(context, number, contact_id, chosen, actor=operator_name(), why=why)

    _print_view(run_with_context(work, data), as_json=as_json, in_clear=clear)


def _read(kind: type[Kind], option: str, text: str) -> Kind:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidInput(f"{option} is one of: {', '.join(kind)}") from error


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError as error:
        raise InvalidInput("--received is a day, such as 2026-12-23") from error


def _read_post(text: str) -> PostalFields | None:
    return read_line(text) if text else None


def _line(row: IntakeRow) -> dict[str, object]:
    return {
        "id": row.id,
        "channel": row.channel,
        "request": row.request,
        "jurisdiction": row.jurisdiction,
        "taken_by": row.taken_by,
        "reference": row.reference,
        "received_on": row.received_on,
        "due_on": row.due_on,
        "done_at": row.done_at,
    }


def _print_view(view: IntakeView, *, as_json: bool, in_clear: bool) -> None:
    row = view.row
    points = [held.plain if in_clear else held.masked for held in view.points]
    if as_json:
        matches = [
            {
                "contact": match.row.external_id,
                "certainty": _certainty(match),
                "decision": match.row.decision,
                "points": _texts(match, in_clear=in_clear),
            }
            for match in view.matches
        ]
        output.print(orjson.dumps({**_line(row), "points": points, "matches": matches}).decode())
        return
    state = "nothing is left to do" if row.done_at else f"due {row.due_on} ({view.clock.law})"
    output.print(f"request {row.id} ({row.reference}): {row.request} by {row.channel}, {state}")
    for text in points:
        output.print(f"  given      {text}")
    for match in view.matches:
        decided = match.row.decision or "to be decided"
        output.print(f"  {_certainty(match):<10} contact {match.row.external_id}: {decided}")
        for text in _texts(match, in_clear=in_clear):
            output.print(f"             {text}")
    if any(match.row.decision is None for match in view.matches):
        errors.print(
            f"forbear: somebody must decide: forbear intake resolve {row.id} --contact ID --decision ... --why ..."
        )


def _certainty(match: Match) -> str:
    return "certain" if match.row.is_certain else "doubtful"


def _texts(match: Match, *, in_clear: bool) -> list[str | None]:
    held = match.contact.points if match.contact else ()
    return [point.plain if in_clear else point.masked for point in held]
