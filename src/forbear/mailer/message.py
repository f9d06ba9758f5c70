"""The form of a message (RFC 5322): two versions of one text, and headers that say nothing about who gets it.

The recipient stands in To and nowhere else. The header lines are written here, byte for byte: the library folds and
encodes long ones in ways that mail programs do not undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr
from typing import Final
from uuid import UUID

from forbear.mailer.rendering import Rendered

_POLICY: Final = SMTP.clone(cte_type="7bit")
_HEADER_CHARACTERS_MAX: Final = 900


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom messages are from: an address, and a name beside it."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def read_sender(text: str) -> Sender:
    """Read `NAME <ADDRESS>` or an address alone. Raises ValueError."""
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not local or "." not in domain.strip(".") or not address.isascii() or any(map(str.isspace, address)):
        raise ValueError("an address is needed, such as Maison <news@maison.example>")
    return Sender(address, name)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as it goes over the wire, and its envelope."""

    sender: str
    recipient: str
    content: bytes

    def __repr__(self) -> str:
        return f"<Mail {len(self.content)} bytes>"


def make_mail(sender: Sender, recipient: str, rendered: Rendered, *, mark: UUID, written_at: datetime) -> Mail:
    """Write a message down. `mark` becomes its Message-ID, the same at every attempt to send it."""
    head = {
        "From": formataddr((_clean(sender.name), sender.address)),
        "To": recipient,
        "Subject": _encode("Subject", rendered.subject),
        "Date": format_datetime(written_at),
        "Message-ID": f"<{mark.hex}@{sender.domain}>",
        # No vacation message shall answer it (RFC 3834, section 5), nor Exchange's own kinds of automatic reply.
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Content-Language": rendered.language,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return Mail(sender.address, recipient, lines.encode() + _make_body(rendered))


def _make_body(rendered: Rendered) -> bytes:
    body = EmailMessage(policy=_POLICY)
    body.set_content(rendered.text, charset="utf-8")
    body.add_alternative(rendered.html, subtype="html", charset="utf-8")
    return body.as_bytes(policy=_POLICY)


def _encode(name: str, value: str) -> str:
    """A header of text as RFC 2047 has it."""
    text = _clean(value)[:_HEADER_CHARACTERS_MAX]
    header = Header(text, "us-ascii" if text.isascii() else "utf-8", header_name=name)
    return header.encode(linesep="\r\n")


def _clean(text: str) -> str:
    """One line of printable text: what came from elsewhere must not make headers."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
