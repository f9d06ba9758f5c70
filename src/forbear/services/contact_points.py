"""Contact points between their plain form and what is kept: a keyed fingerprint, and a seal of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from forbear.domain.address import Domain
from forbear.domain.contact import Hinter, HintKind, list_hint_forms
from forbear.domain.contact_point import ContactPoint, channel_of, mask_contact_point, parse_target
from forbear.domain.errors import InvalidAddress
from forbear.domain.fingerprint import Fingerprint, Kind
from forbear.domain.keys import Keyring, Use
from forbear.domain.phone import Phone
from forbear.domain.postal_address import PostalAddress
from forbear.domain.suppression import Channel


@dataclass(frozen=True, slots=True)
class HeldPoint:
    """Where a contact can be reached. `point` is None where the plain form was erased."""

    channel: Channel
    fingerprint: Fingerprint
    point: ContactPoint | None

    @property
    def plain(self) -> str | None:
        """What is written or dialled: an address as given, a number as E.164, a postal address in one line."""
        return None if self.point is None else plain_of(self.point)

    @property
    def masked(self) -> str:
        """Enough for its owner to recognise it."""
        return "..." if self.plain is None else mask_contact_point(self.channel, self.plain)


def plain_of(point: ContactPoint) -> str:
    """The text that is kept of a point, from which it can be read again without knowing a region."""
    return point.match if isinstance(point, Phone) else point.raw


def fingerprint_points(ring: Keyring, points: Sequence[ContactPoint]) -> list[Fingerprint]:
    """The match fingerprints of points on any channel, in order."""
    made: dict[int, Fingerprint] = {}
    for channel in Channel:
        places = [place for place, point in enumerate(points) if channel_of(point) is channel]
        forms = [points[place].match for place in places]
        made.update(zip(places, ring.fingerprints.of(channel).make(Kind.MATCH, forms), strict=True))
    return [made[place] for place in range(len(points))]


def seal_point(ring: Keyring, point: ContactPoint, fingerprint: Fingerprint) -> bytes:
    """Seal the plain form, bound to its fingerprint."""
    return ring.seal(Use.CONTACT, plain_of(point).encode("utf-8", "surrogatepass"), fingerprint)


def open_point(ring: Keyring, channel: Channel, fingerprint: Fingerprint, sealed: bytes | None) -> HeldPoint:
    """A point as it is kept, opened. Raises `KeyNotAtHand`, or `BrokenToken` where the seal is broken."""
    if sealed is None:
        return HeldPoint(channel, fingerprint, None)
    plain = ring.open(Use.CONTACT, sealed, fingerprint).decode("utf-8", "surrogatepass")
    try:
        target = parse_target(channel, plain)
    except InvalidAddress:
        return HeldPoint(channel, fingerprint, None)
    return HeldPoint(channel, fingerprint, None if isinstance(target, Domain) else target)


def hint_at(ring: Keyring, name: str, postcodes: Sequence[str] = ()) -> list[tuple[HintKind, Fingerprint]]:
    """The fingerprints that somebody of this name, at these postcodes, may be found by."""
    hinter = _hinter(ring.fingerprints.secrets)
    return [(kind, hinter.make(kind, form)) for kind, form in list_hint_forms(name, postcodes)]


def list_names(points: Sequence[ContactPoint]) -> list[tuple[str, str]]:
    """The names and postcodes on postal addresses."""
    fields = [point.fields for point in points if isinstance(point, PostalAddress)]
    return [(field.name, field.postcode) for field in fields]


@lru_cache(maxsize=16)
def _hinter(secrets: tuple[bytes, ...]) -> Hinter:
    return Hinter(secrets)
