"""E-mail addresses: the two ways to read one.

`parse_address` is strict: what it accepts may be sent to. `parse_intake` is liberal: it reads what people paste
and other systems export, because an opt-out must not be lost to a stray bracket. What the strict reader accepts,
the liberal one accepts with the same forms. How spellings are matched is told in `address_forms`.

No form but `raw` is ever sent to: a look-alike must not lead a message to the address that it resembles.
No message of an error, and no repr, holds an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import email_validator

from forbear.domain.address_forms import (
    CANON_VERSION,
    QUOTED,
    canonical_domain,
    exact_form,
    match_form,
    read_local,
    wide_form,
)
from forbear.domain.errors import InvalidAddress
from forbear.domain.wide_domains import WIDE_DOMAINS

__all__ = ["CANON_VERSION", "Address", "Domain", "mask_address", "match_form", "parse_address", "parse_intake"]

LOCAL_OCTETS_MAX: Final = 64
LABEL_OCTETS_MAX: Final = 63
DOMAIN_OCTETS_MAX: Final = 253
ADDRESS_OCTETS_MAX: Final = 254
"""Limits of what may be sent to (RFC 5321 section 4.5.3.1, RFC 1035 section 2.3.4)."""

TEXT_CHARACTERS_MAX: Final = 1000
"""Longer text is not looked at, so that a megabyte in an address column does not cost a megabyte's work."""

# Names such as .test, .example, .invalid and .local reach no public mailbox, but rehearsals and private networks
# use them, and it is not for matching to say whether they are sent to. The library has no argument for it; this
# list is its documented way.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


@dataclass(frozen=True, slots=True)
class Address:
    """One e-mail address in its forms. Comes from `parse_address` or `parse_intake`."""

    raw: str
    """As given, what stood around it taken off. The only form that is ever sent to."""
    exact: str
    """Its identity: needless quotes off, NFC, case kept; the domain as A-label in lower case."""
    match: str
    """What suppression compares."""
    domain: str
    """A-label in lower case; NFC and lower case where IDNA fails."""
    wide: str | None
    """The match form shared by all spellings of the mailbox, for the listed domains. May equal `match`."""

    def __repr__(self) -> str:
        """Show whose it might be without saying so."""
        return f"<Address {mask_address(self.raw)}>"


@dataclass(frozen=True, slots=True)
class Domain:
    """Everybody at a domain, written `@example.com`."""

    domain: str


def parse_address(text: str) -> Address:
    """Read an address that may be sent to; outer ASCII white space does not count.

    A domain needs a dot. Quoted local parts (RFC 5321 section 4.1.2) and internationalised ones (RFC 6531) are
    accepted, IP addresses as domains are not. Raises `InvalidAddress` with one of few stable sentences.
    """
    raw = text.strip(_ASCII_SPACE)
    return _parse_usual(raw) or _parse_exact(raw)


def parse_intake(text: str) -> Address | Domain:
    """Read the one address, or domain, that somebody wants suppressed, whatever stands around it.

    Takes off white space of all kinds, invisible characters, brackets, quotes, a name, `mailto:`, commas. Keeps
    addresses that nobody could send to. Raises `InvalidAddress` only where there is no single address to be had.
    """
    return _parse_usual(text.strip()) or _parse_liberal(text)


def mask_address(text: str) -> str:
    """Give `a...@example.com`: enough for its owner to recognise. For pages and reprs only."""
    local, at, domain = text.strip().rpartition("@")
    return f"{local.lstrip(_QUOTING)[:1]}...{at}{domain}" if at else "..."


_ASCII_SPACE = " \t\n\r\v\f"
_QUOTING = '"\\'
_USUAL = re.compile(
    r"[A-Za-z0-9_+-]++(?:\.[A-Za-z0-9_+-]++)*+@(?:[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+\.)+[A-Za-z]++"
)  # No two hyphens in a row in a domain, hence no A-labels.
_SET_RAW, _SET_EXACT, _SET_MATCH, _SET_DOMAIN, _SET_WIDE = (
    vars(Address)[name].__set__ for name in ("raw", "exact", "match", "domain", "wide")
)


def _parse_usual(raw: str) -> Address | None:
    """Read an address of the overwhelmingly usual shape, or give None on any doubt.

    Its forms differ by ASCII case alone. The tests prove that it says what the exact reader says.
    """
    if _USUAL.fullmatch(raw) is None:
        return None
    match = raw.lower()
    local, _, domain = match.partition("@")
    # A domain that fits into one label's limit has no label beyond it.
    if len(local) > LOCAL_OCTETS_MAX or len(domain) > LABEL_OCTETS_MAX:
        return None
    # Filling the slots by hand takes a third off the whole: a frozen dataclass's own __init__ is slow.
    address: Address = object.__new__(Address)
    _SET_RAW(address, raw)
    _SET_EXACT(address, raw if raw == match else f"{raw[: len(local)]}@{domain}")
    _SET_MATCH(address, match)
    _SET_DOMAIN(address, domain)
    _SET_WIDE(address, wide_form(match) if domain in WIDE_DOMAINS else None)
    return address


def _parse_exact(raw: str) -> Address:
    """Read any address that may be sent to. The library judges; the forms and the sentences are ours."""
    _check_text(raw)
    local, domain = _split(raw)
    _check_single(local, domain)
    address = _make_address(raw, local, domain)
    _check_domain(address.domain)
    _check_lengths(address, local)
    if _INVISIBLE.search(raw) or _JOINER.search(raw):
        raise InvalidAddress("there are invisible characters in it")
    if not _is_valid(raw):
        raise InvalidAddress(f"the {'part before the @' if _is_valid(f'a@{domain}') else 'domain'} is not valid")
    return address


