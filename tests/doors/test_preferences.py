"""The preference centre: what a link switches off, what it asks for, and what it never does."""

import re

import pytest

from forbear.domain.address import parse_address
from forbear.domain.contact_point import parse_contact_point
from forbear.domain.suppression import Channel, Purpose, Reason, Source
from forbear.services import suppression
from forbear.services.confirmations import CHANGES_MAX
from forbear.services.contacts import ContactChange, put_contact
from forbear.services.scopes import add_scope
from forbear.services.suppression import Assertion
from tests.doors.recipients import ADDRESS, Door, open_door
from tests.mail_server import running_mail_server
from tests.people import PHONE, SALON, WATCHES, add_parties, add_person, deliver_all, find_verdict, take_link

LETTER, EVENTS = "email:maison/newsletter", "email:maison/events"
OTHER_PHONE = "+33142685399"
GPC = {"Sec-GPC": "1"}


@pytest.fixture
async def door(context):
    await add_scope(context, "maison", {"en": "Maison & Fils"})
    await add_scope(context, "maison/newsletter", {"en": "The Letter", "fr": "La Lettre"})
    async with open_door(context) as opened:
        yield opened


@pytest.fixture
async def server():
    async with running_mail_server() as running:
        yield running


def fields_of(page) -> dict[str, str]:
    """What a browser would send if nothing were touched."""
    hidden = dict(re.findall(r'<input type="hidden" name="(on|off)" value="([^"]*)"', page.text))
    ticked = re.findall(r'<input type="checkbox" name="([^"]+)" value="on" checked>', page.text)
    return {**hidden, **dict.fromkeys(ticked, "on"), "choice": "save", "new_email": ""}


async def save(door: Door, *, off=(), on=(), token=None, **more):
    """Show the page, touch some boxes, and press the button."""
    path = f"/p/{token or door.token()}"
    fields = fields_of(await door.get(path))
    assert {*off} <= fields.keys()
    for key in off:
        del fields[key]
    return await door.post(path, {**fields, **dict.fromkeys(on, "on"), **more})


async def assert_entry(door: Door, reason: Reason, scope="*", source=Source.LETTER):
    line = Assertion(parse_address(ADDRESS), reason, scope, source)
    await suppression.suppress(door.context, [line], actor="test")


def key_of(page, channel: str, scope: str = "maison/newsletter") -> str:
    return re.search(rf'name="({channel}-[0-9a-f]+:{scope})"', page.text)[1]


async def test_boxes_show_what_may_be_sent(door: Door):
    await assert_entry(door, Reason.UNSUBSCRIBE, "maison/events")
    fields = fields_of(await door.get(f"/p/{door.token()}"))
    assert fields["on"].split() == [LETTER, "email:atelier", "sharing:sharing"]
    assert fields["off"].split() == [EVENTS]


async def test_saving_what_was_shown_changes_nothing(door: Door):
    await assert_entry(door, Reason.UNSUBSCRIBE, "maison/events")
    before = await door.photograph()
    answer = await save(door)
    assert (answer.status, "All is as it was." in answer.text) == (200, True)
    assert await door.photograph() == before


async def test_a_topic_taken_off_is_off_at_once_and_can_be_taken_back(door: Door):
    answer = await save(door, off=[LETTER])
    assert "The Letter" in answer.text
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "preferences")]
    assert [await door.verdict(scope) for scope in ("maison/newsletter", "maison/events")] == ["suppress", "deliver"]
    undo = {"undo": re.search(r'name="undo" value="([\w-]+)"', answer.text)[1]}
    assert (await door.post(f"/u/{door.token()}/undo", undo)).status == 200
    assert await door.verdict() == "deliver"


async def test_p4_a_tick_sends_a_message_and_switches_nothing_on(door: Door, server):
    await assert_entry(door, Reason.OBJECTION)
    answer = await save(door, on=[EVENTS])
    assert "waits for your confirmation" in answer.text
    assert await door.verdict("maison/events") == "suppress"
    path, text = await take_link(door.context, server, ADDRESS)
    assert "Events" in text
    shown = await door.get(path)
    assert (shown.status, "Do you want this again?" in shown.text) == (200, True)
    assert await door.verdict("maison/events") == "suppress"
    assert "it is confirmed" in (await door.post(path)).text
    assert [await door.verdict(scope) for scope in ("maison/events", "maison/newsletter", "*")] == [
        "deliver",
        "suppress",
        "suppress",
    ]


async def test_a_confirmation_works_once_and_says_so(door: Door, server):
    await assert_entry(door, Reason.OBJECTION)
    await save(door, on=[EVENTS])
    path, _ = await take_link(door.context, server, ADDRESS)
    await door.post(path)
    await assert_entry(door, Reason.OBJECTION)
    for answer in (await door.get(path), await door.post(path)):
        assert (answer.status, "This is confirmed already." in answer.text) == (200, True)
    assert await door.verdict("maison/events") == "suppress"


