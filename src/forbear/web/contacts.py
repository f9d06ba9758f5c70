"""/v1/contacts: who the organisation knows, and what stands about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPMethod

from forbear.domain.contact_point import ContactPoint, check_reading_region, parse_contact_point
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.suppression import EVERYTHING, Channel, Source
from forbear.services import consents, contacts
from forbear.services.api_keys import Permission, require_reach
from forbear.services.contact_points import HeldPoint
from forbear.services.contacts import Contact, ContactChange, GivenConsent, OptOut, Standing
from forbear.store.consent import ConsentRow
from forbear.web.api import Call, Operation
from forbear.web.contact_models import (
    ContactBody,
    ContactErased,
    ContactRequest,
    ContactSearchRequest,
    ContactSearchResponse,
    ContactWritten,
)
from forbear.web.contact_points import read_given, show_address
from forbear.web.models import GivenAddress
from forbear.web.suppressions import check_evidence

_FIELDS = frozenset({"name", "language", "country", "notice_channel"})


async def put_contact(call: Call, body: ContactRequest) -> Mapping[str, object]:
    """Write a contact down, or change what is said about it."""
    require_reach(call.key, EVERYTHING)
    for consent in body.consents:
        check_evidence(consent.evidence)
    change = ContactChange(
        external_id=call.request.match_info["external_id"],
        given=_FIELDS & body.model_fields_set,
        language=body.language,
        country=body.country,
        notice_channel=body.notice_channel,
        name=body.name,
        points=_read_points(body),
        opt_outs=[OptOut(item.reason, item.scope, item.channel) for item in body.opt_outs],
        consents=[GivenConsent(**dict(item)) for item in body.consents],
    )
    contact, is_new = await contacts.put_contact(call.context, change, source=Source.API, actor=call.key.actor)
    counted = Counter(held.channel.value for held in contact.points)
    return {"external_id": contact.external_id, "status": "added" if is_new else "changed", "points": counted}


async def get_contact(call: Call) -> Mapping[str, object]:
    """Show a contact, and what stands about each of its points."""
    require_reach(call.key, EVERYTHING)
    return await _show(call, await contacts.get_contact(call.context, call.request.match_info["external_id"]))


async def search_contacts(call: Call, body: ContactSearchRequest) -> Mapping[str, object]:
    """Find the contacts that can be reached at a point."""
    require_reach(call.key, EVERYTHING)
    point = read_point(body.channel, body.address, check_reading_region(body.channel, body.region))
    found = await contacts.search_contacts(call.context, point)
    return {"contacts": [await _show(call, contact) for contact in found]}


async def erase_contact(call: Call) -> Mapping[str, object]:
    """Erase every point of a contact, and the contact with them."""
    require_reach(call.key, EVERYTHING)
    external_id = call.request.match_info["external_id"]
    erased = await contacts.erase_contact(call.context, external_id, actor=call.key.actor)
    return {"external_id": external_id, "status": "erased", "erased": erased}


def read_point(channel: Channel, address: GivenAddress, region: str | None) -> ContactPoint:
    """What a caller gave, as a point. Raises `InvalidAddress`."""
    return parse_contact_point(channel, read_given(address), region)


def _read_points(body: ContactRequest) -> Mapping[Channel, Sequence[ContactPoint]]:
    """The points of each channel that was given; null is none at all."""
    given: dict[Channel, Sequence[GivenAddress] | None] = {
        Channel.EMAIL: body.email,
        Channel.PHONE: body.phone,
        Channel.POST: body.post,
    }
    return {
        channel: _read_each(channel, addresses or (), _region(body, channel))
        for channel, addresses in given.items()
        if channel.value in body.model_fields_set
    }


def _region(body: ContactRequest, channel: Channel) -> str | None:
    return check_reading_region(channel, body.country) if body.country and channel is Channel.PHONE else None


def _read_each(channel: Channel, addresses: Sequence[GivenAddress], region: str | None) -> list[ContactPoint]:
    """Read all, or say which one cannot be read, without repeating it."""
    read = []
    for number, address in enumerate(addresses):
        try:
            read.append(read_point(channel, address, region))
        except InvalidAddress as error:
            raise InvalidInput(f"/{channel}/{number}: {error.detail}") from error
    return read


async def _show(call: Call, contact: Contact) -> Mapping[str, object]:
    standing = await contacts.list_standing(call.context, contact)
    points = [
        _point(held, one, await consents.list_consents_of(call.context, held.channel, held.fingerprint))
        for held, one in zip(contact.points, standing, strict=True)
    ]
    return {
        "external_id": contact.external_id,
        "name": contact.name,
        "language": contact.language,
        "country": contact.country,
        "notice_channel": contact.notice_channel.value,
        "points": points,
        "created_at": contact.created_at,
        "changed_at": contact.changed_at,
    }


def _point(held: HeldPoint, standing: Standing, agreed: Sequence[ConsentRow]) -> Mapping[str, object]:
    return {
        "channel": held.channel.value,
        **({} if held.plain is None else {"address": show_address(held.channel, held.plain)}),
        "masked": held.masked,
        "entries": [
            {
                "id": one.id,
                "reason": one.reason.value,
                "scope": one.scope,
                "source": one.source.value,
                "since": one.since,
            }
            for one in standing.entries
        ],
        "grants": [
            {"id": opt_in.id, "scope": opt_in.scope, "source": opt_in.source.value, "granted_at": opt_in.granted_at}
            for opt_in in standing.grants
        ],
        "consents": [_consent(row) for row in agreed],
    }


def _consent(row: ConsentRow) -> Mapping[str, object]:
    return {
        "id": row.id,
        "scope": row.scope,
        "wording_version": row.wording_version,
        "given_at": row.given_at,
        "source": row.source.value,
        "origin": row.origin,
        **({} if row.grant_id is None else {"grant": row.grant_id}),
        **({} if row.withdrawn_at is None else {"withdrawn_at": row.withdrawn_at}),
    }


OPERATIONS = (
    Operation(
        HTTPMethod.PUT,
        "/v1/contacts/{external_id}",
        "put_contact",
        "Write a contact down, or change what is said about it",
        Permission.IMPORT,
        put_contact,
        ContactRequest,
        ContactWritten,
        description="What is left out stays; null takes it away. Of each channel that is given the points become "
        "exactly these. Opt-outs belong to addresses: no change of a contact weakens one. An external id is no "
        "e-mail address.",
    ),
    Operation(
        HTTPMethod.GET,
        "/v1/contacts/{external_id}",
        "get_contact",
        "Show a contact, and what stands about each of its points",
        Permission.STAFF,
        get_contact,
        response=ContactBody,
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/contacts/{external_id}/erase",
        "erase_contact",
        "Erase every point of a contact, and the contact with them",
        Permission.STAFF,
        erase_contact,
        response=ContactErased,
        description="Each point is erased as by `/v1/erasures`, and goes on being suppressed by its fingerprint.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/contacts/search",
        "search_contacts",
        "Find the contacts that can be reached at an address, a number or a postal address",
        Permission.STAFF,
        search_contacts,
        ContactSearchRequest,
        ContactSearchResponse,
        description="At most 100 contacts, the oldest first.",
    ),
)