def _is_valid(text: str) -> bool:
    """Ask the library. Its message may repeat characters of the address, so it goes no further."""
    try:
        email_validator.validate_email(text, allow_quoted_local=True, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return False
    return True


def _parse_liberal(text: str) -> Address | Domain:
    """Read whatever names one address or domain."""
    bare = _unwrap(text)
    _check_text(bare)
    local, domain = (half.strip(_BLANK) for half in _split(bare))
    _check_single(local, domain)
    if not local:
        return Domain(_read_domain(domain))
    local = _JOINER.sub("", local)
    return _make_address(f"{local}@{domain}", local, domain)


def _make_address(raw: str, local: str, domain: str) -> Address:
    if not read_local(local):
        raise InvalidAddress("there is nothing before the @")
    name = _read_domain(domain)
    match = match_form(local, name)
    return Address(raw, exact_form(local, name), match, name, wide_form(match))


def _read_domain(domain: str) -> str:
    name = canonical_domain(domain)
    if not name:
        raise InvalidAddress("there is nothing after the @")
    return name


_INVISIBLE = re.compile(
    r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)  # Zero-width space, soft hyphen, BOM, marks of direction: copying picks them up, and they mean nothing here.
_JOINER = re.compile(r"[\u200c\u200d]")  # Invisible too, but some domains are spelled with them; IDNA judges there.
_BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200c\u200d"
_AROUND = _BLANK + ",;"
_NAMED = re.compile(r'(?P<name>(?:"(?:[^"\\]|\\.)*+"|[^<>"])*+)<(?P<inner>[^<>]*)>', re.DOTALL)
_MAILTO = re.compile(r"mailto:(?P<inner>[^?]*)(?:\?.*)?", re.DOTALL | re.IGNORECASE)
_IN_QUOTES = re.compile(r"""(?P<quote>["'])(?P<inner>(?:(?!(?P=quote)).)*)(?P=quote)""", re.DOTALL)


def _unwrap(text: str) -> str:
    """Take off, layer by layer, what people and programs put around an address."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidAddress(_TOO_LONG)
    while True:
        bare = _INVISIBLE.sub("", text).strip(_AROUND)
        if found := _NAMED.fullmatch(bare):
            _check_name(found["name"], found["inner"])
            bare = found["inner"]
        elif found := _MAILTO.fullmatch(bare):
            # RFC 6068 section 2. Octets that are not UTF-8 become surrogates, which are refused further on.
            bare = unquote(found["inner"], errors="surrogateescape")
        elif found := _IN_QUOTES.fullmatch(bare):
            bare = found["inner"]
        if bare == text:
            return bare
        text = bare


def _check_name(name: str, inner: str) -> None:
    """Refuse `ann@example.com, Bob <bob@example.com>`, but not a program that repeats the address as the name."""
    spoken = QUOTED.sub("", name).strip(_AROUND + "'")
    if "@" in spoken and spoken.lower() != inner.strip(_AROUND).lower():
        raise InvalidAddress("there is more than one address")


_TOO_LONG = f"it is longer than {TEXT_CHARACTERS_MAX} characters"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_AT = re.compile(r'((?:"(?:[^"\\]|\\.)*+"|[^"@])*+)@(.*)', re.DOTALL)
_BRACKET = re.compile(r"[<>]")
_SPACE = re.compile(r"\s")
_SPECIAL_IN_LOCAL = re.compile(r"[(),:;]")
_SPECIAL_IN_DOMAIN = re.compile(r'[(),;"\\]')


def _check_text(text: str) -> None:
    if not text:
        raise InvalidAddress("there is nothing here")
    if len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidAddress(_TOO_LONG)
    if _CONTROL.search(text):
        raise InvalidAddress("there are control or broken characters in it")


def _split(text: str) -> tuple[str, str]:
    """Give what stands before and after the one @ that is not in quotes."""
    found = _AT.fullmatch(text)
    if found is None:
        raise InvalidAddress("there is no @ outside quotes" if "@" in text else "there is no @")
    local, domain = found.groups()
    if "@" in domain:
        raise InvalidAddress("there is more than one @")
    return local, domain


def _check_single(local: str, domain: str) -> None:
    """Refuse what is more than one bare address: names, groups, comments, lists (RFC 5322 section 3.4)."""
    bare_local = QUOTED.sub("", local)
    if _BRACKET.search(bare_local + domain):
        raise InvalidAddress("there is a name or a bracket around it")
    if _SPACE.search(bare_local + domain):
        raise InvalidAddress("there are spaces in it")
    if _SPECIAL_IN_LOCAL.search(bare_local) or _SPECIAL_IN_DOMAIN.search(domain):
        raise InvalidAddress("comments, groups and lists of addresses are not accepted")


def _check_domain(name: str) -> None:
    if name.startswith("["):
        raise InvalidAddress("an IP address is not accepted as a domain")
    if "." not in name:
        raise InvalidAddress("the domain needs a dot")


def _check_lengths(address: Address, local: str) -> None:
    """Refuse what is too long to send to, as given or in its exact form (NFC and A-labels can lengthen)."""
    exact_local = address.exact.removesuffix(f"@{address.domain}")
    _check_octets("the part before the @", LOCAL_OCTETS_MAX, local, exact_local)
    _check_octets("a part of the domain", LABEL_OCTETS_MAX, *address.domain.split("."))
    _check_octets("the domain", DOMAIN_OCTETS_MAX, address.domain)
    _check_octets("the address", ADDRESS_OCTETS_MAX, address.raw, address.exact)


def _check_octets(what: str, octets_max: int, *texts: str) -> None:
    if any(len(text.encode()) > octets_max for text in texts):
        raise InvalidAddress(f"{what} is longer than {octets_max} octets")