async def test_an_answer_from_a_bounced_address_lifts_its_bounce(door: Door, server):
    await assert_entry(door, Reason.HARD_BOUNCE, source=Source.BOUNCE)
    page = await door.get(f"/p/{door.token()}")
    assert "At present we send nothing there." in page.text
    await save(door, on=[LETTER])
    path, _ = await take_link(door.context, server, ADDRESS)
    assert await door.verdict(purpose=Purpose.TRANSACTIONAL) == "suppress"
    await door.post(path)
    assert [await door.verdict(purpose=each) for each in (Purpose.TRANSACTIONAL, Purpose.MARKETING)] == ["deliver"] * 2


async def test_sec01_a_link_confirms_nothing_and_a_confirmation_is_no_link(door: Door, server):
    await assert_entry(door, Reason.OBJECTION)
    await save(door, on=[EVENTS])
    path, _ = await take_link(door.context, server, ADDRESS)
    before = await door.photograph()
    token = path.removeprefix("/c/")
    answers = [await door.post(f"/c/{door.token()}"), await door.post(f"/p/{token}", {"choice": "everything"})]
    answers += [await door.get(f"/{letter}/{token}") for letter in "up"]
    assert {answer.status for answer in answers} == {404}
    assert await door.photograph() == before


async def test_p10_looking_at_a_confirmation_changes_nothing(door: Door, server):
    await assert_entry(door, Reason.OBJECTION)
    await save(door, on=[EVENTS])
    path, _ = await take_link(door.context, server, ADDRESS)
    before = await door.photograph()
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        await door.ask(method, path)
    assert await door.photograph() == before


async def test_p5_a_page_that_was_shown_before_an_opt_out_does_not_ask_it_back(door: Door, server):
    path = f"/p/{door.token()}"
    fields = fields_of(await door.get(path))
    await assert_entry(door, Reason.COMPLAINT, "maison/newsletter")
    answer = await door.post(path, fields)
    assert "All is as it was." in answer.text
    assert await door.verdict() == "suppress"
    async with door.context.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


@pytest.mark.parametrize("key", ["email:nowhere", "phone-00000000:maison", "sharing:sharing/nobody", ":", "x:*"])
async def test_keys_that_were_never_shown_do_nothing(door: Door, key):
    before = await door.photograph()
    fields = {"on": f"{key} {key}", "off": f"email:{key}", f"email:{key}": "on", "choice": "save"}
    answer = await door.post(f"/p/{door.token()}", fields)
    assert (answer.status, "All is as it was." in answer.text) == (200, True)
    assert await door.photograph() == before


async def test_phone_and_post_are_masked_and_switched_off_one_by_one(door: Door):
    await add_person(door.context)
    page = await door.get(f"/p/{door.token()}")
    assert not re.search(r"42685300|rue de la Paix|Durand", page.text)
    assert "+33...00" in page.text
    await save(door, off=[key_of(page, "phone")])
    assert await find_verdict(door.context, channel=Channel.PHONE) == "unsubscribe"
    assert await find_verdict(door.context, "maison/events", channel=Channel.PHONE) == "deliver"
    assert [await find_verdict(door.context, channel=other) for other in (Channel.EMAIL, Channel.POST)] == [
        "deliver"
    ] * 2


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (["phone"], False),
        (["post"], False),
        (["sharing:sharing/affiliate"], False),
        ([EVENTS, "phone"], False),
        ([LETTER], True),
        ([LETTER, "phone", "sharing:sharing/affiliate"], True),
    ],
)
async def test_p11_undo_speaks_of_the_list_only_where_it_was_taken_back(door: Door, off, says):
    await add_person(door.context, language=None)
    await add_parties(door.context)
    page = await door.get(f"/p/{door.token()}")
    saved = await save(door, off=[key if ":" in key else key_of(page, key) for key in off])
    undo = {"undo": re.search(r'name="undo" value="([\w-]+)"', saved.text)[1]}
    answer = await door.post(f"/u/{door.token()}/undo", undo)
    assert (answer.status, "We have taken back what you chose a moment ago." in answer.text) == (200, True)
    assert (bool(re.search(r"receives [^.]+ again", answer.text)), "Another opt-out" in answer.text) == (says, False)
    assert await door.verdict() == "deliver"


async def test_p11_undo_of_calls_does_not_speak_of_an_opt_out_that_stands(door: Door):
    await add_person(door.context, language=None)
    await assert_entry(door, Reason.OBJECTION)
    saved = await save(door, off=[key_of(await door.get(f"/p/{door.token()}"), "phone")])
    undo = {"undo": re.search(r'name="undo" value="([\w-]+)"', saved.text)[1]}
    assert "Another opt-out" not in (await door.post(f"/u/{door.token()}/undo", undo)).text


