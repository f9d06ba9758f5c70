"""suppress, lift, erase, links."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from forbear.cli.questions import ChannelName, Region, read_channel
from forbear.cli.running import (
    Addresses,
    AsJson,
    Data,
    Scope,
    errors,
    operator_name,
    output,
    read_addresses,
    run_with_context,
)
from forbear.domain.address import Domain
from forbear.domain.contact_point import Target, parse_target
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.context import Context
from forbear.services.decision import read_address
from forbear.services.links import Links, make_links, open_link_maker
from forbear.services.suppression import Assertion

_BATCH = 5_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(suppress)
    app.command()(lift)
    app.command()(erase)
    app.command()(links)


def suppress(
    addresses: Addresses = None,
    reason: Annotated[str, typer.Option(help="Why: unsubscribe, objection, complaint, manual, ...")] = "unsubscribe",
    scope: Scope = "*",
    source: Annotated[str, typer.Option(help="How it came: operator, phone, letter, ...")] = "operator",
    note: Annotated[str, typer.Option(help="What proves it, such as a letter's reference.")] = "",
    channel: ChannelName = "email",
    region: Region = None,
    data: Data = None,
) -> None:
    """Put addresses (or whole domains, as @example.com) on the list."""

    async def work(context: Context) -> tuple[int, int]:
        targets = _read_targets(read_addresses(addresses), *read_channel(channel, region))
        assertions = _make_assertions(targets, reason, scope, source, note)
        added = 0
        for place in range(0, len(assertions), _BATCH):
            done = await suppression.suppress(context, assertions[place : place + _BATCH], actor=operator_name())
            added += sum(line.is_new for line in done)
        return added, len(assertions) - added

    added, already = run_with_context(work, data, may_create=True)
    errors.print(f"{added} added, {already} on the list already")


def _read_targets(given: list[str], channel: Channel, region: str | None) -> list[Target]:
    """Read everything before anything is written, so that a bad line changes nothing."""
    targets = []
    for number, text in enumerate(given, 1):
        try:
            targets.append(parse_target(channel, text, region))
        except InvalidAddress as error:
            raise InvalidInput(f"address {number}: {error.detail}; nothing was written") from error
    return targets


def _make_assertions(targets: list[Target], reason: str, scope: str, source: str, note: str) -> list[Assertion]:
    if reason not in set(Reason) or reason == Reason.ERASED:
        raise InvalidInput(f"--reason is one of: {', '.join(item for item in Reason if item is not Reason.ERASED)}")
    if source not in set(Source):
        raise InvalidInput(f"--source is one of: {', '.join(Source)}")
    evidence = {"note": note} if note else {}
    return [Assertion(target, Reason(reason), scope, Source(source), evidence=evidence) for target in targets]


def lift(
    entry_id: Annotated[int, typer.Argument(metavar="ENTRY", help="The number that explain shows.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for the history.")],
    operator: Annotated[str, typer.Option(help="Who decided. Default: the user who runs this.")] = "",
    data: Data = None,
) -> None:
    """Lift one entry, by a named operator with a reason."""

    async def work(context: Context) -> None:
        if not why.strip():
            raise InvalidInput("--why must say something")
        actor = f"operator:{operator}" if operator else operator_name()
        await suppression.lift(context, entry_id, actor=actor, why=why.strip())

    run_with_context(work, data)
    errors.print(f"entry {entry_id} is lifted")


def erase(
    addresses: Addresses = None, channel: ChannelName = "email", region: Region = None, data: Data = None
) -> None:
    """Erase what identifies addresses, and keep them suppressed."""

    async def work(context: Context) -> int:
        targets = _read_targets(read_addresses(addresses), *read_channel(channel, region))
        for target in targets:
            if isinstance(target, Domain):
                raise InvalidInput("a whole domain cannot be erased, only one address at a time")
            await suppression.erase(context, target, actor=operator_name())
        return len(targets)

    erased = run_with_context(work, data)
    errors.print(f"{erased} erased; a keyed fingerprint of each stays and goes on suppressing")


def links(
    addresses: Addresses = None,
    scope: Scope = "*",
    campaign: Annotated[str, typer.Option(help="Name of the campaign, carried by the links.")] = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make personal unsubscribe and preference links."""

    async def work(context: Context) -> list[tuple[str, Links | None]]:
        given = read_addresses(addresses)
        maker = await open_link_maker(context, scope, campaign)
        return list(zip(given, make_links(maker, [read_address(text) for text in given]), strict=True))

    made = run_with_context(work, data)
    for text, own in made:
        if own is None:
            errors.print("forbear: a line is no deliverable address; no link was made for it")
        elif as_json:
            pair = {"unsubscribe_url": own.unsubscribe_url, "preferences_url": own.preferences_url}
            output.print(orjson.dumps({"address": text, **pair, "list_unsubscribe": own.list_unsubscribe}).decode())
        else:
            output.print(f"{text} {own.unsubscribe_url}")
    if any(own is None for _, own in made):
        raise typer.Exit(1)
