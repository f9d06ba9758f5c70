"""Contacts, their points and consents: what is kept of them, and that no change of one weakens an opt-out."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from forbear.domain.address import parse_address
from forbear.domain.contact_point import parse_contact_point
from forbear.domain.errors import InvalidInput, NotFound, UnknownScope
from forbear.domain.postal_address import PostalFields, parse_post
from forbear.domain.suppression import Channel, Outcome, Purpose, Reason, Source
from forbear.services.consents import Consent, grant_scope, list_consents_of, open_evidence, withdraw_consent
from forbear.services.contact_points import fingerprint_points
from forbear.services.contacts import (
    ContactChange,
    GivenConsent,
    OptOut,
    erase_contact,
    find_contacts_like,
    get_contact,
    put_contact,
    search_contacts,
)
from forbear.services.decision import Question, check
from forbear.services.suppression import Assertion, erase, suppress

HOME = parse_post(PostalFields("Anna Müller", ("1 Rue de la Paix", "Paris"), "75002", "FR"))
OLD, NEW, OTHER = (parse_address(f"{name}@example.com") for name in ("old", "new", "other"))
PHONE = parse_contact_point(Channel.PHONE, "+33612345678")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def put(context, external_id="c1", *emails, **more):
    points = {Channel.EMAIL: list(emails)} if emails else {}
    change = ContactChange(external_id, points={**points, **more.pop("points", {})}, **more)
    contact, _ = await put_contact(context, change, source=Source.API, actor="test")
    return contact


async def verdict_of(context, address, scope="*", purpose=Purpose.MARKETING):
    checked = await check(context, [address.raw], Question(purpose, scope))
    return checked.verdicts[0].reason or checked.verdicts[0].outcome


async def leave(context, address, reason=Reason.UNSUBSCRIBE, scope="*"):
    await suppress(context, [Assertion(address, reason, scope, Source.PAGE)], actor="test")


# What is kept


async def test_only_what_is_given_changes(context):
    given = frozenset({"name", "language", "country"})
    await put(context, "c1", OLD, given=given, name="Anna  Müller", language="fr", country="fr")
    contact = await put(context, "c1", given=frozenset({"language"}), language=None)
    assert (contact.name, contact.language, contact.country) == ("Anna Müller", None, "FR")
    assert [held.plain for held in contact.points] == ["old@example.com"]
    assert contact == await get_contact(context, "c1")


async def test_points_of_a_channel_become_those_given_in_their_order(context):
    await put(context, "c1", OLD, points={Channel.PHONE: [PHONE]})
    contact = await put(context, "c1", NEW, OLD)
    assert [held.plain for held in contact.points] == ["new@example.com", "old@example.com", "+33612345678"]
    contact = await put(context, "c1", points={Channel.EMAIL: []})
    assert [held.channel for held in contact.points] == [Channel.PHONE]


async def test_a_point_may_be_that_of_two_contacts(context):
    await put(context, "c1", OLD)
    await put(context, "c2", OLD, NEW)
    assert [contact.external_id for contact in await search_contacts(context, OLD)] == ["c1", "c2"]
    await put(context, "c1", OTHER)
    assert [contact.external_id for contact in await search_contacts(context, OLD)] == ["c2"]


async def test_a_contact_is_found_by_every_channel(context):
    await put(context, "c1", OLD, points={Channel.PHONE: [PHONE], Channel.POST: [HOME]})
    for point in (OLD, PHONE, HOME):
        assert [contact.external_id for contact in await search_contacts(context, point)] == ["c1"]


async def test_a_contact_may_be_meant_by_a_name_loosely_written(context):
    await put(context, "c1", OLD, given=frozenset({"name"}), name="Anna Müller", points={Channel.POST: [HOME]})
    await put(context, "c2", NEW, given=frozenset({"name"}), name="Anna Muller")
    found = await find_contacts_like(context, "MULLER, Anna")
    assert [contact.external_id for contact in found] == ["c1", "c2"]
    found = await find_contacts_like(context, "anna müller", "75 002")
    assert [contact.external_id for contact in found] == ["c1"]
    assert await find_contacts_like(context, "...") == []


async def test_p9_nothing_that_names_somebody_is_kept_in_clear(context, connection):
    points = {Channel.PHONE: [PHONE], Channel.POST: [HOME]}
    await put(context, "c1", OLD, given=frozenset({"name"}), name="Anna Müller", points=points)
    kept = b""
    for sql in ("SELECT * FROM contacts", "SELECT * FROM contact_points", "SELECT * FROM contact_hints"):
        rows = await connection.fetch(sql)
        assert rows
        for value in (value for row in rows for value in row.values()):
            kept += value if isinstance(value, bytes) else str(value).encode()
    assert not re.search(rb"old|example|Anna|ller|6123|Paix|7500", kept)


@pytest.mark.parametrize("external_id", ["", " ", " c1", "a@example.com", "c\n1", "c" * 201])
async def test_p9_an_external_id_is_no_address(context, external_id):
    with pytest.raises(InvalidInput):
        await put(context, external_id, OLD)


@pytest.mark.parametrize(
    "more",
    [
        {"language": "French!"},
        {"country": "FRA"},
        {"notice_channel": Channel.PHONE},
        {"name": "a" * 301},
        {"points": {Channel.EMAIL: [OLD] * 51}},
        {"opt_outs": [OptOut(Reason.ERASED, "*")]},
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_written(context, more):
    with pytest.raises(InvalidInput):
        await put(context, "c1", **more)
    with pytest.raises(NotFound):
        await get_contact(context, "c1")


# Opt-outs


async def test_p5_replacing_an_address_leaves_both_opted_out(context):
    await leave(context, OLD)
    await leave(context, NEW, scope="maison")
    await put(context, "c1", OLD)
    await put(context, "c1", NEW)
    await put(context, "c1", OTHER)
    assert await verdict_of(context, OLD) == "unsubscribe"
    assert await verdict_of(context, NEW, "maison") == "unsubscribe"


async def test_p5_who_left_everywhere_has_left_at_a_new_address_too(context):
    await put(context, "c1", OLD)
    await leave(context, OLD, Reason.OBJECTION)
    await put(context, "c1", NEW)
    assert await verdict_of(context, NEW) == "objection"


async def test_who_left_at_one_of_two_addresses_has_not_left_at_a_third(context):
    await put(context, "c1", OLD, OTHER)
    await leave(context, OLD, Reason.OBJECTION)
    await put(context, "c1", OLD, OTHER, NEW)
    assert await verdict_of(context, NEW) == Outcome.DELIVER


async def test_a_bounce_stays_with_its_address(context):
    await put(context, "c1", OLD)
    await leave(context, OLD, Reason.HARD_BOUNCE)
    await put(context, "c1", NEW)
    assert await verdict_of(context, NEW) == Outcome.DELIVER


async def test_what_was_carried_over_counts_from_when_it_was_said(context):
    await put(context, "c1", OLD)
    await leave(context, OLD)
    async with context.database.transaction() as connection:
        await grant_scope(context, connection, make_consent(NEW), actor="test")
    await put(context, "c1", NEW)
    assert await verdict_of(context, NEW, "maison/newsletter") == Outcome.DELIVER
    assert await verdict_of(context, NEW, "maison/events") == "unsubscribe"


async def test_an_opt_out_covers_every_point_of_its_channel(context):
    await put(context, "c1", OLD, NEW, opt_outs=[OptOut(Reason.OBJECTION, "*", Channel.EMAIL)])
    assert [await verdict_of(context, address) for address in (OLD, NEW)] == ["objection", "objection"]
    with pytest.raises(UnknownScope):
        await put(context, "c2", OTHER, opt_outs=[OptOut(Reason.UNSUBSCRIBE, "unknown")])


# Consents


def make_consent(address, scope="maison/newsletter", given_at=None, **more) -> Consent:
    (key,) = fingerprint_points(make_consent.ring, [address])
    return Consent(Channel.EMAIL, key, scope, "2026-01", given_at, Source.PAGE, evidence={"ip": "192.0.2.1"}, **more)


@pytest.fixture(autouse=True)
def _ring(context):
    make_consent.ring = context.keyring


async def test_p4_a_consent_by_itself_overrides_nothing(context):
    await leave(context, OLD)
    consent = GivenConsent(Channel.EMAIL, "maison/newsletter", "2026-01", context.now(), origin="spring")
    for _ in range(2):
        await put(context, "c1", OLD, consents=[consent])
    assert await verdict_of(context, OLD, "maison/newsletter") == "unsubscribe"
    (row,) = await list_consents_of(context, Channel.EMAIL, make_consent(OLD).fingerprint)
    assert (row.wording_version, row.origin, row.grant_id) == ("2026-01", "spring", None)


async def test_p4_a_grant_overrides_in_its_scope_only(context):
    await leave(context, OLD)
    async with context.database.transaction() as connection:
        grant_id = await grant_scope(context, connection, make_consent(OLD), actor="test")
    assert await verdict_of(context, OLD, "maison/newsletter") == Outcome.DELIVER
    assert await verdict_of(context, OLD, "maison") == "unsubscribe"
    (row,) = await list_consents_of(context, Channel.EMAIL, make_consent(OLD).fingerprint)
    assert row.grant_id == grant_id
    assert open_evidence(context, row) == {"ip": "192.0.2.1"}


async def test_p5_a_grant_counts_from_when_it_was_given(context):
    await leave(context, OLD)
    given_at = context.now() - timedelta(days=30)
    async with context.database.transaction() as connection:
        await grant_scope(context, connection, make_consent(OLD, given_at=given_at), actor="test")
    assert await verdict_of(context, OLD, "maison/newsletter") == "unsubscribe"


async def test_withdrawing_opts_out_and_an_older_opt_in_does_not_come_back(context):
    async with context.database.transaction() as connection:
        await grant_scope(context, connection, make_consent(OLD), actor="test")
    await withdraw_consent(context, OLD, "maison", source=Source.PREFERENCES, evidence={}, actor="recipient")
    assert await verdict_of(context, OLD, "maison/newsletter") == "unsubscribe"
    (row,) = await list_consents_of(context, Channel.EMAIL, make_consent(OLD).fingerprint)
    assert row.withdrawn_by == "recipient"
    async with context.database.connection() as connection:
        with pytest.raises(InvalidInput, match="taken back"):
            await grant_scope(context, connection, make_consent(OLD, given_at=LONG_AGO), actor="test")


async def test_withdrawing_an_opt_in_to_sharing_says_no_to_it(context):
    await withdraw_consent(context, OLD, "sharing/third-party", source=Source.GPC, evidence={}, actor="recipient")
    assert await verdict_of(context, OLD, purpose=Purpose.SHARING) == "no_sharing"
    assert await verdict_of(context, OLD) == Outcome.DELIVER


@pytest.mark.parametrize(
    "more", [{"scope": "sharing"}, {"scope": "unknown"}, {"given_at": datetime(2999, 1, 1, tzinfo=UTC)}]
)
async def test_a_consent_that_proves_nothing_is_refused(context, more):
    async with context.database.connection() as connection:
        with pytest.raises(InvalidInput):
            await grant_scope(context, connection, make_consent(OLD, **more), actor="test")


# Erasure


async def test_p6_erasing_an_address_forgets_whose_it_was(context, connection):
    given = frozenset({"name"})
    await put(context, "c1", OLD, NEW, given=given, name="Anna Müller")
    await put(context, "c2", OLD, given=given, name="Hugo")
    async with context.database.transaction() as inside:
        await grant_scope(context, inside, make_consent(OLD), actor="test")
    await erase(context, OLD, actor="test")
    assert [held.plain for held in (await get_contact(context, "c1")).points] == ["new@example.com"]
    with pytest.raises(NotFound):
        await get_contact(context, "c2")
    assert await search_contacts(context, OLD) == []
    assert await find_contacts_like(context, "Hugo") == []
    (row,) = await list_consents_of(context, Channel.EMAIL, make_consent(OLD).fingerprint)
    assert row.sealed_evidence is None


async def test_p6_what_comes_back_after_an_erasure_keeps_the_fingerprint_only(context):
    await erase(context, OLD, actor="test")
    consent = GivenConsent(Channel.EMAIL, "maison", "2026-01", context.now(), evidence={"said": "old@example.com"})
    contact = await put(context, "c1", OLD, consents=[consent])
    assert [(held.plain, held.masked) for held in contact.points] == [(None, "...")]
    assert [found.external_id for found in await search_contacts(context, OLD)] == ["c1"]
    (row,) = await list_consents_of(context, Channel.EMAIL, make_consent(OLD).fingerprint)
    assert row.sealed_evidence is None


async def test_p6_a_contact_is_erased_with_all_its_points(context, connection):
    await put(context, "c1", OLD, NEW)
    assert await erase_contact(context, "c1", actor="test") == 2
    assert [await verdict_of(context, address) for address in (OLD, NEW)] == ["erased", "erased"]
    assert await connection.fetch("SELECT FROM contacts") == []
