"""Reading and matching addresses: the golden file, refusals, look-alikes, locales, masks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from forbear.domain.address import (
    TEXT_CHARACTERS_MAX,
    Address,
    Domain,
    mask_address,
    match_form,
    parse_address,
    parse_intake,
)
from forbear.domain.address_forms import canonical_domain, wide_form
from forbear.domain.errors import InvalidAddress
from forbear.domain.wide_domains import WIDE_DOMAINS
from tests.addresses import REFUSALS, ROWS, read_forms


def test_golden_file_has_two_hundred_addresses_each_with_its_rule():
    assert len({row.text for row in ROWS}) == len(ROWS) >= 200
    assert all(row.rule for row in ROWS)
    assert {row.kind for row in ROWS} == {"strict", "intake", "refused"}


@pytest.mark.parametrize("row", ROWS, ids=ascii)
def test_readers_say_what_the_golden_file_says(row):
    strict, liberal = read_forms(parse_address, row.text), read_forms(parse_intake, row.text)
    assert strict == row.forms if row.kind == "strict" else strict in REFUSALS, row.rule
    assert row.kind != "strict" or parse_address(row.text).raw == row.text.strip(" \t\r\n")
    assert liberal in REFUSALS if row.kind == "refused" else liberal == row.forms, row.rule


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "there is nothing here"),
        ("ann", "there is no @"),
        ('"ann@example.com"', "there is no @ outside quotes"),
        ("@example.com", "there is nothing before the @"),
        ("ann@", "there is nothing after the @"),
        ("ann@bob@example.com", "there is more than one @"),
        ("Ann <ann@example.com>", "there is a name or a bracket around it"),
        ("ann smith@example.com", "there are spaces in it"),
        ("ann\x00@example.com", "there are control or broken characters in it"),
        ("\ufeffann@example.com", "there are invisible characters in it"),
        ("ann(work)@example.com", "comments, groups and lists of addresses are not accepted"),
        ("ann..smith@example.com", "the part before the @ is not valid"),
        ("ann@exa_mple.com", "the domain is not valid"),
        ("ann@localhost", "the domain needs a dot"),
        ("ann@[192.0.2.1]", "an IP address is not accepted as a domain"),
        (f"{'a' * 65}@example.com", "the part before the @ is longer than 64 octets"),
        (f"ann@{'b' * 64}.com", "a part of the domain is longer than 63 octets"),
        (f"ann@{'b.' * 126}com", "the domain is longer than 253 octets"),
        (f"{'a' * 64}@{'b.' * 94}com", "the address is longer than 254 octets"),
        ("a" * 64 + "@" + ("b" * 54 + "\u00fc.") * 3 + "com", "the address is longer than 254 octets"),
        (f"{'a' * 1000}@example.com", "it is longer than 1000 characters"),
    ],
)
def test_refusal_says_what_is_wrong(text, refusal):
    assert read_forms(parse_address, text) == refusal


def test_liberal_reader_does_not_look_at_endless_text():
    assert read_forms(parse_intake, " " * TEXT_CHARACTERS_MAX + "ann <ann@example.com>") in REFUSALS
    assert read_forms(parse_intake, "mailto:" * 100_000) in REFUSALS


def test_listed_domains_are_in_canonical_form_and_keep_their_mailboxes_apart():
    assert all(canonical_domain(domain) == domain for domain in WIDE_DOMAINS)
    wide = {domain: wide_form(f"a.nn+x@{domain}") for domain in WIDE_DOMAINS}
    assert wide.pop("googlemail.com") == wide["gmail.com"] == "ann@gmail.com"
    assert len(set(wide.values())) == len(wide)


def test_look_alike_keeps_its_raw_form():
    # AD-08: a message for the look-alike must not reach the address that it resembles.
    found = parse_address("\u212aelvin@\u212aelvin.example")
    assert found.raw == "\u212aelvin@\u212aelvin.example"
    assert found.match == parse_address("kelvin@kelvin.example").match


def test_liberal_reader_keeps_the_spelling_it_was_given():
    assert parse_intake(' "Smith" <Ann."Smith"@B\u00dcCHER.example.> ').raw == 'Ann."Smith"@B\u00dcCHER.example.'


def test_whole_domain_is_a_type_of_its_own():
    assert parse_intake("@Example.com.") == Domain("example.com")
    assert isinstance(parse_intake("*@example.com"), Address)


def test_matching_does_not_know_the_locale():
    # AD-04: Turkish lower case of I is another letter, wherever a C library is asked.
    program = """
import json, locale, sys
from forbear.domain.address import match_form
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass  # the machine need not have it installed
print(json.dumps([match_form(*pair) for pair in json.load(sys.stdin)]))
"""
    pairs = [row.forms[0].rpartition("@")[::2] for row in ROWS if row.kind == "strict"]
    pairs += [("TITLE.I\u0130i\u0131", "ISTANBUL.\u0130.example")]
    environment = os.environ | {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(pairs),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [match_form(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ann@example.com", "a...@example.com"),
        ("a@Example.com", "a...@Example.com"),
        ('"ann smith"@example.com', "a...@example.com"),
        ('"\\"ann@home"@example.com', "a...@example.com"),
        ("\u7528\u6237@b\u00fccher.example", "\u7528...@b\u00fccher.example"),
        (" ann@example.com ", "a...@example.com"),
        ("@example.com", "...@example.com"),
        ("ann", "..."),
        ("", "..."),
    ],
)
def test_masked_address_shows_one_character_and_the_domain(text, masked):
    assert mask_address(text) == masked


def test_repr_does_not_tell_the_address():
    found = parse_address("Ann.Smith@example.com")
    assert repr(found) == str(found) == f"{found}" == "<Address A...@example.com>"


def test_refusal_does_not_tell_the_address():
    with pytest.raises(InvalidAddress) as caught:
        parse_address("ann..smith@example.com")
    assert "smith" not in str(caught.value)
    assert caught.value.__context__ is None
