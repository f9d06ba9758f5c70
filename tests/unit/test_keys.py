"""The key ring: what opens what, and what it refuses to be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.errors import BrokenToken, KeyNotAtHand, WrongKeys
from forbear.domain.keys import Key, Keyring, KeyRole, Use, check_recorded

NOW = "2026-03-01T00:00:00+00:00"


def make_key(role: KeyRole, number: int, *, is_retired: bool = False) -> Key:
    secret = f"{role} {number}".encode().ljust(32, b".")
    return Key(role, number, secret, NOW, NOW if is_retired else None)


FINGERPRINT = make_key(KeyRole.FINGERPRINT, 1)
FIRST = make_key(KeyRole.SEALING, 1)
SECOND = make_key(KeyRole.SEALING, 2)
OLD = Keyring((FINGERPRINT, FIRST))
ROTATED = Keyring((FINGERPRINT, replace(FIRST, retired_at=NOW), SECOND))
plain_texts = st.binary(max_size=200)


@given(st.sampled_from(Use), plain_texts, st.binary(max_size=16))
def test_what_was_sealed_opens(use, plain, bound_to):
    assert OLD.open(use, OLD.seal(use, plain, bound_to), bound_to) == plain


@given(st.sampled_from(Use), plain_texts, st.data())
def test_nothing_opens_after_one_changed_byte(use, plain, data):
    sealed = bytearray(OLD.seal(use, plain))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KeyNotAtHand if place == 0 else BrokenToken):
        OLD.open(use, bytes(sealed))


@given(plain_texts, st.data())
def test_nothing_opens_that_was_cut_short(plain, data):
    sealed = OLD.seal(Use.LINK, plain)
    with pytest.raises(BrokenToken):
        OLD.open(Use.LINK, sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@pytest.mark.parametrize("use", Use)
@pytest.mark.parametrize("other", Use)
def test_one_use_cannot_open_what_another_sealed(use, other):
    sealed = OLD.seal(use, b"plain")
    if use is other:
        assert OLD.open(other, sealed) == b"plain"
    else:
        with pytest.raises(BrokenToken):
            OLD.open(other, sealed)


def test_what_was_bound_to_one_fingerprint_does_not_open_for_another():
    sealed = OLD.seal(Use.ADDRESS, b"plain", b"one")
    for other in (b"two", b""):
        with pytest.raises(BrokenToken):
            OLD.open(Use.ADDRESS, sealed, other)


def test_sealing_twice_gives_nothing_away():
    assert OLD.seal(Use.LINK, b"plain") != OLD.seal(Use.LINK, b"plain")


def test_a_retired_key_opens_and_no_longer_seals():
    sealed = OLD.seal(Use.LINK, b"plain")
    assert ROTATED.open(Use.LINK, sealed) == b"plain"
    assert ROTATED.seal(Use.LINK, b"plain")[0] == SECOND.id


def test_a_key_that_is_not_at_hand_is_told_from_a_broken_seal():
    with pytest.raises(KeyNotAtHand):
        OLD.open(Use.LINK, ROTATED.seal(Use.LINK, b"plain"))


def test_no_repr_shows_a_secret():
    for text in (repr(OLD), str(OLD), repr(FIRST), f"{FIRST!s}"):
        assert FIRST.secret.decode() not in text
        assert FIRST.secret.hex() not in text


def test_a_check_value_tells_secrets_apart_and_gives_none_away():
    assert FIRST.check == replace(FIRST, id=9).check
    assert FIRST.check != SECOND.check
    assert len(FIRST.check) == 8


@pytest.mark.parametrize(
    "keys",
    [
        (),
        (FIRST,),
        (FINGERPRINT,),
        (FINGERPRINT, replace(FIRST, retired_at=NOW)),
        (FINGERPRINT, FIRST, replace(SECOND, id=1)),
        (FINGERPRINT, replace(FIRST, id=0)),
        (FINGERPRINT, replace(FIRST, id=256)),
        (FINGERPRINT, replace(FIRST, secret=b"short")),
    ],
)
def test_rings_that_could_not_work(keys):
    with pytest.raises(WrongKeys):
        Keyring(keys)


def test_the_recorded_keys_must_be_at_hand_and_the_same():
    recorded = [(key.role.value, key.id, key.check) for key in ROTATED.keys]
    check_recorded(ROTATED, recorded)
    check_recorded(ROTATED, recorded[:1])
    with pytest.raises(WrongKeys, match="lacks sealing key 2"):
        check_recorded(OLD, recorded)
    other = Keyring((replace(FINGERPRINT, secret=b"x" * 32), *ROTATED.keys[1:]))
    with pytest.raises(WrongKeys, match="is not the one this list was written with"):
        check_recorded(other, recorded)
