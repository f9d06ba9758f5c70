"""A person known to the house, by e-mail, phone and post, and parties whom data may be given to."""

import re
from dataclasses import replace

from forbear.domain.address import parse_address
from forbear.domain.contact_point import parse_contact_point
from forbear.domain.party import Party, PartyKind
from forbear.domain.suppression import Channel, Purpose, Source
from forbear.mailer.message import Sender
from forbear.mailer.pool import Mailer
from forbear.mailer.upstream import read_upstream
from forbear.services import contacts, decision, parties
from forbear.services.contacts import ContactChange
from forbear.services.context import Context
from forbear.services.decision import Question
from forbear.services.outbox import send_due
from forbear.services.parties import PartyDraft
from tests.mail_server import MailServer

EMAIL = "camille@example.com"
PHONE = "+33142685300"
POST = "Camille Durand | 3 rue de la Paix | 75002 | FR"
GIVEN = {Channel.EMAIL: EMAIL, Channel.PHONE: PHONE, Channel.POST: POST}
SALON, WATCHES = Party("salon-lyon", PartyKind.AFFILIATE), Party("watches", PartyKind.THIRD_PARTY)


async def add_person(context: Context, email: str = EMAIL, language: str | None = "fr", **given: str) -> None:
    """Know somebody."""
    points = {Channel.EMAIL: [parse_address(email)]}
    for channel in (Channel.PHONE, Channel.POST):
        points[channel] = [parse_contact_point(channel, given.get(channel.value, GIVEN[channel]))]
    change = ContactChange(
        f"person-{email.partition('@')[0]}", frozenset({"language"}), language=language, points=points
    )
    await contacts.put_contact(context, change, source=Source.API, actor="test")


async def add_parties(context: Context) -> None:
    """Register a salon of the house and a company that is none of it."""
    for party, title in ((SALON, "Salon de Lyon"), (WATCHES, "Montres & Fils")):
        draft = PartyDraft(party.name, party.kind, title, "1 rue de la R\u00e9publique\n69001 Lyon")
        await parties.put_party(context, draft)


async def find_verdict(
    context: Context,
    scope: str = "maison/newsletter",
    channel: Channel = Channel.EMAIL,
    given: str | None = None,
    party: Party | None = None,
) -> str:
    """What a filter says: `deliver`, or the reason."""
    purpose = Purpose.MARKETING if party is None else Purpose.SHARING
    question = Question(purpose, scope, channel, party)
    checked = await decision.check(context, [given or GIVEN[channel]], question)
    return checked.verdicts[0].reason or "deliver"


async def deliver_all(context: Context, server: MailServer) -> None:
    """Send what waits in the outbox, as the worker does."""
    mailer = Mailer(replace(read_upstream(server.url), timeout_seconds=5))
    await send_due(context, mailer, Sender("news@maison.example", "Maison"))
    await mailer.close()


async def take_link(context: Context, server: MailServer, address: str) -> tuple[str, str]:
    """The path of the link in the last message that came to an address, and the message's text."""
    await deliver_all(context, server)
    received = [one for one in server.received if one.recipients == [address]][-1]
    return re.search(r"(/c/[\w-]+)", received.text())[1], received.text()
