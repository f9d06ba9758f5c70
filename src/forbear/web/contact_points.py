"""Addresses of every channel as JSON: a text for e-mail and phone, an object for post."""

from __future__ import annotations

from collections.abc import Mapping

from forbear.domain.contact_point import Given
from forbear.domain.errors import InvalidAddress
from forbear.domain.postal_address import PostalFields, read_line
from forbear.domain.suppression import Channel
from forbear.web.models import GivenAddress, PostalAddressBody


def read_given(address: GivenAddress) -> Given:
    """What a caller gave, as services take it."""
    if isinstance(address, PostalAddressBody):
        return PostalFields(address.name, tuple(address.lines), address.postcode, address.country)
    return address


def echo_given(address: GivenAddress) -> str | Mapping[str, object]:
    """What a caller gave, given back as it came."""
    return address.model_dump() if isinstance(address, PostalAddressBody) else address


def show_address(channel: Channel, plain: str) -> str | Mapping[str, object]:
    """An address of the list, from the text that is kept of it."""
    if channel is not Channel.POST:
        return plain
    try:
        fields = read_line(plain)
    except InvalidAddress:
        return plain
    return {
        "name": fields.name,
        "lines": list(fields.lines),
        "postcode": fields.postcode,
        "country": fields.country,
    }
