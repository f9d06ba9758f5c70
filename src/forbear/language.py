"""The languages that recipients are spoken to in: which one, what a sentence is in it, and how it writes dates.

Catalogues are src/forbear/locales/LANGUAGE/LC_MESSAGES/forbear.po, one for pages and messages alike. A language is
named by its tag (BCP 47). Sentences are written in English where they are used, and are the keys of the catalogues;
`scripts/catalogues` brings those up to date.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.dates import format_date as format_babel_date
from babel.lists import format_list as format_babel_list
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "fr", "de", "es", "it", "ja", "zh-Hans")
"""What every page and message exists in; the first is what is spoken where nothing else is asked for."""
DOMAIN: Final = "forbear"
LOCALES: Final = Path(__file__).parent / "locales"
_HEADER_LENGTH_MAX: Final = 500
_TRADITIONAL: Final = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")


def find_language(tag: str | None) -> str | None:
    """The language of ours that a tag asks for (`fr-CH` is French, `zh-CN` is simplified Chinese), or None."""
    lowered = (tag or "").strip().lower().replace("_", "-")
    primary = lowered.partition("-")[0]
    if primary == "zh":
        return None if lowered.startswith(_TRADITIONAL) else "zh-Hans"
    return primary if primary in LANGUAGES else None


def choose_language(*wanted: str | None, accepted: str = "") -> str:
    """The first of these tags that we speak, else the best of an Accept-Language (RFC 9110, section 12.5.4)."""
    return next(filter(None, map(find_language, [*wanted, *_list_accepted(accepted)])), ENGLISH)


def translations_for(language: str) -> NullTranslations:
    """What a catalogue says, by gettext's interface; English sentences stand for themselves."""
    return NullTranslations() if language == ENGLISH else _load_translations(language)


def translate(language: str, message: str, **values: object) -> str:
    """One sentence in a language, its `%(name)s` filled in."""
    text = translations_for(language).ugettext(message)
    return text % values if values else text


def format_date(day: date, language: str) -> str:
    """A day as it is written out in a language."""
    return format_babel_date(day, "long", locale=_locale_of(language))


def format_list(names: Iterable[str], language: str) -> str:
    """Names in a row, as a language puts them: `a, b and c`."""
    return format_babel_list(list(names), locale=_locale_of(language))


def name_language(language: str) -> str:
    """What a language calls itself."""
    return (_locale_of(language).get_display_name() or language).capitalize()


def catalogue_path(language: str) -> Path:
    """Where the sentences of a language stand."""
    return LOCALES / language.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.po"


def read_catalogue(language: str) -> Catalog:
    """The catalogue of a language."""
    with catalogue_path(language).open("rb") as file:
        return read_po(file, locale=language.replace("-", "_"), domain=DOMAIN)


@cache
def _load_translations(language: str) -> Translations:
    compiled = BytesIO()
    write_mo(compiled, read_catalogue(language))
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


@cache
def _locale_of(language: str) -> Locale:
    return Locale.parse(language, sep="-")


def _list_accepted(header: str) -> list[str]:
    """The tags of an Accept-Language, best first; what cannot be read counts as not there."""
    weighted = []
    for place, part in enumerate(header[:_HEADER_LENGTH_MAX].split(",")):
        tag, _, parameter = part.partition(";")
        weight = _read_weight(parameter)
        if tag.strip() and weight > 0:
            weighted.append((-weight, place, tag))
    return [tag for _, _, tag in sorted(weighted)]


def _read_weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
