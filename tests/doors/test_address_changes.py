"""A change of address: asked of the one on file, then of the new one, and made by the two answers together."""

import asyncio
import re
from uuid import uuid4

import orjson
import pytest

from forbear.domain.address import parse_address
from forbear.domain.keys import Use
from forbear.domain.suppression import Channel, Reason, Source
from forbear.domain.tokens import write_confirm_token
from forbear.services.confirmations import Outcome, confirm, view_confirmation
from forbear.services.contacts import ContactChange, get_contact, put_contact
from forbear.services.sealed_confirmation import Confirmation, Step, pack_confirmation
from forbear.services.suppression import Assertion, suppress
from forbear.store.confirmation import ConfirmationKind, add_confirmation
from tests.doors.recipients import ADDRESS, Door, open_door
from tests.mail_server import running_mail_server
from tests.people import deliver_all, find_verdict, take_link

NEW = "durand@example.org"
CLICK = {"ip": "192.0.2.1"}
WHAT_IS_CHANGED = """
SELECT entries::text AS line FROM entries UNION ALL SELECT grants::text FROM grants
UNION ALL SELECT contact_points::text FROM contact_points UNION ALL SELECT consents::text FROM consents ORDER BY line
"""


@pytest.fixture
async def door(context):
    async with open_door(context) as opened:
        yield opened


@pytest.fixture
async def server():
    async with running_mail_server() as running:
        yield running


@pytest.fixture(autouse=True)
async def contact(door: Door):
    points = {Channel.EMAIL: [parse_address(ADDRESS)]}
    await put_contact(door.context, ContactChange("c-1", points=points), source=Source.API, actor="test")
    entry = Assertion(parse_address(ADDRESS), Reason.UNSUBSCRIBE, "maison/newsletter", Source.PAGE)
    await suppress(door.context, [entry], actor="test")


async def wish(door: Door, new: str = NEW, address: str = ADDRESS):
    """Type a new address into the form behind a link."""
    fields = {"choice": "save", "on": "", "off": "", "new_email": new}
    return await door.post(f"/p/{door.token(address)}", fields)


def words_of(answer) -> str:
    return re.sub(r"<[^>]*>", "", answer.text)


async def run(door: Door, sql: str):
    async with door.context.database.connection() as connection:
        return await connection.fetch(sql)


async def list_addresses(door: Door) -> list[str]:
    return [held.plain for held in (await get_contact(door.context, "c-1")).points]


async def test_p4_whoever_has_a_link_writes_to_its_address_and_to_nobody_else(door: Door, server):
    before = await run(door, WHAT_IS_CHANGED)
    answer = await wish(door)
    assert "We have sent a message to c...@example.com" in words_of(answer)
    assert "we ask d...@example.org" in words_of(answer)
    await deliver_all(door.context, server)
    assert [one.recipients for one in server.received] == [[ADDRESS]]
    assert "d...@example.org" in server.received[0].text()
    assert NEW not in server.received[0].text()
    assert await run(door, WHAT_IS_CHANGED) == before


async def test_p4_the_answer_of_the_address_on_file_alone_changes_nothing(door: Door, server):
    before = await run(door, WHAT_IS_CHANGED)
    await wish(door)
    path, _ = await take_link(door.context, server, ADDRESS)
    looked = await door.get(path)
    assert "Do you want to change your e-mail address?" in looked.text
    answer = await door.post(path)
    assert answer.status == 200
    assert "We have sent a message to d...@example.org" in words_of(answer)
    await deliver_all(door.context, server)
    assert [one.recipients[0] for one in server.received] == [ADDRESS, NEW]
    assert await run(door, WHAT_IS_CHANGED) == before


async def test_p5_both_answers_change_it_and_take_the_opt_outs_along(door: Door, server):
    await wish(door)
    await door.post((await take_link(door.context, server, ADDRESS))[0])
    answer = await door.post((await take_link(door.context, server, NEW))[0])
    assert "From now on we write to d...@example.org" in words_of(answer)
    assert await list_addresses(door) == [NEW]
    assert await find_verdict(door.context, given=NEW) == "unsubscribe"
    assert await door.verdict() == "suppress"
    await deliver_all(door.context, server)
    told = [one.recipients[0] for one in server.received if one.message["Subject"].startswith("Your e-mail")]
    assert sorted(told) == sorted([ADDRESS, NEW])


