"""Messages through a real SMTP server: what they look like, and what becomes of each."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Reason, Source
from forbear.mailer.message import Sender
from forbear.mailer.pool import Mailer
from forbear.mailer.upstream import Upstream, read_upstream
from forbear.services import outbox, suppression
from forbear.services.context import Context
from forbear.services.outbox import Message, MessageKind, queue_message, send_due
from forbear.services.suppression import Assertion
from forbear.store.outbox import MessageStatus
from tests.mail_server import MailServer, make_certificate, running_mail_server

SENDER = Sender("news@maison.example", "Maison Épée")
ADDRESS = "Camille.Durand@example.com"
VALUES = {
    "link": "https://mail.example.com/c/token",
    "day": "27 November 2026",
    "choices": [{"title": "Letters", "channel": "email"}],
}
RECEIPT = {
    "reference": "T-7",
    "day": "24 November 2026",
    "due_day": "8 December 2026",
    "request": "everything",
    "choices": [],
}


@dataclass
class Post:
    """A list, a mail server, and the way between them."""

    context: Context
    server: MailServer
    upstream: Upstream

    async def queue(self, kind=MessageKind.CONFIRM_SUBSCRIPTION, to=ADDRESS, language="en", **values) -> int:
        chosen = {**(RECEIPT if kind is MessageKind.RECEIPT else VALUES), **values}
        async with self.context.database.transaction() as connection:
            message = Message(kind, parse_address(to), language, "maison", chosen)
            return await queue_message(self.context, connection, message)

    async def send(self, **changes) -> dict[str, int]:
        mailer = Mailer(replace(self.upstream, **changes))
        try:
            return dict(await send_due(self.context, mailer, SENDER))
        finally:
            await mailer.close()

    async def make_due(self) -> None:
        await self.run("UPDATE outbox SET due_at = clock_timestamp() WHERE ended_at IS NULL")

    async def run(self, sql: str):
        async with self.context.database.connection() as connection:
            return await connection.fetch(sql)

    async def row(self):
        (row,) = await self.run("SELECT *, status::text AS status FROM outbox")
        return row


@pytest.fixture
async def post(context) -> AsyncIterator[Post]:
    async with running_mail_server() as server:
        upstream = replace(read_upstream(server.url), timeout_seconds=5)
        yield Post(context, server, upstream)


async def test_a_message_arrives_in_two_versions_and_is_then_forgotten(post):
    await post.queue()
    assert await post.send() == {"delivered": 1}
    (received,) = post.server.received
    assert (received.sender, received.recipients) == (SENDER.address, [ADDRESS])
    message = received.message
    assert message.get_content_type() == "multipart/alternative"
    assert message["From"] == "Maison Épée <news@maison.example>"
    assert message["To"] == ADDRESS
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "Please confirm your subscription"
    assert re.fullmatch(r"<[0-9a-f]{32}@maison\.example>", message["Message-ID"])
    assert message["Date"]
    assert VALUES["link"] in received.text()
    assert f'href="{VALUES["link"]}"' in received.text("html")
    row = await post.row()
    assert (row["status"], row["code"], row["sealed"], row["fingerprint"]) == ("delivered", 250, None, None)


async def test_p9_the_address_stands_in_to_and_nowhere_else(post):
    await post.queue()
    await post.send()
    content = post.server.received[0].content
    assert re.findall(rb"(?i)camille|durand", content) == [b"Camille", b"Durand"]
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")


async def test_what_waits_is_sealed(post):
    await post.queue()
    row = await post.row()
    assert b"camille" not in b"".join(value for value in row.values() if isinstance(value, bytes)).lower()


async def test_a_name_in_a_subject_cannot_make_headers(post):
    await post.queue(MessageKind.RECEIPT, reference="T-7\r\nBcc: all@example.com")
    await post.send()
    message = post.server.received[0].message
    assert message["Bcc"] is None
    assert "T-7 Bcc: all@example.com" in message["Subject"]


async def test_what_people_are_called_cannot_make_html(post):
    await post.queue(choices=[{"title": "<b>x</b>", "channel": "email"}])
    await post.send()
    assert "<b>x</b>" not in post.server.received[0].text("html")


async def test_a_domain_goes_out_as_a_label_and_a_local_part_as_it_is(post):
    await post.queue(to="jürgen@bücher.example")
    assert await post.send() == {"delivered": 1}
    assert post.server.received[0].recipients == ["jürgen@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("command", "answer", "status", "code"),
    [
        ("RCPT", "550 5.1.1 no such user camille", "refused", 550),
        ("RCPT", "450 4.2.1 later", "waiting", 450),
        ("DATA", "554 5.7.1 content", "refused", 554),
        ("DATA", "451 4.3.0 later", "waiting", 451),
        ("MAIL", "550 5.7.1 you may not", "waiting", 550),
    ],
)
async def test_a_refusal_is_reduced_to_its_code(post, command, answer, status, code):
    post.server.answers[command] = answer
    await post.queue()
    await post.send()
    row = await post.row()
    assert (row["status"], row["code"]) == (status, code)
    assert (row["sealed"] is None) == (status == "refused")


async def test_a_message_is_tried_again_later_each_time(post):
    post.server.answers["RCPT"] = "450 later"
    await post.queue()
    waits = []
    for _ in range(9):
        await post.make_due()
        assert await post.send() == {"postponed": 1}
        (row,) = await post.run("SELECT due_at - clock_timestamp() AS wait FROM outbox")
        waits.append(round(row["wait"] / timedelta(minutes=1)))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert await post.send() == {}
    post.server.answers.clear()
    await post.make_due()
    assert await post.send() == {"delivered": 1}


async def test_a_message_is_given_up_when_its_time_is_over(post):
    await post.queue()
    await post.run("UPDATE outbox SET give_up_at = clock_timestamp()")
    assert await post.send() == {"given_up": 1}
    assert post.server.received == []
    assert (await post.row())["sealed"] is None


async def test_an_upstream_that_is_away_costs_nothing_but_time(post):
    for _ in range(9):
        await post.queue()
    assert await post.send(port=1) == {"postponed": 4}
    await post.make_due()
    assert await post.send() == {"delivered": 9}


async def test_a_message_whose_fate_is_unknown_goes_out_again_under_the_same_id(post):
    post.server.breaks_off_after_dot = True
    await post.queue()
    assert await post.send() == {"postponed": 1}
    assert (await post.row())["is_offered"]
    post.server.breaks_off_after_dot = False
    await post.make_due()
    assert await post.send() == {"delivered": 1}
    first, second = (received.message["Message-ID"] for received in post.server.received)
    assert first == second


async def test_connections_are_used_again_and_few(post):
    for _ in range(20):
        await post.queue()
    assert await post.send(connections_max=2) == {"delivered": 20}
    assert post.server.sessions <= 2


async def test_a_connection_that_the_server_has_closed_is_replaced(post):
    mailer = Mailer(post.upstream)
    for number in (1, 2):
        await post.queue()
        assert await send_due(post.context, mailer, SENDER) == {"delivered": 1}
        assert post.server.sessions == number
        mailer._idle[0].client.transport.abort()
    await mailer.close()


async def test_a_receipt_is_withheld_from_an_address_that_bounced_and_a_confirmation_is_not(post):
    bounced = Assertion(parse_address(ADDRESS), Reason.HARD_BOUNCE, "*", Source.BOUNCE)
    await suppression.suppress(post.context, [bounced], actor="test")
    await post.queue(MessageKind.RECEIPT)
    await post.queue()
    assert await post.send() == {"withheld": 1, "delivered": 1}
    assert post.server.received[0].message["Subject"] == "Please confirm your subscription"


async def test_p6_what_waits_for_somebody_who_is_erased_is_withheld(post):
    await post.queue()
    await suppression.erase(post.context, parse_address(ADDRESS), actor="test")
    row = await post.row()
    assert (row["status"], row["sealed"], row["fingerprint"]) == ("withheld", None, None)
    assert await post.send() == {}


async def test_two_workers_send_each_message_once(post):
    for number in range(30):
        await post.queue(to=f"person{number}@example.com")
    done = await asyncio.gather(post.send(), post.send())
    assert sum(line.get("delivered", 0) for line in done) == 30
    assert len({received.recipients[0] for received in post.server.received}) == len(post.server.received) == 30


async def test_a_worker_that_has_lost_its_hold_sends_nothing(post):
    await post.queue()

    async def lose(*_arguments):
        await post.run("UPDATE outbox SET holder = gen_random_uuid()")
        return "250 OK"

    post.server._answer = lose
    assert await post.send() == {"lost": 1}
    assert post.server.received == []


async def test_a_message_goes_out_only_with_the_transaction_that_it_belongs_to(post):
    message = Message(MessageKind.CONFIRM_SUBSCRIPTION, parse_address(ADDRESS), "en", "maison", VALUES)
    async with post.context.database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await queue_message(post.context, connection, message)
        await transaction.rollback()
    assert await post.run("SELECT FROM outbox") == []


async def test_the_outbox_is_counted(post):
    for _ in range(2):
        await post.queue()
    view = await outbox.view_outbox(post.context)
    assert view.counts == {MessageStatus.WAITING: 2}
    assert view.oldest_waiting is not None
    await post.send()
    assert await outbox.view_outbox(post.context) == outbox.OutboxView({MessageStatus.DELIVERED: 2}, None)


# TLS and log-in


@pytest.mark.parametrize("scheme", ["smtps", "starttls"])
async def test_a_connection_is_protected_and_the_certificate_checked(context, tmp_path, scheme):
    public, tls = make_certificate(tmp_path)
    async with running_mail_server(**{"tls" if scheme == "smtps" else "starttls": tls}) as server:
        upstream = replace(read_upstream(f"{scheme}://127.0.0.1:{server.port}"), timeout_seconds=5)
        post = Post(context, server, upstream)
        await post.queue()
        assert await post.send() == {"postponed": 1}
        assert server.received == []
        await post.make_due()
        assert await post.send(ca_file=public) == {"delivered": 1}


async def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(post):
    await post.queue()
    upstream = read_upstream(f"starttls://127.0.0.1:{post.server.port}")
    assert await post.send(security=upstream.security) == {"postponed": 1}
    assert post.server.received == []


@pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning", "ignore:Requiring AUTH:UserWarning")
@pytest.mark.parametrize(("password", "status"), [("right p@ss", "delivered"), ("wrong", "waiting")])
async def test_a_wrong_password_is_for_an_operator_and_loses_no_message(context, password, status):
    async with running_mail_server(has_login=True) as server:
        url = f"smtp://relay%40maison:{password.replace(' ', '%20').replace('@', '%40')}@127.0.0.1:{server.port}"
        post = Post(context, server, replace(read_upstream(url), timeout_seconds=5))
        await post.queue()
        await post.send()
        assert (await post.row())["status"] == status
        assert server.logins[0] == b"relay@maison:" + password.encode()
