"""Postal addresses, and what two spellings of one have in common.

What `POSTAL_FORM_VERSION` numbers. The match form is the name, the lines in their order, the postcode and the country:

- NFKC, so that full-width letters and digits are the usual ones. Paper has no mail server that tells them apart.
- Lower case, not case folding: `Strasse` and `Straße` are two. Greek final sigma counts as sigma.
- Only letters, their marks and digits count. White space, punctuation and symbols keep two numbers apart, `12/3` from
  `123`; elsewhere they vanish, so that `O'Neill`, `O Neill` and `ONeill` are one, and so are a Japanese name with and
  without a space in it.
- Where a line ends does not count, only the order. The town is one of the lines.
- Nothing is expanded, looked up or left out: `St` is not `Street`, `Mme Dupont` is not `Dupont`.
- In a postcode nothing but letters and digits counts, and a country's letters with a hyphen before it do not.

What is on record must be found again, so a change here is a new version, never a correction of this one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from forbear.domain.errors import InvalidAddress

POSTAL_FORM_VERSION: Final = 1
"""Raise it when any address gets another form; it is stored with every entry."""

LINES_MAX: Final = 10
FIELD_CHARACTERS_MAX: Final = 300
"""Longer text is no line of an address, and is not looked at."""

SEPARATOR: Final = " | "
"""Between the fields where an address is written as one line of text."""

_FIELDS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class PostalFields:
    """A postal address as somebody gave it; nothing is known about it yet."""

    name: str
    lines: Sequence[str]
    postcode: str
    country: str

    def __repr__(self) -> str:
        """Say nothing of it."""
        return "<PostalFields>"


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Somebody at a postal address. Comes from `parse_post`."""

    raw: str
    """As given, in one line: name, lines, postcode and country, with `SEPARATOR` between."""
    match: str
    """What suppression compares."""

    @property
    def fields(self) -> PostalFields:
        """The address in its fields."""
        return read_line(self.raw)

    @property
    def wide(self) -> None:
        """There are no other spellings but those that match already."""
        return

    @property
    def domain(self) -> None:
        """An entry is about a person at an address, never about a house."""
        return

    def __repr__(self) -> str:
        """Show whose it might be without saying so."""
        return f"<PostalAddress {mask_post(self.fields)}>"


def parse_post(given: PostalFields) -> PostalAddress:
    """Read an address; it needs a name, a line and a country of two letters (ISO 3166-1). Raises `InvalidAddress`."""
    lines = [line for line in given.lines if line.strip()]
    _check_size([given.name, *lines, given.postcode, given.country], len(lines))
    name, place = fold_text(given.name), fold_text("\n".join(lines))
    if not name:
        raise InvalidAddress("the name is missing")
    if not place:
        raise InvalidAddress("the lines of the address are missing")
    country = _read_country(given.country)
    raw = SEPARATOR.join(map(_tidy, [given.name, *lines, given.postcode, country]))
    return PostalAddress(raw, "\n".join((name, place, fold_postcode(given.postcode), country.lower())))


def read_line(text: str) -> PostalFields:
    """The fields of an address in one line, `NAME | LINE | ... | POSTCODE | COUNTRY`. Raises `InvalidAddress`."""
    fields = [field.strip() for field in text.split(SEPARATOR.strip())]
    if len(fields) < _FIELDS_MIN:
        raise InvalidAddress("a postal address in one line is: name | line | ... | postcode | country")
    name, *lines, postcode, country = fields
    return PostalFields(name, tuple(lines), postcode, country)


def mask_post(fields: PostalFields) -> str:
    """Give `C. D., 75... FR`: enough for its owner to recognise. For pages and reprs only."""
    initials = " ".join(f"{word[0].upper()}." for word in fields.name.split()[:3])
    return f"{initials}, {fields.postcode.strip()[:_SHOWN_OF_POSTCODE]}... {fields.country.strip().upper()}"


_SHOWN_OF_POSTCODE: Final = 2
_FORMATTING = "Cf"
_LOOKS_LIKE_PUNCTUATION = frozenset("\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u02c8")
"""Letters to Unicode, apostrophes to whoever types them."""

_LONG_SOUND = re.compile(r"(?<=\d)\u30fc(?=\d)")
"""The Japanese mark of a long sound, which people type for the hyphen between numbers."""

_COUNTRY_BEFORE_POSTCODE = re.compile(r"\A[a-z]{1,3}\s*[-\u2010-\u2015]\s*(?=\d)", re.IGNORECASE)
_COUNTRY = re.compile(r"[A-Z]{2}")
_OTHER_COUNTRY_CODES: Final = {"UK": "GB", "EL": "GR"}
"""Codes that are written for a country and are not those of ISO 3166-1."""


def fold_text(text: str) -> str:
    """What counts of a text: letters, marks and digits, in lower case, with a space between two numbers."""
    # NFKC makes a space and a combining mark of an accent that stands alone, which people type for an apostrophe.
    bare = "".join(_blank(character) for character in text if unicodedata.category(character) != _FORMATTING)
    small = unicodedata.normalize("NFKC", bare).lower().replace("\u03c2", "\u03c3")
    small = _LONG_SOUND.sub(" ", unicodedata.normalize("NFKC", small))
    words = "".join(character if _counts(character) else " " for character in small).split()
    return unicodedata.normalize("NFC", "".join(_space_numbers(words)))


def fold_postcode(postcode: str) -> str:
    """What counts of a postcode."""
    bare = _COUNTRY_BEFORE_POSTCODE.sub("", unicodedata.normalize("NFKC", postcode).strip(), count=1)
    return fold_text(bare).replace(" ", "")


def _blank(character: str) -> str:
    stands_alone = unicodedata.category(character) == "Sk" or character in _LOOKS_LIKE_PUNCTUATION
    return " " if stands_alone else character


def _counts(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _space_numbers(words: Iterable[str]) -> Iterable[str]:
    before = ""
    for word in words:
        yield f" {word}" if _is_number(before[-1:]) and _is_number(word[0]) else word
        before = word


def _is_number(character: str) -> bool:
    return character != "" and unicodedata.category(character)[0] == "N"


def _read_country(text: str) -> str:
    code = unicodedata.normalize("NFKC", text).strip().upper()
    if not _COUNTRY.fullmatch(code):
        raise InvalidAddress("the country is two letters (ISO 3166-1), such as FR")
    return _OTHER_COUNTRY_CODES.get(code, code)


def _check_size(fields: Iterable[str], lines: int) -> None:
    if lines > LINES_MAX or any(len(field) > FIELD_CHARACTERS_MAX for field in fields):
        raise InvalidAddress(f"an address has {LINES_MAX} lines of {FIELD_CHARACTERS_MAX} characters at most")


def _tidy(field: str) -> str:
    return " ".join(field.replace(SEPARATOR.strip(), "/").split())
