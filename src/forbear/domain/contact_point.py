"""Where somebody can be reached, on any channel: how it is read, and which forms it is compared in."""

from __future__ import annotations

from typing import Final

from forbear.domain.address import CANON_VERSION, Address, Domain, mask_address, parse_address, parse_intake
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.phone import PHONE_FORM_VERSION, Phone, check_region, mask_phone, parse_phone, parse_phone_intake
from forbear.domain.postal_address import (
    POSTAL_FORM_VERSION,
    PostalAddress,
    PostalFields,
    mask_post,
    parse_post,
    read_line,
)
from forbear.domain.suppression import Channel

ContactPoint = Address | Phone | PostalAddress
Target = ContactPoint | Domain
"""Whom an entry may be about."""

Given = str | PostalFields
"""A contact point as somebody gave it. A postal address may be a text too: `name | line | ... | postcode | country`."""

FORM_VERSIONS: Final = {
    Channel.EMAIL: CANON_VERSION,
    Channel.PHONE: PHONE_FORM_VERSION,
    Channel.POST: POSTAL_FORM_VERSION,
}
"""The version of the match form by channel."""


def parse_contact_point(channel: Channel, given: Given, region: str | None = None) -> ContactPoint:
    """Read what a message may go to. The region is that of national phone numbers. Raises `InvalidAddress`."""
    match channel:
        case Channel.EMAIL:
            return parse_address(_as_text(given))
        case Channel.PHONE:
            return parse_phone(_as_text(given), region)
        case Channel.POST:
            return _parse_post(given)


def parse_target(channel: Channel, given: Given, region: str | None = None) -> Target:
    """Read whom an entry is to be about, liberally: an opt-out must not be lost. Raises `InvalidAddress`."""
    match channel:
        case Channel.EMAIL:
            return parse_intake(_as_text(given))
        case Channel.PHONE:
            return parse_phone_intake(_as_text(given), region)
        case Channel.POST:
            return _parse_post(given)


def check_reading_region(channel: Channel, region: str | None) -> str | None:
    """Give the region back in capitals. Raises `InvalidInput` for one that is none, or where there are no numbers."""
    if region is None:
        return None
    if channel is not Channel.PHONE:
        raise InvalidInput("a region is given for the channel 'phone' only")
    return check_region(region)


def channel_of(target: Target) -> Channel:
    """The channel that a target is on."""
    match target:
        case Phone():
            return Channel.PHONE
        case PostalAddress():
            return Channel.POST
        case Address() | Domain():
            return Channel.EMAIL


def mask_contact_point(channel: Channel, raw: str) -> str:
    """What may be shown of a contact point, from the text that is kept: enough for its owner to recognise."""
    match channel:
        case Channel.EMAIL:
            return mask_address(raw)
        case Channel.PHONE:
            return mask_phone(raw)
        case Channel.POST:
            return mask_post(read_line(raw))


def _parse_post(given: Given) -> PostalAddress:
    return parse_post(read_line(given) if isinstance(given, str) else given)


def _as_text(given: Given) -> str:
    if isinstance(given, str):
        return given
    raise InvalidAddress("a postal address is given where none is asked for")
