"""The key ring: fingerprints, sealed values and tokens come from secrets that live outside the database.

Pure: reading and writing the key file is the business of `forbear.services.key_file`.
Sealing is AES-GCM-SIV (RFC 8452) under keys derived per use by HKDF (RFC 5869), so that what was sealed for one
use opens for no other. The newest key that is not retired seals; every key opens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import blake2s
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from forbear.domain.errors import BrokenToken, KeyNotAtHand, WrongKeys
from forbear.domain.fingerprint import FingerprintChain

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
KEY_ID_MAX: Final = 255


class Use(StrEnum):
    """What a sealed value is for; another use cannot open it."""

    ADDRESS = "address"
    EVIDENCE = "evidence"
    LINK = "link"
    UNDO = "undo"
    CURSOR = "cursor"
    MESSAGE = "message"
    CONFIRM = "confirm"
    CONFIRMATION = "confirmation"
    INTAKE = "intake"
    CONTACT = "contact"


class KeyRole(StrEnum):
    """The two families of keys."""

    FINGERPRINT = "fingerprint"
    SEALING = "sealing"


@dataclass(frozen=True, slots=True)
class Key:
    """One secret; its id (1 to 255) stands in clear in front of what it sealed."""

    role: KeyRole
    id: int
    secret: bytes
    created_at: str
    retired_at: str | None = None

    def __repr__(self) -> str:
        return f"<Key {self.role} {self.id}>"

    @property
    def check(self) -> bytes:
        """Eight bytes that tell this secret from another without giving it away."""
        return blake2s(b"forbear key check", key=self.secret, digest_size=8).digest()


@dataclass(frozen=True)
class Keyring:
    """All secrets of an installation."""

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        """Refuse a ring that could not work."""
        seen = [(key.role, key.id) for key in self.keys]
        if len(set(seen)) != len(seen):
            raise WrongKeys("the key file holds two keys with the same id")
        if any(len(key.secret) != SECRET_BYTES or not 1 <= key.id <= KEY_ID_MAX for key in self.keys):
            raise WrongKeys(f"every key has {SECRET_BYTES} bytes and an id from 1 to {KEY_ID_MAX}")
        if not any(key.role is KeyRole.FINGERPRINT for key in self.keys):
            raise WrongKeys("the key file holds no fingerprint key")
        if not any(key.role is KeyRole.SEALING and key.retired_at is None for key in self.keys):
            raise WrongKeys("the key file holds no sealing key in use")

    @cached_property
    def fingerprints(self) -> FingerprintChain:
        """The fingerprint keys, chained in the order of their ids."""
        chain = sorted((key for key in self.keys if key.role is KeyRole.FINGERPRINT), key=lambda key: key.id)
        return FingerprintChain(tuple(key.secret for key in chain))

    @cached_property
    def _sealing(self) -> dict[int, Key]:
        return {key.id: key for key in self.keys if key.role is KeyRole.SEALING}

    @cached_property
    def active_sealing_key(self) -> Key:
        """The key that seals: the newest that is not retired."""
        return max((key for key in self._sealing.values() if key.retired_at is None), key=lambda key: key.id)

    def get_sealing_key(self, key_id: int) -> Key:
        """The sealing key of an id, retired or not. Raises `KeyNotAtHand`."""
        key = self._sealing.get(key_id)
        if key is None:
            raise KeyNotAtHand
        return key

    def seal(self, use: Use, plain: bytes, bound_to: bytes = b"") -> bytes:
        """Seal a value for one use, bound to `bound_to`: key id (1 byte), nonce (12), ciphertext and tag (16 more)."""
        return self.seal_all(use, [plain], bound_to)[0]

    def seal_all(self, use: Use, plains: Sequence[bytes], bound_to: bytes = b"") -> list[bytes]:
        """Seal many values, each by itself, in order."""
        key = self.active_sealing_key
        head, encrypt, more = bytes((key.id,)), _cipher(key.secret, use).encrypt, bound_to or None
        nonces = os.urandom(_NONCE_BYTES * len(plains))
        sealed = []
        for place, plain in enumerate(plains):
            nonce = nonces[place * _NONCE_BYTES : (place + 1) * _NONCE_BYTES]
            sealed.append(head + nonce + encrypt(nonce, plain, more))
        return sealed

    def open(self, use: Use, sealed: bytes, bound_to: bytes = b"") -> bytes:
        """Open what `seal` made. Raises `KeyNotAtHand` for an unknown key id, `BrokenToken` for a broken seal."""
        if len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES:
            raise BrokenToken
        key = self.get_sealing_key(sealed[0])
        try:
            return _cipher(key.secret, use).decrypt(
                sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], bound_to or None
            )
        except InvalidTag as error:
            raise BrokenToken from error


def check_recorded(ring: Keyring, recorded: Sequence[tuple[str, int, bytes]]) -> None:
    """Compare the ring with the (role, id, check) rows that the list remembers.

    Raises `WrongKeys` where a key that the list was written with is missing or is another one.
    """
    held = {(key.role.value, key.id): key.check for key in ring.keys}
    for role, key_id, check in recorded:
        if (role, key_id) not in held:
            raise WrongKeys(f"the key file lacks {role} key {key_id}, which this list was written with")
        if held[role, key_id] != check:
            raise WrongKeys(f"{role} key {key_id} of the key file is not the one this list was written with")


@lru_cache(maxsize=1024)
def _cipher(secret: bytes, use: Use) -> AESGCMSIV:
    return AESGCMSIV(HKDF(SHA256(), SECRET_BYTES, salt=None, info=f"forbear {use}".encode()).derive(secret))