async def test_phone_comes_back_by_the_mailbox_of_its_contact(door: Door, server):
    await add_person(door.context)
    key = key_of(await door.get(f"/p/{door.token()}"), "phone")
    await save(door, off=[key])
    await save(door, on=[key])
    assert await find_verdict(door.context, channel=Channel.PHONE) == "unsubscribe"
    path, _ = await take_link(door.context, server, ADDRESS)
    await door.post(path)
    assert await find_verdict(door.context, channel=Channel.PHONE) == "deliver"


async def test_p4_a_mailbox_of_two_contacts_switches_off_for_both_and_on_for_neither(door: Door, server):
    await add_person(door.context, language=None)
    await add_parties(door.context)
    theirs = {Channel.EMAIL: [parse_address(ADDRESS)], Channel.PHONE: [parse_contact_point(Channel.PHONE, OTHER_PHONE)]}
    change = ContactChange("other", points=theirs)
    await put_contact(door.context, change, source=Source.API, actor="test")
    page = await door.get(f"/p/{door.token()}")
    phones = re.findall(r'name="(phone-[0-9a-f]+:maison/newsletter)"', page.text)
    assert len(phones) == 2
    assert page.text.count("More than one person uses this e-mail address") == 3
    await save(door, off=[*phones, LETTER, "sharing:sharing/affiliate"])
    for phone in (PHONE, OTHER_PHONE):
        assert await find_verdict(door.context, channel=Channel.PHONE, given=phone) == "unsubscribe"
    page = await door.get(f"/p/{door.token()}")
    assert all(f'name="{key}" value="on" disabled' in page.text for key in phones)
    await save(door, on=[*phones, LETTER, "sharing:sharing/affiliate"])
    path, _ = await take_link(door.context, server, ADDRESS)
    await door.post(path)
    assert await door.verdict() == "deliver"
    assert await find_verdict(door.context, "*", party=SALON) == "deliver"
    for phone in (PHONE, OTHER_PHONE):
        assert await find_verdict(door.context, channel=Channel.PHONE, given=phone) == "unsubscribe"
        assert await find_verdict(door.context, "*", Channel.PHONE, phone, party=SALON) == "no_sharing"


async def test_other_addresses_of_a_contact_are_not_shown(door: Door):
    await add_person(door.context, phone=PHONE)
    other = await door.get(f"/p/{door.token('somebody@example.org')}")
    assert "+33" not in other.text


async def test_everything_covers_the_address_and_offers_the_rest(door: Door):
    await add_person(door.context)
    answer = await door.post(f"/p/{door.token()}", {"choice": "everything"})
    assert await find_verdict(door.context, channel=Channel.PHONE) == "deliver"
    assert 'value="rest"' in answer.text
    assert "+33...00" in answer.text
    await door.post(f"/p/{door.token()}", {"choice": "rest"})
    assert [await find_verdict(door.context, "*", channel) for channel in Channel] == ["objection"] * 3


async def test_sharing_is_a_choice_by_kind_of_party_for_every_point(door: Door, server):
    await add_person(door.context)
    await add_parties(door.context)
    fields = fields_of(await door.get(f"/p/{door.token()}"))
    assert {"sharing:sharing/affiliate"} <= set(fields["on"].split())
    assert {"sharing:sharing/third-party"} <= set(fields["off"].split())
    await save(door, off=["sharing:sharing/affiliate"], on=["sharing:sharing/third-party"])
    for channel in Channel:
        assert await find_verdict(door.context, "*", channel, party=SALON) == "no_sharing"
        assert await find_verdict(door.context, "*", channel, party=WATCHES) == "no_basis"
    path, _ = await take_link(door.context, server, ADDRESS)
    await door.post(path)
    for channel in Channel:
        assert await find_verdict(door.context, "*", channel, party=SALON) == "no_sharing"
        assert await find_verdict(door.context, "*", channel, party=WATCHES) == "deliver"


async def test_a_new_address_is_asked_and_takes_the_opt_outs_along(door: Door, server):
    await add_person(door.context)
    new = "camille.durand@example.org"
    answer = await save(door, off=[LETTER], new_email=new)
    assert "c...@example.org" in answer.text
    for asked in (ADDRESS, new):
        path, _ = await take_link(door.context, server, asked)
        await door.post(path)
    assert await find_verdict(door.context, given=new) == "unsubscribe"
    assert await door.verdict() == "suppress"


