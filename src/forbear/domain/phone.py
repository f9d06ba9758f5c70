"""Phone numbers: two are one when their E.164 forms are equal (ITU-T E.164), whatever stands between the digits.

`parse_phone` is strict: what it accepts may be called. `parse_phone_intake` takes whatever names a number, because
an opt-out must not be lost to a digit too many. What the strict reader accepts, the liberal one accepts with the same
form. No message of an error, and no repr, holds a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from forbear.domain.errors import InvalidAddress, InvalidInput

PHONE_FORM_VERSION: Final = 1
"""Raise it when any number gets another form; it is stored with every entry."""

_SHOWN_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone number. An extension is no part of it."""

    match: str
    """E.164, such as `+33612345678`: what suppression compares, and what is dialled."""

    @property
    def raw(self) -> str:
        """The same: a national number as given would mean nothing without its region."""
        return self.match

    @property
    def wide(self) -> None:
        """Numbers have no other spellings that are one mailbox."""
        return

    @property
    def domain(self) -> None:
        """Nor a domain."""
        return

    def __repr__(self) -> str:
        """Show whose it might be without saying so."""
        return f"<Phone {mask_phone(self.match)}>"


def check_region(region: str) -> str:
    """Give the region back in capitals, or raise `InvalidInput` when it is no region with a numbering plan."""
    capitals = region.upper()
    if not region.isascii() or capitals not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidInput("a region is two letters (ISO 3166-1), such as FR")
    return capitals


def parse_phone(text: str, region: str | None = None) -> Phone:
    """Read a number that may be called. One without `+` is read as people dial it in the region.

    Raises `InvalidAddress` for what is none, or has too few or too many digits for its country.
    """
    number = _read(text, region)
    if not phonenumbers.is_possible_number(number):
        raise InvalidAddress("it has too few or too many digits for a phone number of its country")
    return _make(number)


def parse_phone_intake(text: str, region: str | None = None) -> Phone:
    """Read the number that somebody wants suppressed. Raises `InvalidAddress` only where there is none to be had."""
    return _make(_read(text, region))


def mask_phone(number: str) -> str:
    """Give `+33...78`: enough for its owner to recognise. For pages and reprs only."""
    try:
        country = f"+{phonenumbers.parse(number).country_code}"
    except NumberParseException:
        return "..."
    return f"{country}...{number[-_SHOWN_DIGITS:]}"


def _read(text: str, region: str | None) -> PhoneNumber:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException as error:
        is_national = region is None and not text.lstrip().startswith(("+", "\uff0b"))
        if is_national and error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise InvalidAddress("it has no + and country code, and no region is given") from None
        raise InvalidAddress("this is not one phone number") from None


def _make(number: PhoneNumber) -> Phone:
    return Phone(phonenumbers.format_number(number, PhoneNumberFormat.E164))
