"""Every sentence that recipients read exists in every language, and says the same things."""

import re
import sys
from importlib import import_module

import pytest

from forbear.language import ENGLISH, LANGUAGES, catalogue_path, read_catalogue
from tests.processes import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
SENTENCES = [message for message in import_module("_catalogues").list_sentences() if message.id]
OTHERS = [language for language in LANGUAGES if language != ENGLISH]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def forms_of(text) -> list[str]:
    return list(text) if isinstance(text, tuple | list) else [text]


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated_and_none_is_left_over(language):
    catalogue = read_catalogue(language)
    known = {forms_of(message.id)[0]: message for message in catalogue if message.id}
    wanted = {forms_of(message.id)[0] for message in SENTENCES}
    assert known.keys() ^ wanted == set()
    assert [key for key, message in known.items() if not all(forms_of(message.string))] == []
    assert [key for key, message in known.items() if message.fuzzy] == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_placeholders_of_the_sentence(language):
    for message in read_catalogue(language):
        if message.id:
            wanted = set(PLACEHOLDER.findall(forms_of(message.id)[-1]))
            for form in forms_of(message.string):
                assert set(PLACEHOLDER.findall(form)) == wanted, form
                assert "%" not in PLACEHOLDER.sub("", form), form


@pytest.mark.parametrize("language", OTHERS)
def test_a_plural_has_as_many_forms_as_its_language(language):
    catalogue = read_catalogue(language)
    plurals = [message for message in catalogue if message.id and message.pluralizable]
    assert plurals
    assert {len(forms_of(message.string)) for message in plurals} == {catalogue.num_plurals}


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_ends_like_a_sentence(language):
    ends = {".": ".\u3002", "?": "?\uff1f", ":": ":\uff1a"}
    for message in read_catalogue(language):
        for english, form in zip(forms_of(message.id), forms_of(message.string), strict=False):
            if english and english[-1] in ends and not english.startswith("For %(address)s"):
                assert form[-1] in ends[english[-1]] or (language == "ja" and form[-1] not in ".?:"), form


@pytest.mark.parametrize("language", OTHERS)
def test_no_markup_and_no_name_of_anybody_stands_in_a_catalogue(language):
    assert not re.search(r"Last-Translator|Creation-Date", catalogue_path(language).read_text())
    for message in read_catalogue(language):
        assert not re.search(r"[<>]", "".join(forms_of(message.string))) or not message.id
