"""What is known about a contact: the id that other systems use, and loose hints at who somebody is.

A hint is for people who call or write and give no address that is on file: `Müller, Anna` and `anna muller` hint at
the same contacts. It never decides anything; whoever takes the call does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2s
from typing import Final

from forbear.domain.errors import InvalidInput
from forbear.domain.fingerprint import FINGERPRINT_BYTES, Fingerprint

EXTERNAL_ID_CHARACTERS_MAX: Final = 200
NAME_CHARACTERS_MAX: Final = 300
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_WORD = re.compile(r"\w+")


class HintKind(StrEnum):
    """What a hint was made of."""

    NAME = "name"
    NAME_POSTCODE = "name_postcode"


def check_external_id(text: str) -> str:
    """Give the id back, or raise `InvalidInput`: an e-mail address may not serve as one, because ids stand in URLs."""
    if not text.strip() or text != text.strip() or not text.isprintable() or len(text) > EXTERNAL_ID_CHARACTERS_MAX:
        raise InvalidInput(f"an external id is printable and has 1 to {EXTERNAL_ID_CHARACTERS_MAX} characters")
    if "@" in text:
        raise InvalidInput("an external id may not be an e-mail address: it stands in paths and logs")
    return text


def check_country(text: str) -> str:
    """A country by its two letters (ISO 3166-1 alpha-2), in capitals, or `InvalidInput`."""
    country = text.strip().upper()
    if not _COUNTRY.fullmatch(country):
        raise InvalidInput("a country is two letters (ISO 3166-1), such as FR")
    return country


def check_language(text: str) -> str:
    """A language by its tag (BCP 47), or `InvalidInput`."""
    language = text.strip().replace("_", "-")
    if not _LANGUAGE.fullmatch(language):
        raise InvalidInput("a language is a tag (BCP 47), such as fr or zh-Hans")
    return language


def check_name(text: str) -> str:
    """A name on one line, or `InvalidInput`."""
    name = " ".join(text.split())
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidInput(f"a name is printable and has {NAME_CHARACTERS_MAX} characters at most")
    return name


def loosen_name(name: str) -> str:
    """A name without case, accents, punctuation and order; "" where nothing is left."""
    return " ".join(sorted(_WORD.findall(_bare(name))))


def fits_name(given: str, known: str) -> bool:
    """Whether two names may be one person's: all words of the shorter stand in the longer, in any order."""
    one, other = set(loosen_name(given).split()), set(loosen_name(known).split())
    return bool(one and other) and (one <= other or other <= one)


def loosen_postcode(postcode: str) -> str:
    """A postcode without case and spaces."""
    return "".join(_WORD.findall(_bare(postcode)))


def _bare(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def list_hint_forms(name: str, postcodes: Iterable[str] = ()) -> list[tuple[HintKind, str]]:
    """What somebody of this name, living at one of these postcodes, may be found by."""
    loose = loosen_name(name)
    if not loose:
        return []
    codes = dict.fromkeys(filter(None, map(loosen_postcode, postcodes)))
    return [(HintKind.NAME, loose), *((HintKind.NAME_POSTCODE, f"{loose}\n{code}") for code in codes)]


class Hinter:
    """Makes keyed fingerprints of hints under a chain of secrets, the oldest first."""

    def __init__(self, chain: Iterable[bytes]) -> None:
        """Derive the keys of each kind of hint."""
        secrets = tuple(chain)
        self._keys = {
            kind: [blake2s(f"forbear contact hint {kind}".encode(), key=secret).digest() for secret in secrets]
            for kind in HintKind
        }

    def make(self, kind: HintKind, form: str) -> Fingerprint:
        """Fingerprint one form, which never equals the fingerprint of an address."""
        value = form.encode("utf-8", "surrogatepass")
        for key in self._keys[kind]:
            value = blake2s(value, digest_size=FINGERPRINT_BYTES, key=key).digest()
        return Fingerprint(value)
