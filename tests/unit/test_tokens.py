"""Tokens in links and mail addresses: what they open to, and what opens nothing."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forbear.domain.errors import BrokenToken, KeyNotAtHand
from forbear.domain.keys import Keyring
from forbear.domain.tokens import (
    BOUNCE_TOKEN_DAYS,
    CAMPAIGN_BYTES_MAX,
    TOKEN_LENGTH_MAX,
    LinkToken,
    MailToken,
    UndoToken,
    day_number,
    find_mail_token_kind,
    read_link_token,
    read_mail_token,
    read_undo_token,
    write_link_token,
    write_mail_token,
    write_undo_token,
)
from tests.unit.test_keys import FINGERPRINT, OLD, ROTATED, SECOND

ADDRESS = "camille.lantern@example.com"
LINK = LinkToken(ADDRESS, "maison/newsletter", "spring", date(2026, 3, 1))
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60)
days = st.dates(date(2020, 1, 1), date(2099, 12, 31))
links = st.builds(LinkToken, texts, texts, texts, days)


@given(links)
def test_a_link_opens_to_what_was_sealed(link):
    assert read_link_token(OLD, write_link_token(OLD, link)) == link


@given(links, st.data())
def test_a_link_opens_to_nothing_after_one_changed_character(link, data):
    text = write_link_token(OLD, link)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(BASE64URL))
    assume(other != text[place])
    with pytest.raises(BrokenToken):
        read_link_token(OLD, text[:place] + other + text[place + 1 :])


@given(st.text(max_size=300) | st.text(BASE64URL, max_size=300) | st.binary(max_size=200).map(lambda b: b.hex()))
def test_random_text_is_a_broken_link_and_nothing_worse(text):
    with pytest.raises(BrokenToken):
        read_link_token(OLD, text)


@pytest.mark.parametrize("spoil", ["{}=", "{}==", " {}", "{}\n", "{}A", "{}AAAA", "A{}", "{}!", "%20{}"])
def test_a_link_has_one_spelling(spoil):
    with pytest.raises(BrokenToken):
        read_link_token(OLD, spoil.format(write_link_token(OLD, LINK)))


def test_x03_a_link_made_ten_years_ago_under_a_retired_key_opens():
    old = LinkToken(ADDRESS, "maison", "spring", date(2026, 3, 1) - timedelta(days=3653))
    assert read_link_token(ROTATED, write_link_token(OLD, old)).address == ADDRESS


def test_an_unknown_key_is_told_from_a_broken_seal():
    with pytest.raises(KeyNotAtHand):
        read_link_token(OLD, write_link_token(ROTATED, LINK))


def test_another_ring_with_the_same_key_id_opens_nothing():
    other = Keyring((FINGERPRINT, type(SECOND)(SECOND.role, 1, b"y" * 32, SECOND.created_at)))
    with pytest.raises(BrokenToken):
        read_link_token(other, write_link_token(OLD, LINK))


def test_sec01_a_link_is_no_undo_and_an_undo_is_no_link():
    undo = write_undo_token(OLD, UndoToken((7,), datetime(2026, 3, 1, tzinfo=UTC)), "link")
    with pytest.raises(BrokenToken):
        read_link_token(OLD, undo)
    with pytest.raises(BrokenToken):
        read_undo_token(OLD, write_link_token(OLD, LINK), "link")


@given(
    st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=3).map(tuple),
    st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_an_undo_opens_to_what_was_sealed(events, until):
    token = UndoToken(events, until)
    written = write_undo_token(OLD, token, "link")
    assert read_undo_token(OLD, written, "link") == token
    with pytest.raises(BrokenToken):
        read_undo_token(OLD, written, "another link")


def test_no_repr_shows_an_address():
    assert "camille" not in repr(LINK)
    assert "camille" not in str(LINK)


def test_sec02_no_form_of_the_address_stands_in_a_link():
    text = write_link_token(OLD, LINK)
    forms = [ADDRESS, ADDRESS.encode().hex(), base64.urlsafe_b64encode(ADDRESS.encode()).decode().rstrip("=")]
    forms += [getattr(hashlib, name)(ADDRESS.encode()).hexdigest() for name in ("md5", "sha1", "sha256")]
    assert not any(form.lower() in text.lower() for form in forms)


def test_oc15_the_longest_link_fits_into_a_header_line_and_opens():
    local = "a" * 64
    domain = ".".join(["b" * 63] * 2 + ["c" * 61])
    link = LinkToken(f"{local}@{domain}", "s" * 128, "\U0001f4ee" * (CAMPAIGN_BYTES_MAX // 4), date(2026, 3, 1))
    text = write_link_token(OLD, link)
    assert read_link_token(OLD, text) == link
    assert len(text) < min(TOKEN_LENGTH_MAX, 800)


# Mail tokens


@given(
    st.sampled_from("ub"), st.integers(0, 2**31 - 1), st.integers(0, 32767), days, st.binary(min_size=16, max_size=16)
)
def test_ds10_a_mail_token_is_short_and_survives_a_change_of_case(kind, campaign, scope, day, fingerprint):
    token = write_mail_token(OLD, kind, (campaign, scope, day_number(day)), fingerprint)
    assert re.fullmatch(r"[a-z2-7]{1,56}", token)
    # Decoding knows one case only, so nothing is lost with it.
    raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    assert raw[:2] == kind.encode() + b"\x01"
    assert raw[2:10] == campaign.to_bytes(4) + scope.to_bytes(2) + day_number(day).to_bytes(2)
    assert raw[10:26] == fingerprint
    assert len(raw[26:]) >= 8


def test_the_seal_of_a_mail_token_depends_on_every_part():
    def make(kind="u", numbers=(1, 2, 3), fingerprint=b"f" * 16, ring=OLD):
        return write_mail_token(ring, kind, numbers, fingerprint)[-12:]

    seals = [
        make(),
        make("b"),
        make(numbers=(9, 2, 3)),
        make(numbers=(1, 9, 3)),
        make(numbers=(1, 2, 9)),
        make(fingerprint=b"g" * 16),
        make(ring=ROTATED),
    ]
    assert len(set(seals)) == len(seals)


BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
mail_tokens = st.builds(
    MailToken,
    st.sampled_from("ub"),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    days,
    st.binary(min_size=16, max_size=16),
)


def write(token, ring=OLD):
    numbers = token.campaign, token.scope, day_number(token.minted)
    return write_mail_token(ring, token.kind, numbers, token.fingerprint)


@given(mail_tokens, st.randoms(use_true_random=False))
def test_ds10_a_mail_token_opens_to_what_was_sealed_in_any_mixture_of_cases(token, random):
    text = "".join(random.choice((letter.upper(), letter)) for letter in write(token))
    assert read_mail_token(OLD, text) == token
    assert find_mail_token_kind(text) == token.kind


@given(mail_tokens, st.data())
def test_a_mail_token_opens_to_nothing_after_one_changed_character(token, data):
    text = write(token)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(BASE32))
    assume(other != text[place])
    with pytest.raises((BrokenToken, KeyNotAtHand)):
        read_mail_token(OLD, text[:place] + other + text[place + 1 :])


@given(st.text(max_size=60) | st.text(BASE32, min_size=55, max_size=55))
def test_ds09_any_text_is_no_mail_token(text):
    with pytest.raises((BrokenToken, KeyNotAtHand)):
        read_mail_token(OLD, text)


def test_a_mail_token_opens_after_a_new_key_and_not_without_its_own():
    token = MailToken("b", 7, 2, date(2026, 3, 1), b"f" * 16)
    assert read_mail_token(ROTATED, write(token)) == token
    with pytest.raises(KeyNotAtHand):
        read_mail_token(OLD, write(token, ROTATED))


def test_a_mail_token_opens_for_no_other_secret():
    token = MailToken("u", 7, 2, date(2026, 3, 1), b"f" * 16)
    stranger = Keyring((FINGERPRINT, replace(SECOND, id=1)))
    with pytest.raises(BrokenToken):
        read_mail_token(stranger, write(token))


@pytest.mark.parametrize(
    ("kind", "age", "is_current"),
    [
        ("b", 0, True),
        ("b", BOUNCE_TOKEN_DAYS, True),
        ("b", BOUNCE_TOKEN_DAYS + 1, False),
        ("b", -1, True),
        ("b", -2, False),
        ("u", 10_000, True),
    ],
)
def test_ds11_a_return_path_is_believed_for_thirty_days_and_an_unsubscribe_token_for_ever(kind, age, is_current):
    minted = date(2026, 3, 1)
    token = MailToken(kind, 7, 2, minted, b"f" * 16)
    assert token.is_current(minted + timedelta(days=age)) is is_current