async def test_who_has_a_link_cannot_have_any_number_of_strangers_written_to(door: Door, server):
    answers = [await save(door, new_email=f"stranger{number}@example.org") for number in range(CHANGES_MAX + 1)]
    assert ["We have sent a message to" in answer.text for answer in answers] == [True] * CHANGES_MAX + [False]
    assert "so we have not sent another" in answers[-1].text
    await deliver_all(door.context, server)
    assert [one.recipients for one in server.received] == [[ADDRESS]] * CHANGES_MAX


async def test_p11_a_message_that_was_held_back_is_not_called_sent(door: Door, server):
    await add_scope(door.context, "maison/events", {"en": "Events"})
    await save(door, off=[LETTER, EVENTS])
    assert "We have sent a message to" in (await save(door, on=[LETTER])).text
    answer = await save(door, on=[EVENTS])
    assert "so we have not sent another" in answer.text
    assert "We have sent a message to" not in answer.text
    assert "neither taken anything off" not in answer.text
    await deliver_all(door.context, server)
    assert len(server.received) == 1


async def test_a_house_with_many_topics_can_be_left_one_by_one(door: Door):
    await add_person(door.context, language=None)
    names = [f"maison/a-topic-with-a-rather-long-name-{number}" for number in range(400)]
    async with door.context.database.connection() as connection:
        await connection.execute("INSERT INTO scopes (name) SELECT unnest($1::text[])", names)
    await add_scope(door.context, "maison/events", {"en": "Events"})  # has the scopes read anew
    assert "Your choice is kept." in (await save(door, off=[f"email:{names[-1]}"])).text
    assert await door.verdict(names[-1]) == "suppress"
    assert await door.verdict(names[0]) == "deliver"


@pytest.mark.parametrize("text", ["camille", "a@b@c", "@example.com", "x" * 5000])
async def test_a_new_address_that_is_none_is_said_beside_it_and_nothing_is_done(door: Door, text):
    before = await door.photograph()
    answer = await save(door, off=[LETTER], new_email=text)
    assert answer.status == 422
    assert 'id="email-error" role="alert"' in answer.text
    assert await door.photograph() == before


# Global Privacy Control


async def test_gp01_the_signal_is_recorded_on_get_for_sharing_alone_and_once(door: Door):
    await add_person(door.context)
    await add_parties(door.context)
    page = await door.get(f"/p/{door.token()}", headers=GPC)
    assert set(await door.list_entries()) == {("no_sharing", "*", "gpc")}
    assert [await door.verdict(purpose=purpose) for purpose in (Purpose.SHARING, Purpose.MARKETING)] == [
        "suppress",
        "deliver",
    ]
    assert [await find_verdict(door.context, "*", channel, party=SALON) for channel in Channel] == ["no_sharing"] * 3
    assert "sharing:sharing/affiliate" in fields_of(page)["off"]
    before = await door.photograph()
    await door.get(f"/p/{door.token()}", headers=GPC)
    assert await door.photograph() == before


async def test_gp02_the_page_says_that_the_signal_was_honored(door: Door):
    for letter in "pu":
        assert "Opt-out request honored." in (await door.get(f"/{letter}/{door.token()}", headers=GPC)).text
        assert "honored" not in (await door.get(f"/{letter}/{door.token()}")).text


@pytest.mark.parametrize("value", ["0", "", "true", "1, 1", "11"])
async def test_gp01_any_other_value_is_no_signal(door: Door, value):
    before = await door.photograph()
    await door.get(f"/p/{door.token()}", headers={"Sec-GPC": value})
    assert await door.photograph() == before


async def test_gp01_a_look_ahead_and_a_broken_link_record_nothing(door: Door):
    before = await door.photograph()
    await door.ask("HEAD", f"/p/{door.token()}", headers=GPC)
    assert (await door.get("/p/broken", headers=GPC)).status == 404
    assert await door.photograph() == before


async def test_gp04_gp05_the_signal_is_announced_and_told_apart(door: Door):
    answer = await door.get("/.well-known/gpc.json")
    assert re.fullmatch(r'\{"gpc": true, "lastUpdate": "\d{4}-\d\d-\d\d"\}', answer.text)
    page = await door.get(f"/p/{door.token()}")
    assert "Sec-GPC" in page.headers["Vary"]
    assert page.headers["Cache-Control"] == "no-store"


# Languages


async def test_a_page_speaks_the_contacts_language_then_the_browsers(door: Door):
    german = {"Accept-Language": "de-CH, en;q=0.5"}
    page = await door.get(f"/p/{door.token()}", headers=german)
    assert ('<html lang="de">' in page.text, page.headers["Content-Language"]) == (True, "de")
    await add_person(door.context, language="fr")
    page = await door.get(f"/p/{door.token()}", headers=german)
    assert '<html lang="fr">' in page.text
    assert "La Lettre" in page.text
    assert "Tout arr\u00eater" in page.text
