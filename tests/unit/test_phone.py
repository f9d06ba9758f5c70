"""Phone numbers: what is one number, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.contact_point import channel_of, mask_contact_point, parse_contact_point, parse_target
from forbear.domain.errors import InvalidAddress, InvalidInput
from forbear.domain.phone import Phone, check_region, mask_phone, parse_phone, parse_phone_intake
from forbear.domain.postal_address import PostalFields
from forbear.domain.suppression import Channel

NUMBERS = [
    ("+33612345678", None, "+33612345678"),
    ("06 12 34 56 78", "FR", "+33612345678"),
    ("06.12.34.56.78", "FR", "+33612345678"),
    ("+33 (0)6 12 34 56 78", None, "+33612345678"),
    ("0033 6 12 34 56 78", "FR", "+33612345678"),
    ("+33 6 12 34 56 78", "US", "+33612345678"),
    ("tel:+33-6-12-34-56-78", None, "+33612345678"),
    ("\uff0b33612345678", None, "+33612345678"),
    ("+\u0663\u0663\u0666\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", None, "+33612345678"),
    ("020 7946 0018", "GB", "+442079460018"),
    ("+44 0 20 7946 0018", None, "+442079460018"),
    ("(212) 555-0100 ext. 5", "US", "+12125550100"),
    ("1-800-FLOWERS", "US", "+18003569377"),
    ("03-1234-5678", "JP", "+81312345678"),
    ("06 6982", "IT", "+39066982"),
]


@pytest.mark.parametrize(("text", "region", "expected"), NUMBERS)
def test_spellings_of_a_number_are_one(text, region, expected):
    assert parse_phone(text, region).match == parse_phone_intake(text, region).match == expected


@pytest.mark.parametrize(
    ("text", "region", "why"),
    [
        ("06 12 34 56 78", None, "no region"),
        ("+33 6 12", None, "too few or too many"),
        ("+33 6 12 34 56 78 90 12", None, "too few or too many"),
        ("+999 12345678", None, "not one phone number"),
        ("ann@example.com", "FR", "not one phone number"),
        ("", "FR", "not one phone number"),
        ("1" * 300, "FR", "not one phone number"),
    ],
)
def test_what_cannot_be_called_says_why_and_does_not_repeat_it(text, region, why):
    with pytest.raises(InvalidAddress, match=why) as caught:
        parse_phone(text, region)
    assert not text or text not in str(caught.value)


def test_an_opt_out_is_taken_with_a_digit_too_many():
    assert parse_phone_intake("+33 6 12 34 56 78 9").match == "+336123456789"


@given(st.text(max_size=40), st.sampled_from([None, "FR", "US", "JP"]))
def test_any_text_is_a_number_or_refused_and_the_strict_reader_agrees_with_the_liberal_one(text, region):
    try:
        strict = parse_phone(text, region)
    except InvalidAddress:
        return
    assert parse_phone_intake(text, region) == strict
    assert parse_phone(strict.match) == strict


@pytest.mark.parametrize("region", ["", "F", "FRA", "XX", "\u00df"])
def test_what_is_no_region(region):
    with pytest.raises(InvalidInput):
        check_region(region)


def test_a_region_may_be_written_small():
    assert check_region("fr") == "FR"


def test_nothing_shows_a_number():
    assert repr(Phone("+33612345678")) == "<Phone +33...78>"
    assert mask_phone("none") == "..."


# Whatever the channel


POST = "Ann Lee | 1 High Street | BA1 1AA | GB"


@pytest.mark.parametrize(
    ("channel", "text", "masked"),
    [
        (Channel.EMAIL, "ann@example.com", "a...@example.com"),
        (Channel.PHONE, "+33612345678", "+33...78"),
        (Channel.POST, POST, "A. L., BA... GB"),
    ],
)
def test_every_channel_reads_and_masks_its_own(channel, text, masked):
    point = parse_contact_point(channel, text)
    assert point == parse_target(channel, text)
    assert channel_of(point) is channel
    assert mask_contact_point(channel, point.raw) == masked


def test_an_address_in_fields_is_one_on_paper_only():
    fields = PostalFields("Ann Lee", ("1 High Street",), "BA1 1AA", "GB")
    assert parse_contact_point(Channel.POST, fields) == parse_contact_point(Channel.POST, POST)
    for channel in (Channel.EMAIL, Channel.PHONE):
        with pytest.raises(InvalidAddress):
            parse_target(channel, fields)
