"""Which language is spoken, and how it writes."""

from datetime import date

import pytest

from forbear.language import LANGUAGES, choose_language, find_language, format_date, format_list, name_language


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("fr", "fr"),
        ("fr-CH", "fr"),
        ("DE_at", "de"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh_Hans_SG", "zh-Hans"),
        ("zh-TW", None),
        ("zh-Hant-HK", None),
        ("pt-BR", None),
        ("french", None),
        ("", None),
        (None, None),
    ],
)
def test_a_tag_finds_the_language_that_it_asks_for(tag, language):
    assert find_language(tag) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-CH, fr;q=0.9", "de"),
        ("fr;q=0.5, it;q=0.8", "it"),
        ("pt, sv;q=0.9, ja;q=0.1", "ja"),
        ("fr;q=0, es;q=0.2", "es"),
        ("zh-TW, zh;q=0.8", "zh-Hans"),
        ("fr;q=nonsense, de;q=0.1", "de"),
        ("*", "en"),
        ("", "en"),
        (",;;=q\x00" * 1000, "en"),
    ],
)
def test_a_browser_is_answered_in_the_best_of_what_it_asks_for(header, language):
    assert choose_language(accepted=header) == language


def test_what_somebody_told_us_comes_before_what_the_browser_asks_for():
    assert choose_language("ja", accepted="fr") == "ja"
    assert choose_language(None, "pt", accepted="fr") == "fr"


def test_dates_names_and_lists_are_written_as_the_language_does():
    day = date(2026, 11, 24)
    assert [format_date(day, language) for language in ("fr", "ja")] == ["24 novembre 2026", "2026年11月24日"]
    assert format_list(["A", "B", "C"], "de") == "A, B und C"
    assert [name_language(language) for language in LANGUAGES][:3] == ["English", "Français", "Deutsch"]
