"""Fingerprints: what stands in the list instead of addresses.

A fingerprint is keyed BLAKE2s with 16 bytes of output (RFC 7693) of a canonical form. Channel and kind are bound
into the key, so that a domain can never be taken for an address. When the fingerprint key is rotated, the new
fingerprint is the keyed hash of the old one: a list can be carried over without any plain address, and a process
that holds the whole chain finds every entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import blake2s
from typing import Final, NewType, Protocol

from forbear.domain.suppression import Channel

Fingerprint = NewType("Fingerprint", bytes)
FINGERPRINT_BYTES: Final = 16


class Kind(StrEnum):
    """Which form of an address a fingerprint was made of."""

    MATCH = "match"
    WIDE = "wide"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class AddressKeys:
    """The fingerprints under which the list may speak about one address; only e-mail has more than the first."""

    match: Fingerprint
    wide: Fingerprint | None
    domain: Fingerprint | None


class Forms(Protocol):
    """The forms in which an address, a phone number or a postal address is compared."""

    @property
    def match(self) -> str:
        """The form that stands for it alone."""

    @property
    def wide(self) -> str | None:
        """The form that it shares with its other spellings."""

    @property
    def domain(self) -> str | None:
        """The form that it shares with everybody at its domain."""


class Fingerprinter:
    """Makes the fingerprints of one channel under a chain of secrets, the oldest first."""

    def __init__(self, chain: Sequence[bytes], channel: Channel) -> None:
        """Derive one key per kind and secret; secrets have 32 bytes."""
        self._keys = {kind: [_derive(secret, channel, kind) for secret in chain] for kind in Kind}
        # A hash that has its key already is copied in a third of the time that it takes to make it.
        self._begun = {
            kind: [blake2s(digest_size=FINGERPRINT_BYTES, key=key) for key in keys] for kind, keys in self._keys.items()
        }

    def make(self, kind: Kind, forms: Iterable[str]) -> list[Fingerprint]:
        """Fingerprint many canonical forms of one kind, in order."""
        values = [form.encode("utf-8", "surrogatepass") for form in forms]
        for begun in self._begun[kind]:
            values = [_finish(begun, value) for value in values]
        return [Fingerprint(value) for value in values]

    def keys_of(self, kind: Kind) -> tuple[bytes, ...]:
        """The keys of one kind of form, in the order in which they are applied."""
        return tuple(self._keys[kind])

    def make_keys(self, addresses: Sequence[Forms]) -> list[AddressKeys]:
        """Fingerprint addresses in every form the list may hold them in."""
        domains = self._make_shared(Kind.DOMAIN, (address.domain for address in addresses))
        wides = self._make_shared(Kind.WIDE, (address.wide for address in addresses))
        matches = self.make(Kind.MATCH, (address.match for address in addresses))
        return [
            AddressKeys(match, wides.get(address.wide), domains.get(address.domain))
            for address, match in zip(addresses, matches, strict=True)
        ]

    def _make_shared(self, kind: Kind, forms: Iterable[str | None]) -> dict[str | None, Fingerprint]:
        """The fingerprints of those forms that are there, each made once."""
        there = list({form: None for form in forms if form is not None})
        return dict(zip(there, self.make(kind, there), strict=True))


@dataclass(frozen=True)
class FingerprintChain:
    """The secrets behind all fingerprints, the oldest first."""

    secrets: tuple[bytes, ...]

    @cached_property
    def email(self) -> Fingerprinter:
        """The fingerprinter of e-mail addresses."""
        return Fingerprinter(self.secrets, Channel.EMAIL)

    @cached_property
    def phone(self) -> Fingerprinter:
        """The fingerprinter of phone numbers."""
        return Fingerprinter(self.secrets, Channel.PHONE)

    @cached_property
    def post(self) -> Fingerprinter:
        """The fingerprinter of postal addresses."""
        return Fingerprinter(self.secrets, Channel.POST)

    def of(self, channel: Channel) -> Fingerprinter:
        """The fingerprinter of a channel."""
        return {Channel.EMAIL: self.email, Channel.PHONE: self.phone, Channel.POST: self.post}[channel]

    def make_counter_key(self, name: str, subject: str) -> bytes:
        """What a counter stands under: what is counted, and for whom; another secret begins every count anew."""
        key = blake2s(b"forbear counter", key=self.secrets[-1]).digest()
        return blake2s(f"{name}\0{subject}".encode(), digest_size=FINGERPRINT_BYTES, key=key).digest()


def _finish(begun: blake2s, value: bytes) -> bytes:
    hashed = begun.copy()
    hashed.update(value)
    return hashed.digest()


def _derive(secret: bytes, channel: Channel, kind: Kind) -> bytes:
    return blake2s(f"forbear fingerprint {channel} {kind}".encode(), key=secret).digest()
