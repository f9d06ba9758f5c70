"""The person behind an address, as far as pages may know: their language, and where else they can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2s

from forbear.domain.address import Address, mask_address
from forbear.domain.contact_point import ContactPoint, channel_of
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel
from forbear.services import suppression
from forbear.services.contacts import find_contacts_of
from forbear.services.context import Context

_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Point:
    """Where somebody can be reached: for pages masked, for the list in clear."""

    target: ContactPoint
    channel: Channel
    fingerprint: Fingerprint
    masked: str
    mark: str
    """What names this point in a form: it says nothing about it, and stays the same."""

    def __repr__(self) -> str:
        """Show whose it might be without saying so."""
        return f"<Point {self.masked}>"


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever an address belongs to: where they can be reached, and the language that they have told us."""

    address: Point
    others: tuple[Point, ...] = ()
    """Their phone numbers and postal addresses."""
    language: str | None = None
    is_shared: bool = False
    """Whether several contacts have the address: not all of these are the holder's then."""

    @property
    def points(self) -> tuple[Point, ...]:
        """All of them, the address first."""
        return (self.address, *self.others)


async def find_person(context: Context, address: Address) -> Person:
    """The person behind an address; somebody unknown has that address alone.

    Where several contacts share the address, it is their phone numbers and postal addresses together. Other e-mail
    addresses of theirs are not the holder's to see.
    """
    key = suppression.fingerprint_keys(context, address).match
    own = Point(address, Channel.EMAIL, key, mask_address(address.raw), Channel.EMAIL.value)
    found = await find_contacts_of(context, [key])
    others = {
        held.fingerprint: _make_point(held.point, held.fingerprint, held.masked)
        for contact in found
        for held in contact.points
        if held.point is not None and held.channel is not Channel.EMAIL
    }
    language = next((contact.language for contact in found if contact.language), None)
    return Person(own, tuple(others.values()), language, is_shared=len(found) > 1)


async def find_spoken(context: Context, address: Address) -> str | None:
    """The language that the person behind an address has told us."""
    return (await find_person(context, address)).language


def _make_point(target: ContactPoint, key: Fingerprint, masked: str) -> Point:
    channel = channel_of(target)
    return Point(target, channel, key, masked, f"{channel}-{blake2s(key, digest_size=_MARK_BYTES).hexdigest()}")