async def test_answering_again_does_nothing_and_asks_nobody(door: Door, server):
    await wish(door)
    first, _ = await take_link(door.context, server, ADDRESS)
    await asyncio.gather(*(door.post(first) for _ in range(3)))
    second, _ = await take_link(door.context, server, NEW)
    assert len(server.received) == 2
    await asyncio.gather(*(door.post(second) for _ in range(3)))
    await deliver_all(door.context, server)
    assert len(server.received) == 4
    back = ContactChange("c-1", points={Channel.EMAIL: [parse_address(ADDRESS)]})
    await put_contact(door.context, back, source=Source.API, actor="test")
    for path in (first, second):
        assert "This is confirmed already." in (await door.post(path)).text
    await deliver_all(door.context, server)
    assert len(server.received) == 4
    assert await list_addresses(door) == [ADDRESS]


async def test_a_link_from_before_the_address_on_file_was_asked_changes_nothing(door: Door):
    asked = Confirmation(
        ConfirmationKind.CHANGE_EMAIL, parse_address(NEW), "en", other_address=parse_address(ADDRESS), step=Step.NEW
    )
    packed = orjson.loads(pack_confirmation(asked))
    del packed["step"]
    packed["old_address"] = packed.pop("other_address")
    token = await open_row(door, orjson.dumps(packed))
    before = await run(door, WHAT_IS_CHANGED)
    assert (await view_confirmation(door.context, token)).outcome is Outcome.CLOSED
    assert (await confirm(door.context, token, evidence=CLICK)).outcome is Outcome.CLOSED
    assert (await door.post(f"/c/{token}")).status == 410
    assert await run(door, WHAT_IS_CHANGED) == before


async def open_row(door: Door, packed: bytes) -> str:
    """A confirmation whose content is given, and its token."""
    number, keyring = uuid4(), door.context.keyring
    async with door.context.database.connection() as connection:
        await add_confirmation(
            connection,
            number,
            ConfirmationKind.CHANGE_EMAIL,
            fingerprint=keyring.fingerprints.email.make_keys([parse_address(NEW)])[0].match,
            sealed=keyring.seal(Use.CONFIRMATION, packed, number.bytes),
            lifetime=door.context.options.mail.confirmation_lifetime,
        )
    return write_confirm_token(keyring, number)


async def test_a_new_address_is_written_to_once_in_a_window_and_the_answer_is_not_used_up(door: Door, server):
    other = "rosa@example.com"
    for address in (ADDRESS, other):
        await wish(door, address=address)
        path, _ = await take_link(door.context, server, address)
        answer = await door.post(path)
    assert answer.status == 429
    assert "so we have not sent another" in answer.text
    await deliver_all(door.context, server)
    assert [one.recipients[0] for one in server.received] == [ADDRESS, NEW, other]
    await run(door, "UPDATE counters SET began_at = began_at - interval '1 hour'")
    assert (await door.post(path)).status == 200
    await take_link(door.context, server, NEW)
    assert [one.recipients[0] for one in server.received].count(NEW) == 2


async def test_sec11_asking_a_new_address_is_the_same_whether_or_not_it_is_known(door: Door, server):
    bounced = Assertion(parse_address("known@example.org"), Reason.HARD_BOUNCE, "*", Source.PAGE)
    await suppress(door.context, [bounced], actor="test")
    pages, statements = [], []
    for number, new in enumerate(("unknown@example.org", "known@example.org")):
        address = f"person{number}@example.com"
        await wish(door, new, address)
        path, _ = await take_link(door.context, server, address)
        with door.recording() as seen:
            pages.append(words_of(await door.post(path)).replace(new[0] + "...", "x..."))
        # The driver looks up types at times, once for each connection: its own statements begin with an empty line.
        statements.append([line for line in seen if not line.startswith(("\n", "WITH RECURSIVE typeinfo_tree"))])
    assert statements[0] == statements[1]
    assert len(statements[0]) >= 6
    assert pages[0] == pages[1]


async def test_p9_what_is_kept_of_a_change_holds_no_address(door: Door):
    await wish(door)
    (row,) = await run(door, "SELECT * FROM confirmations")
    assert b"example" not in row["sealed"]
