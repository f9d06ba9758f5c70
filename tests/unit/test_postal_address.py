"""Postal addresses: the golden file, and what holds for all of them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.errors import InvalidAddress
from forbear.domain.postal_address import PostalFields, fold_text, mask_post, parse_post, read_line

SAMPLES = Path(__file__).parents[1] / "samples" / "postal_addresses.tsv"
CLAIRE = PostalFields("Claire Dupont", ("12 rue de la Paix", "Paris"), "75002", "FR")

texts = st.text(max_size=20)
addresses = st.builds(PostalFields, texts, st.lists(texts, max_size=4).map(tuple), texts, st.sampled_from(["FR", "jp"]))


def read_samples():
    for line in SAMPLES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            fields = re.sub(r"\{U\+([0-9A-F]{4})\}", lambda found: chr(int(found[1], 16)), line).split("\t")
            yield pytest.param(*fields[:5], id=fields[5])


@pytest.mark.parametrize(("name", "lines", "postcode", "country", "expected"), list(read_samples()))
def test_golden_match_forms(name, lines, postcode, country, expected):
    address = parse_post(PostalFields(name, lines.split(" / "), postcode, country))
    assert address.match.split("\n") == expected.split("/")


@given(texts)
def test_folding_twice_changes_nothing(text):
    assert fold_text(fold_text(text)) == fold_text(text)


@given(addresses)
def test_an_address_in_one_line_is_the_same_address(fields):
    try:
        address = parse_post(fields)
    except InvalidAddress:
        return
    assert parse_post(read_line(address.raw)).match == address.match
    assert parse_post(address.fields).raw == address.raw


@given(texts)
def test_any_text_is_an_address_or_refused(text):
    try:
        parse_post(read_line(text))
    except InvalidAddress:
        return


def test_one_line_of_text_has_the_fields_in_their_order():
    assert read_line("Claire Dupont | 12 rue de la Paix | Paris | 75002 | FR") == CLAIRE
    assert parse_post(CLAIRE).raw == "Claire Dupont | 12 rue de la Paix | Paris | 75002 | FR"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (PostalFields("", ("1 High Street",), "", "GB"), "name"),
        (PostalFields(" - ", ("1 High Street",), "", "GB"), "name"),
        (PostalFields("Ann", (), "", "GB"), "lines"),
        (PostalFields("Ann", ("", " . "), "", "GB"), "lines"),
        (PostalFields("Ann", ("1 High Street",), "", "England"), "country"),
        (PostalFields("Ann", ("1 High Street",), "", ""), "country"),
        (PostalFields("Ann", ("x" * 301,), "", "GB"), "300 characters"),
        (PostalFields("Ann", ("x",) * 11, "", "GB"), "10 lines"),
    ],
)
def test_what_is_no_address_says_why_and_does_not_repeat_it(fields, why):
    with pytest.raises(InvalidAddress, match=why) as caught:
        parse_post(fields)
    assert "High" not in str(caught.value)


def test_nothing_shows_an_address():
    assert "Claire" not in repr(CLAIRE) + repr(parse_post(CLAIRE))
    assert mask_post(CLAIRE) == "C. D., 75... FR"
