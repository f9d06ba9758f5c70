"""The forms of an e-mail address: pure text in, pure text out, the same in every locale.

What `CANON_VERSION` numbers. Two spellings are one address when their match forms are equal:

- Domain: trailing dots off, UTS 46 (non-transitional), A-label, lower case. Where IDNA 2008 fails (underscores,
  emoji, IP addresses), NFC and lower case, so that an odd opt-out still stands.
- Local part: needless quotes off, NFC, lower case, NFC again. Neither case folding nor NFKC: they would merge
  addresses that mail servers tell apart (`strasse` and `straße`, the ligature U+FB01 and `fi`).
- Greek final sigma counts as sigma. Python lowers a capital sigma to either, depending on its neighbours; left
  alone, a name in capitals would match only one of the two ways to write it small.
- The Turkish dotted capital I (U+0130) becomes `i` and a combining dot (U+0307), as Unicode has it. Whatever the
  locale, `I` is `i`, and the dotless small i (U+0131) stays itself.

What belongs to a local part, once its quotes are off, is called its content here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import idna

from forbear.domain.wide_domains import WIDE_DOMAINS

CANON_VERSION: Final = 1
"""Raise it when any address gets another match form or wide form; it is stored with every entry."""

QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
"""A quoted string, its inside as the only group (RFC 5321 section 4.1.2)."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'["\\]')
_ATOM = r'[^\s\x00-\x1f\x7f-\x9f()<>\[\]:;@\\,."]+'
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
"""What needs no quotes (RFC 6531 section 3.3); white space and controls beyond ASCII do."""


def match_form(local: str, domain: str) -> str:
    """Give what suppression compares, for a local part and a domain in any spelling."""
    return f"{write_local(_fold(read_local(local)))}@{canonical_domain(domain)}"


def exact_form(local: str, domain: str) -> str:
    """Give the identity of an address: one way to write it, with the case of its local part kept."""
    return f"{write_local(_compose(read_local(local)))}@{canonical_domain(domain)}"


def wide_form(match: str) -> str | None:
    """Give the form that all spellings of the mailbox share, or None where its domain is not listed.

    Where nothing would be left before the @ (`+tag@gmail.com`), the match form stands.
    """
    local, _, domain = match.rpartition("@")
    spelling = WIDE_DOMAINS.get(domain)
    if spelling is None:
        return None
    mailbox = read_local(local).partition("+")[0]
    if spelling.is_dotless:
        # What the dots kept apart may compose now.
        mailbox = _compose(mailbox.replace(".", ""))
    return f"{write_local(mailbox)}@{spelling.mailbox_domain}" if mailbox else match


@lru_cache(maxsize=4096)
def canonical_domain(domain: str) -> str:
    """Give the A-label form in lower case, or NFC and lower case where IDNA 2008 knows no such name."""
    bare = domain.rstrip(".")
    try:
        # UTS 46 turns other full stops into dots, so there may be some to take off again.
        return idna.encode(bare, uts46=True).decode("ascii").rstrip(".")
    except ValueError:
        return _fold(bare)


def read_local(local: str) -> str:
    """Give the content of a local part: quotes and escapes off (RFC 5322 section 3.2.4)."""
    return QUOTED.sub(lambda found: _ESCAPED.sub(r"\1", found[1]), local) if '"' in local else local


def write_local(content: str) -> str:
    """Give the shortest way to write a local part of this content; the opposite of `read_local`."""
    if content.isalnum() or _DOT_ATOM.fullmatch(content):
        return content
    return '"' + _TO_ESCAPE.sub(r"\\\g<0>", content) + '"'


def _fold(text: str) -> str:
    small = _compose(text).lower()
    return _compose(small.replace("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"))


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", text)
