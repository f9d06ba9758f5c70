"""What the commands about single addresses and lists have in common: channel, region, party."""

from __future__ import annotations

from typing import Annotated

import typer

from forbear.domain.contact_point import check_reading_region
from forbear.domain.errors import InvalidInput
from forbear.domain.suppression import Channel, Purpose
from forbear.services.context import Context
from forbear.services.decision import Question
from forbear.services.parties import require_party

ChannelName = Annotated[
    str,
    typer.Option(
        "--channel",
        help="email, phone or post. A postal address is one line with bars between name, lines, postcode and country.",
    ),
]
ChannelOfList = Annotated[str, typer.Option("--channel", help="email, phone or post.")]
Region = Annotated[str | None, typer.Option("--region", help="Where phone numbers without + are dialled, such as FR.")]
PartyName = Annotated[
    str | None, typer.Option("--party", metavar="NAME", help="With the purpose sharing: who would be told.")
]


def read_channel(name: str, region: str | None = None) -> tuple[Channel, str | None]:
    """Read a channel and the region of its national numbers. Raises `InvalidInput`."""
    if name not in set(Channel):
        raise InvalidInput(f"--channel is one of: {', '.join(Channel)}")
    return Channel(name), check_reading_region(Channel(name), region)


async def read_question(
    context: Context, purpose: str, scope: str, channel: str = Channel.EMAIL, party: str | None = None
) -> Question:
    """Read what is to be sent, or who is to be told. Raises `InvalidInput`."""
    if purpose not in set(Purpose):
        raise InvalidInput(f"--purpose is one of: {', '.join(Purpose)}")
    named = None if party is None else await require_party(context, party)
    return Question(Purpose(purpose), scope, read_channel(channel)[0], named)
