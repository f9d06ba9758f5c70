"""Tokens: what stands in links and in mail addresses instead of an address.

A link token opens /u and /p; it never expires. Its form is base64url without padding of a two-byte check sum and
a sealed value (see `Keyring.seal`). The check sum has no secret: it tells a link that some mail program mangled
(which will never work) from one sealed under a key that this process lacks (which must be answered by 503).
"""

from __future__ import annotations

from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2s
from hmac import compare_digest
from typing import Final
from uuid import UUID

from forbear.domain.errors import BrokenToken
from forbear.domain.keys import Keyring, Use

_CHECK_BYTES: Final = 2
_FIRST_DAY: Final = date(2020, 1, 1)
_DAY_BYTES: Final = 2
_MAC_BYTES: Final = 8
MAIL_TOKEN_LENGTH: Final = 55
MAIL_TOKEN_KINDS: Final = frozenset("ub")
"""`u` stands in the mailto address of List-Unsubscribe, `b` in the return path."""
BOUNCE_TOKEN_DAYS: Final = 30
"""How long a return path is believed; an unsubscribe token never ends."""
TOKEN_LENGTH_MAX: Final = 1200
CAMPAIGN_BYTES_MAX: Final = 128
"""With the longest address and scope a token stays below 800 characters, and a header line with it below 998."""
ONE_CLICK: Final = "List-Unsubscribe=One-Click"
"""The value of List-Unsubscribe-Post, and the body of the POST that it announces (RFC 8058, section 5)."""


@dataclass(frozen=True, slots=True)
class LinkToken:
    """What a link says: whose it is, what it opts out of, which campaign carried it, and the day it was made."""

    address: str
    scope: str
    campaign: str
    minted: date

    def __repr__(self) -> str:
        return f"<LinkToken {self.scope} {self.campaign}>"


