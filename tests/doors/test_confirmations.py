"""Confirmations: asked for by anybody, answered by whoever reads the mailbox, and what an answer makes."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from forbear.domain.address import parse_address
from forbear.domain.errors import BrokenToken
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.party import Party, PartyKind
from forbear.domain.suppression import Channel, Purpose, Reason, Source
from forbear.mailer.message import Sender
from forbear.mailer.pool import Mailer
from forbear.mailer.upstream import read_upstream
from forbear.services import decision, suppression
from forbear.services.confirmations import ASKED_MAX, Outcome, confirm, request_confirmation, view_confirmation
from forbear.services.context import Context
from forbear.services.decision import Question
from forbear.services.outbox import send_due
from forbear.services.retention import delete_expired
from forbear.services.sealed_confirmation import Confirmation, OptIn
from forbear.services.suppression import Assertion
from forbear.store.confirmation import ConfirmationKind
from tests.mail_server import MailServer, running_mail_server

ADDRESS, NEW = "camille@example.com", "camille.durand@example.org"
CLICK = {"ip": "192.0.2.1", "user_agent": "a browser"}
LETTERS, EVENTS = "maison/newsletter", "maison/events"


@dataclass
class Mailbox:
    """A list, and everybody's mailbox."""

    context: Context
    server: MailServer

    async def ask(self, kind=ConfirmationKind.SUBSCRIBE, address=ADDRESS, *scopes: str, **more) -> None:
        opt_ins = more.pop("opt_ins", tuple(OptIn(scope) for scope in scopes))
        chosen = {"language": "en", "scope": "maison", "source": Source.PAGE, **more}
        await request_confirmation(self.context, Confirmation(kind, parse_address(address), opt_ins=opt_ins, **chosen))

    async def deliver(self) -> None:
        mailer = Mailer(replace(read_upstream(self.server.url), timeout_seconds=5))
        await send_due(self.context, mailer, Sender("news@maison.example", "Maison"))
        await mailer.close()

    async def take_token(self, address=ADDRESS) -> str:
        """The token of the one message that has come to an address."""
        await self.deliver()
        (received,) = [one for one in self.server.received if one.recipients == [address] and "/c/" in one.text()]
        return re.search(r"/c/(\S+)", received.text())[1]

    async def suppress(self, reason: Reason, scope="*", address=ADDRESS, **more) -> None:
        line = Assertion(parse_address(address), reason, scope, Source.PAGE, **more)
        await suppression.suppress(self.context, [line], actor="test")

    async def verdict(self, scope=LETTERS, address=ADDRESS, purpose=Purpose.MARKETING, **more) -> str:
        checked = await decision.check(self.context, [address], Question(purpose, scope, **more))
        return checked.verdicts[0].reason or "deliver"

    async def run(self, sql: str):
        async with self.context.database.connection() as connection:
            return await connection.fetch(sql)


@pytest.fixture
async def mailbox(context) -> AsyncIterator[Mailbox]:
    options = replace(context.options, public_url="https://mail.example.com")
    async with running_mail_server() as server:
        yield Mailbox(replace(context, options=options), server)


async def test_p4_an_answer_grants_what_was_asked_for_and_nothing_else(mailbox):
    await mailbox.suppress(Reason.OBJECTION)
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    assert await mailbox.verdict() == "objection"
    done = await confirm(mailbox.context, token, evidence=CLICK)
    assert (done.outcome, done.masked_address, done.titles) == (Outcome.DONE, "c...@example.com", ("Newsletter",))
    assert await mailbox.verdict(LETTERS) == "deliver"
    assert [await mailbox.verdict(scope) for scope in (EVENTS, "maison", "*", "atelier")] == ["objection"] * 4


