"""The person behind an address, as far as pages may know: their language, and where else they can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2s

from forbear.domain.address import Address, mask_address
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Channel
from forbear.services import suppression
from forbear.services.context import Context

_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Point:
    """Where somebody can be reached. Only the link's own address is known in clear."""

    channel: Channel
    fingerprint: Fingerprint
    masked: str
    exact_keys: tuple[Fingerprint, ...]
    wide_keys: tuple[Fingerprint, ...] = ()
    address: Address | None = None

    @property
    def mark(self) -> str:
        """What names this point in a form: it says nothing about it, and stays the same."""
        if self.address is not None:
            return self.channel.value
        return f"{self.channel}-{blake2s(self.fingerprint, digest_size=_MARK_BYTES).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever an address belongs to: all their points, the address first, and the language they have told us."""

    points: tuple[Point, ...]
    language: str | None = None

    @property
    def others(self) -> tuple[Point, ...]:
        """Their phone numbers and postal addresses."""
        return self.points[1:]


async def find_person(context: Context, address: Address) -> Person:
    """The person behind an address; somebody unknown has that address alone."""
    return Person((make_point(context, address),))


async def find_spoken(context: Context, address: Address) -> str | None:
    """The language that the person behind an address has told us."""
    return (await find_person(context, address)).language


def make_point(context: Context, address: Address) -> Point:
    """An address as a point."""
    exact, wide = suppression.lookup_keys(context, address)
    return Point(Channel.EMAIL, exact[0], mask_address(address.raw), tuple(exact), tuple(wide), address)
