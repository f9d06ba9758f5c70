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
from typing import Final, NewType

from forbear.domain.address import Address
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
    """The fingerprints under which the list may speak about one address."""

    match: Fingerprint
    wide: Fingerprint | None
    domain: Fingerprint


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

    def make_keys(self, addresses: Sequence[Address]) -> list[AddressKeys]:
        """Fingerprint addresses in every form the list may hold them in."""
        domains = list({address.domain: None for address in addresses})
        by_domain = dict(zip(domains, self.make(Kind.DOMAIN, domains), strict=True))
        wides = list({address.wide: None for address in addresses if address.wide is not None})
        by_wide = dict(zip(wides, self.make(Kind.WIDE, wides), strict=True))
        matches = self.make(Kind.MATCH, (address.match for address in addresses))
        return [
            AddressKeys(match, None if address.wide is None else by_wide[address.wide], by_domain[address.domain])
            for address, match in zip(addresses, matches, strict=True)
        ]


@dataclass(frozen=True)
class FingerprintChain:
    """The secrets behind all fingerprints, the oldest first."""

    secrets: tuple[bytes, ...]

    @cached_property
    def email(self) -> Fingerprinter:
        """The fingerprinter of e-mail addresses."""
        return Fingerprinter(self.secrets, Channel.EMAIL)

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