async def test_p10_looking_at_a_confirmation_does_nothing(mailbox):
    await mailbox.suppress(Reason.UNSUBSCRIBE)
    await mailbox.ask(ConfirmationKind.RETURN, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    before = await mailbox.run("SELECT xmin, confirmations FROM confirmations")
    for _ in range(3):
        shown = await view_confirmation(mailbox.context, token)
        assert (shown.kind, shown.outcome, shown.address) == (ConfirmationKind.RETURN, None, None)
    assert await mailbox.run("SELECT xmin, confirmations FROM confirmations") == before
    assert await mailbox.verdict() == "unsubscribe"


async def test_a_link_works_once(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    answers = await asyncio.gather(*(confirm(mailbox.context, token, evidence=CLICK) for _ in range(4)))
    assert sorted(answer.outcome for answer in answers) == ["done", "used", "used", "used"]
    await mailbox.suppress(Reason.UNSUBSCRIBE, LETTERS)
    assert (await confirm(mailbox.context, token, evidence=CLICK)).outcome is Outcome.USED
    assert await mailbox.verdict() == "unsubscribe"


async def test_a_link_works_for_a_limited_time(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    await mailbox.run("UPDATE confirmations SET closes_at = clock_timestamp()")
    assert (await view_confirmation(mailbox.context, token)).outcome is Outcome.CLOSED
    assert (await confirm(mailbox.context, token, evidence=CLICK)).outcome is Outcome.CLOSED
    assert await mailbox.run("SELECT FROM grants") == []
    await mailbox.run("UPDATE confirmations SET closes_at = closes_at - interval '8 days'")
    assert (await delete_expired(mailbox.context)).confirmations == 1
    with pytest.raises(BrokenToken):
        await view_confirmation(mailbox.context, token)


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token[::-1], lambda _: "x", lambda _: ""])
async def test_a_damaged_link_is_told_as_such(mailbox, change):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    with pytest.raises(BrokenToken):
        await confirm(mailbox.context, change(await mailbox.take_token()), evidence=CLICK)


async def test_one_message_of_a_kind_goes_to_an_address_in_a_window(mailbox):
    for _ in range(5):
        await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    await mailbox.ask(ConfirmationKind.RETURN, ADDRESS, LETTERS)
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, NEW, LETTERS)
    await mailbox.deliver()
    assert len(mailbox.server.received) == 3
    await mailbox.run("UPDATE counters SET began_at = began_at - interval '1 hour'")
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    await mailbox.deliver()
    assert len(mailbox.server.received) == 4


async def test_brands_that_somebody_signs_up_for_one_after_the_other_all_ask(mailbox):
    for scope in ("maison", "atelier", "maison", "atelier"):
        await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, scope, scope=scope)
    await mailbox.deliver()
    assert len(mailbox.server.received) == 2


async def test_an_address_gets_a_handful_of_messages_in_a_window_whatever_they_are_about(mailbox):
    for scope in ("maison", "atelier", "*"):
        for kind in (ConfirmationKind.SUBSCRIBE, ConfirmationKind.RETURN):
            await mailbox.ask(kind, scope=scope)
    await mailbox.deliver()
    assert len(mailbox.server.received) == ASKED_MAX


async def test_a_hard_bounced_address_gets_one_message_in_a_window_whatever_it_is_about(mailbox):
    await mailbox.suppress(Reason.HARD_BOUNCE)
    for scope in ("maison", "atelier"):
        for kind in (ConfirmationKind.SUBSCRIBE, ConfirmationKind.RETURN):
            await mailbox.ask(kind, scope=scope)
    await mailbox.deliver()
    assert len(mailbox.server.received) == 1


@pytest.mark.parametrize("kind", [ConfirmationKind.SUBSCRIBE, ConfirmationKind.RETURN])
async def test_a_bounced_address_gets_one_message_and_answering_lifts_the_bounce(mailbox, kind):
    await mailbox.suppress(Reason.HARD_BOUNCE)
    await mailbox.suppress(Reason.SOFT_BOUNCE)
    await mailbox.suppress(Reason.HARD_BOUNCE, address=NEW)
    await mailbox.ask(kind)
    token = await mailbox.take_token()
    assert (await confirm(mailbox.context, token, evidence=CLICK)).outcome is Outcome.DONE
    assert await mailbox.verdict() == "deliver"
    assert await mailbox.verdict(address=NEW) == "hard_bounce"
    assert [row["n"] for row in await mailbox.run("SELECT count(*) AS n FROM events WHERE action = 'lifted'")] == [2]


