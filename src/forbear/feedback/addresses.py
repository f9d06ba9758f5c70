"""Addresses in reports: found, and cleaned of what servers put around them."""

from __future__ import annotations

import re
import sys
from typing import Final
from unicodedata import category

ADDRESS: Final = r"[^\s<>()\[\]{}:;,\"'@\\]{1,64}@[\w.\-]{1,253}\w"
_ADDRESS: Final = re.compile(ADDRESS)
_QUOTED: Final = re.compile(r'"[^"\s@]{1,62}"@[\w.\-]{1,253}\w')
_COMMENT: Final = re.compile(r"\([^()]{0,200}\)")
_HEX: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_TYPES: Final = frozenset(("rfc822", "utf-8", "smtp", "local", "rfc2822"))
_DAEMONS: Final = ("mailer-daemon@", "postmaster@", "mailerdaemon@", "mailer_daemon@")


def find_addresses(text: str) -> list[str]:
    """All addresses in a text, each once, in order."""
    return list(dict.fromkeys(found[0] for found in _ADDRESS.finditer(text)))


def find_address(text: str) -> str | None:
    """The first address in a text."""
    found = _QUOTED.search(text) or _ADDRESS.search(text)
    return found[0] if found else None


def read_typed_address(value: str) -> str | None:
    """The address of a field such as `rfc822; a@example.com (comment)` (RFC 3464, 2.3.1; RFC 6533, section 3)."""
    kind, semicolon, rest = value.partition(";")
    if semicolon and kind.strip().lower() not in _TYPES:
        return None
    text = _COMMENT.sub(" ", rest if semicolon else value)
    if kind.strip().lower() == "utf-8":
        text = _HEX.sub(_read_code_point, text)
    # A source route (RFC 5321, appendix C) says how the mail went, not where.
    return find_address(text.rpartition(":")[2])


def is_daemon(address: str) -> bool:
    """Whether mail servers write under this name."""
    return address.lower().startswith(_DAEMONS)


def _read_code_point(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    # Halves of surrogate pairs are no characters, and nothing that reads addresses takes them.
    is_character = number <= sys.maxunicode and category(chr(number)) != "Cs"
    return chr(number) if is_character else ""
