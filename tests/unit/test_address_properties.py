"""What always holds of addresses: the usual path equals the exact one, and matching is a fixed point."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import replace

import email_validator
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forbear.domain.address import (
    Address,
    _parse_exact,
    _parse_liberal,
    _parse_usual,
    match_form,
    parse_address,
    parse_intake,
)
from forbear.domain.address_forms import _fold, read_local, wide_form, write_local
from tests.addresses import REFUSALS, read_or_refuse

thorough = settings(max_examples=200, deadline=None)

# Texts near the border between what the usual path takes and what it leaves alone.
LOCAL_PIECES = [
    *("a", "B", "7", ".", "..", "_", "+", "-", "'", '"', '"ann"', '"a b"', "\\", '\\"', " ", "@", "<", ">", ",", ":"),
    *("\u00e9", "e\u0301", "\u212a", "\u03a3", "\u03c2", "\u0130", "\u0131", "\u0958", "\u037e", "\u0338", "\ufb01"),
    *("\u200b", "\u200d", "\u00a0", "\n", "x" * 30, "y" * 32, "+news"),
]
LABELS = [
    *("example", "EXAMPLE", "a", "b-c", "b--c", "bc--d", "1", "x1", "com", "test", "c1", "gmail", "outlook", ""),
    *("xn--bcher-kva", "XN--BCHER-KVA", "xn--a", "xn--", "-a", "a-", "_x", "b" * 62, "b" * 63, "b" * 64),
    *("b\u00fccher", "bu\u0308cher", "fa\u00df", "\u212aelvin", "\u05d0\u05d1", "\u2764", "\uff41"),
    *("a\u3002b", "a\u200db", "a\u00ad", "a\u0338"),
    *("a b", "a@b", "[1"),
]
locals_ = st.lists(st.sampled_from(LOCAL_PIECES), max_size=5).map("".join)
domains = st.builds(
    "{}{}".format,
    st.lists(st.sampled_from(LABELS), min_size=1, max_size=5).map(".".join),
    st.sampled_from(["", "", "."]),
)
near_addresses = st.builds("{}@{}".format, locals_, domains)
around = st.sampled_from(["", "", "", " ", "\t", "\r\n", "\u00a0", "\u200b", "\ufeff", ";"])
wrapped = st.builds("{}{}{}".format, around, near_addresses, around)
plain_addresses = st.builds(
    "{}@{}.{}".format,
    st.text("aBz09._+-", min_size=1, max_size=66),
    st.text("aBz09-", min_size=1, max_size=64),
    st.sampled_from(["com", "Example.org", "1.net", "b" * 63 + ".com", "co1"]),
)
texts = st.one_of(
    wrapped, near_addresses, plain_addresses, st.text(max_size=40).map(lambda text: f"{text}@example.com")
)

# Texts most of which may be sent to.
WORDS = [
    *("a", "B", "7", "_", "+x", "-", "'", "x" * 20, "\u00e9", "e\u0301", "\u212a", "\u03a3", "\u03c2", "\u0130"),
    *("\u0131", "J\u030c", "\u0958", "\ufb01", "\u1fef", "\U0001f600", "\u1112\u1161"),
]
IN_QUOTES = [*WORDS, " ", ".", "..", "@", "<", "<\u0338", ",", '\\"', "\\\\", "\\a", "\u037e"]
SENDABLE_LABELS = [
    *("example", "EXAMPLE", "b-c", "1", "b" * 63, "b\u00fccher", "BU\u0308CHER", "xn--bcher-kva", "fa\u00df"),
    *("\u212aelvin", "\uff41", "\u4f8b\u3048", "\u03b2\u03cc\u03bb\u03bf\u03c2"),
]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("".join)
sendable_locals = st.one_of(
    st.lists(words, min_size=1, max_size=3).map(".".join),
    st.lists(st.sampled_from(IN_QUOTES), min_size=1, max_size=5).map(lambda pieces: f'"{"".join(pieces)}"'),
)
sendable_domains = st.one_of(
    st.builds("{}.{}".format, st.sampled_from(SENDABLE_LABELS), st.sampled_from(["com", "Test", "\u0440\u0444"])),
    st.sampled_from(["gmail.com", "Googlemail.com", "outlook.com", "me.com"]),
)
sendable = st.builds("{}@{}".format, sendable_locals, sendable_domains)


@thorough
@given(st.one_of(plain_addresses, near_addresses))
@example("Ann.Smith+news@Mail.Example.com")
@example(f"{'a' * 64}@{'b' * 59}.com")
@example(f"{'a' * 65}@{'b' * 59}.com")
@example(f"{'a' * 64}@{'b' * 60}.com")
@example("a.b@c-d.e")
def test_usual_path_says_what_the_exact_path_says(text):
    assert read_or_refuse(parse_address, text) == read_or_refuse(_parse_exact, text.strip(" \t\n\r\v\f"))
    if _parse_usual(text):
        assert _parse_usual(text) == _parse_exact(text) == _parse_liberal(text)


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "Ann.Smith@Mail.Example.co.uk",
        "ann+news@example.org",
        "a_b-c@x-y.example",
        "A.nn+x@gmail.com",
        "0@1.net",
    ],
)
def test_usual_path_takes_usual_addresses(text):
    assert _parse_usual(text) == _parse_exact(text)


@thorough
@given(sendable | texts)
def test_liberal_reader_agrees_with_whatever_the_strict_one_accepts(text):
    found = read_or_refuse(parse_address, text)
    if isinstance(found, Address):
        assert parse_intake(text) == found


@thorough
@given(sendable | texts)
def test_exact_form_reads_as_the_same_address(text):
    for reader in (parse_address, parse_intake):
        found = read_or_refuse(reader, text)
        if isinstance(found, Address):
            assert reader(found.exact) == replace(found, raw=found.exact)


@thorough
@given(sendable | texts)
def test_matching_twice_changes_nothing(text):
    found = read_or_refuse(parse_intake, text)
    if isinstance(found, Address):
        assert parse_intake(found.match).match == found.match
        assert found.wide == wide_form(found.match)
        assert found.wide is None or wide_form(found.wide) == found.wide


@thorough
@given(locals_, domains.filter(lambda domain: "@" not in domain))
def test_match_form_is_a_fixed_point(local, domain):
    match = match_form(local, domain)
    assert match_form(*match.rsplit("@", 1)) == match


@thorough
@given(sendable)
def test_case_composition_and_needless_quotes_do_not_tell_addresses_apart(text):
    found = parse_intake(text)
    local = text.rpartition("@")[0]
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", read_local(local)) + '"'
    for variant in (unicodedata.normalize("NFD", local), unicodedata.normalize("NFC", local), quoted, local.lower()):
        assert match_form(variant, found.domain.upper()) == found.match


@thorough
@given(sendable)
def test_our_domain_is_the_one_that_the_library_would_look_up(text):
    found = read_or_refuse(parse_address, text)
    if isinstance(found, Address):
        checked = email_validator.validate_email(found.raw, allow_quoted_local=True, check_deliverability=False)
        assert found.domain == checked.ascii_domain


def test_most_of_what_the_properties_draw_from_is_accepted():
    # Properties of accepted addresses would hold in vain if next to none were accepted.
    accepted = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(sendable)
    def draw(text):
        accepted.append(isinstance(read_or_refuse(parse_address, text), Address))

    draw()
    assert sum(accepted) > len(accepted) / 2


@thorough
@given(st.text(st.characters(), max_size=60) | texts)
def test_readers_raise_nothing_but_their_own_refusals(text):
    for reader in (parse_address, parse_intake):
        found = read_or_refuse(reader, text)
        if isinstance(found, str):
            assert found in REFUSALS
        elif isinstance(found, Address):
            assert all(form.encode() for form in (found.raw, found.exact, found.match))


@thorough
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_writing_a_local_part_is_the_opposite_of_reading_it(content):
    assert read_local(write_local(content)) == content


def test_folding_twice_changes_no_code_point():
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    joined = "|".join(points)
    once = _fold(joined)
    assert _fold(once) == once
    # What stands beside a character does not change how it is folded (Q composes with nothing).
    kept = set(once)
    changed = [point for point in points if point not in kept]
    assert _fold("Q".join(changed)) == "q".join(map(_fold, changed))


def test_match_form_is_a_fixed_point_for_every_code_point_that_any_rule_changes():
    for point in range(0x80, sys.maxunicode + 1):
        char = chr(point)
        if char != char.lower() or char != char.casefold() or not unicodedata.is_normalized("NFKC", char):
            match = match_form(f"a{char}b", f"a{char}b.example")
            assert match_form(*match.rsplit("@", 1)) == match, hex(point)