async def test_a_number_and_a_party_are_opted_in_through_the_mailbox(mailbox):
    phone = Fingerprint(bytes(range(16)))
    await mailbox.suppress(Reason.NO_SHARING, "sharing/third-party")
    opt_ins = (OptIn(LETTERS, Channel.PHONE, phone), OptIn("sharing/third-party"))
    await mailbox.ask(ConfirmationKind.RETURN, opt_ins=opt_ins)
    token = await mailbox.take_token()
    assert "Newsletter, by phone" in mailbox.server.received[0].text()
    await confirm(mailbox.context, token, evidence=CLICK)
    rows = await mailbox.run("SELECT fingerprint, channel::text AS channel, scope FROM grants ORDER BY id")
    assert [(row["channel"], row["scope"]) for row in rows] == [("phone", LETTERS), ("email", "sharing/third-party")]
    assert rows[0]["fingerprint"] == phone
    party = Party("partner", PartyKind.THIRD_PARTY)
    assert await mailbox.verdict("*", purpose=Purpose.SHARING, party=party) == "deliver"
    assert await mailbox.verdict("*", purpose=Purpose.SHARING, party=Party("x", PartyKind.AFFILIATE)) == "deliver"


async def test_an_answer_leaves_evidence_of_both_sides(mailbox):
    await mailbox.ask(
        ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS, evidence={"ip": "198.51.100.7"}, origin="spring fair"
    )
    await confirm(mailbox.context, await mailbox.take_token(), evidence=CLICK)
    (row,) = await mailbox.run("SELECT * FROM consents")
    assert (row["scope"], row["origin"], row["wording_version"]) == (LETTERS, "spring fair", "confirmation-1")
    told = mailbox.context.keyring.open(Use.EVIDENCE, row["sealed_evidence"], row["fingerprint"])
    assert b"198.51.100.7" in told
    assert b"192.0.2.1" in told


# Whoever it is


async def test_sec11_asking_runs_the_same_statements_for_those_we_know_and_those_we_do_not(mailbox):
    async def record(address: str, scope: str) -> list[str]:
        seen: list[str] = []

        def note(query) -> None:
            seen.append(query.query)

        holders = [holder for holder in mailbox.context.database.pool._holders if holder._con is not None]
        for holder in holders:
            holder._con.add_query_logger(note)
        await mailbox.ask(ConfirmationKind.SUBSCRIBE, address, scope, scope=scope)
        for holder in holders:
            holder._con.remove_query_logger(note)
        return [statement for statement in seen if statement not in {"COMMIT;", "ROLLBACK;"}]

    await mailbox.ask(ConfirmationKind.SUBSCRIBE, "first@example.com", LETTERS)
    for address, reason in (("out@example.com", Reason.OBJECTION), ("bounced@example.com", Reason.HARD_BOUNCE)):
        await mailbox.suppress(reason, address=address)
    people, brands = ("unknown", "out", "bounced"), ("maison", "maison", "atelier")
    statements = [await record(f"{who}@example.com", scope) for scope in brands for who in people]
    assert all(each == statements[0] for each in statements)
    assert len(statements[0]) >= 5


async def test_p6_an_erasure_takes_back_what_was_asked(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    await suppression.erase(mailbox.context, parse_address(ADDRESS), actor="test")
    with pytest.raises(BrokenToken):
        await confirm(mailbox.context, token, evidence=CLICK)
    assert await mailbox.verdict() == "erased"


async def test_p9_a_link_and_what_is_kept_hold_no_address(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    (row,) = await mailbox.run("SELECT * FROM confirmations")
    assert b"camille" not in row["sealed"]
    assert len(await mailbox.take_token()) < 100


async def test_a_message_speaks_the_language_that_was_asked_in(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS, language="fr")
    await mailbox.take_token()
    message = mailbox.server.received[0].message
    assert message["Content-Language"] == "fr"
    assert message["Subject"] != "Please confirm your subscription"


async def test_an_answer_counts_from_when_it_was_given(mailbox):
    await mailbox.ask(ConfirmationKind.SUBSCRIBE, ADDRESS, LETTERS)
    token = await mailbox.take_token()
    await mailbox.suppress(Reason.UNSUBSCRIBE)
    await confirm(mailbox.context, token, evidence=CLICK)
    assert await mailbox.verdict() == "deliver"
    await mailbox.suppress(Reason.UNSUBSCRIBE)
    assert await mailbox.verdict() == "unsubscribe"