@dataclass(frozen=True, slots=True)
class UndoToken:
    """Permission to take back the events of one answer, until a moment, to whoever holds a link of the same address."""

    events: tuple[int, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class MailToken:
    """What a local part says: its kind, the numbers of campaign and scope, the day, and whose it is."""

    kind: str
    campaign: int
    scope: int
    minted: date
    fingerprint: bytes

    def is_current(self, today: date) -> bool:
        """Whether it still counts on a day: a return path made by a wrong clock, or long ago, does not."""
        if self.kind == "u":
            return True
        return -timedelta(days=1) <= today - self.minted <= timedelta(days=BOUNCE_TOKEN_DAYS)


def write_link_token(ring: Keyring, token: LinkToken) -> str:
    """Seal a link token."""
    return write_link_tokens(ring, token, [token.address])[0]


def write_link_tokens(ring: Keyring, like: LinkToken, addresses: Sequence[str]) -> list[str]:
    """Seal tokens that say the same as `like`, of other addresses."""
    head = _write_day(like.minted) + f"{like.scope}\0{like.campaign}\0".encode()
    return [_pack(sealed) for sealed in ring.seal_all(Use.LINK, [head + address.encode() for address in addresses])]


def read_link_token(ring: Keyring, text: str) -> LinkToken:
    """Open a link token. Raises `BrokenToken` or `KeyNotAtHand`."""
    plain = _read(ring, Use.LINK, text)
    try:
        scope, campaign, address = plain[_DAY_BYTES:].decode().split("\0")
    except ValueError as error:
        raise BrokenToken from error
    return LinkToken(address, scope, campaign, _read_day(plain))


def write_undo_token(ring: Keyring, token: UndoToken, address: str) -> str:
    """Seal an undo token; it opens only beside a link of the same address."""
    text = " ".join(str(number) for number in (int(token.until.timestamp()), *token.events))
    return _write(ring, Use.UNDO, text.encode(), address.encode())


def read_undo_token(ring: Keyring, text: str, address: str) -> UndoToken:
    """Open an undo token, expired or not. Raises `BrokenToken` or `KeyNotAtHand`."""
    until, *events = _read(ring, Use.UNDO, text, address.encode()).split()
    return UndoToken(tuple(int(event) for event in events), datetime.fromtimestamp(int(until), UTC))


def write_confirm_token(ring: Keyring, confirmation: UUID) -> str:
    """Seal the number of a confirmation; what is confirmed is kept with it, so that the link is short."""
    return _write(ring, Use.CONFIRM, confirmation.bytes)


def read_confirm_token(ring: Keyring, text: str) -> UUID:
    """Open the token of a confirmation. Raises `BrokenToken` or `KeyNotAtHand`."""
    return UUID(bytes=_read(ring, Use.CONFIRM, text))


def write_mail_token(ring: Keyring, kind: str, numbers: Sequence[int], fingerprint: bytes) -> str:
    """Make a token for a local part: lower-case base32 that survives a change of case, at most 56 characters.

    `kind` is one letter (`u` unsubscribe, `b` bounce); `numbers` are campaign (4 bytes), scope (2) and day (2).
    It carries a fingerprint and no address, and is sealed by 64 bits of keyed BLAKE2s.
    """
    campaign, scope, day = numbers
    key = ring.active_sealing_key
    body = kind.encode() + bytes((key.id,)) + campaign.to_bytes(4) + scope.to_bytes(2) + day.to_bytes(2) + fingerprint
    mac = blake2s(body, key=_mail_key(key.secret), digest_size=_MAC_BYTES).digest()
    return b32encode(body + mac).decode().lower().rstrip("=")


def read_mail_token(ring: Keyring, text: str) -> MailToken:
    """Read a token of a local part, in any mixture of cases. Raises `BrokenToken` or `KeyNotAtHand`.

    Whether its day is past is the caller's question (`MailToken.is_current`).
    """
    raw = _decode_mail_token(text)
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    secret = ring.get_sealing_key(body[1]).secret
    if not compare_digest(blake2s(body, key=_mail_key(secret), digest_size=_MAC_BYTES).digest(), mac):
        raise BrokenToken
    campaign, scope = int.from_bytes(body[2:6]), int.from_bytes(body[6:8])
    return MailToken(chr(body[0]), campaign, scope, _read_day(body[8:10]), body[10:])


def find_mail_token_kind(text: str) -> str | None:
    """The kind that a text in the form of a mail token names, its seal not looked at; None for any other text."""
    try:
        return chr(_decode_mail_token(text)[0])
    except BrokenToken:
        return None


def _decode_mail_token(text: str) -> bytes:
    if len(text) != MAIL_TOKEN_LENGTH or not text.isascii():
        raise BrokenToken
    try:
        raw = b32decode(text.upper() + "=")
    except Base64Error as error:
        raise BrokenToken from error
    # The last character has a spare bit; one token has one spelling.
    if b32encode(raw).decode().rstrip("=") != text.upper() or chr(raw[0]) not in MAIL_TOKEN_KINDS:
        raise BrokenToken
    return raw


def day_number(day: date) -> int:
    """Days since 1 January 2020, the form a day has inside tokens."""
    return max(0, (day - _FIRST_DAY).days)


def _mail_key(secret: bytes) -> bytes:
    return blake2s(b"forbear mail token", key=secret).digest()


def _write_day(day: date) -> bytes:
    return day_number(day).to_bytes(_DAY_BYTES)


def _read_day(plain: bytes) -> date:
    return _FIRST_DAY + timedelta(days=int.from_bytes(plain[:_DAY_BYTES]))


def _write(ring: Keyring, use: Use, plain: bytes, bound_to: bytes = b"") -> str:
    return _pack(ring.seal(use, plain, bound_to))


def _pack(sealed: bytes) -> str:
    return urlsafe_b64encode(_check(sealed) + sealed).rstrip(b"=").decode()


def _read(ring: Keyring, use: Use, text: str, bound_to: bytes = b"") -> bytes:
    if len(text) > TOKEN_LENGTH_MAX or not text.isascii():
        raise BrokenToken
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError) as error:
        raise BrokenToken from error
    sealed = packed[_CHECK_BYTES:]
    # The decoder is lenient about stray characters and spare bits; one link has one spelling.
    if urlsafe_b64encode(packed).rstrip(b"=").decode() != text or _check(sealed) != packed[:_CHECK_BYTES]:
        raise BrokenToken
    return ring.open(use, sealed, bound_to)


def _check(sealed: bytes) -> bytes:
    return crc_hqx(sealed, 0).to_bytes(_CHECK_BYTES)
