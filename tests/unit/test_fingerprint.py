"""Fingerprints against a plain computation with hashlib, and what keeps them apart."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.address import parse_address
from forbear.domain.fingerprint import FingerprintChain, Fingerprinter, Kind
from forbear.domain.suppression import Channel

FIRST, SECOND, THIRD = b"1" * 32, b"2" * 32, b"3" * 32
secrets = st.binary(min_size=32, max_size=32)


def compute(secret: bytes, channel: str, kind: str, value: bytes) -> bytes:
    label = b"forbear fingerprint " + channel.encode() + b" " + kind.encode()
    key = hashlib.blake2s(label, key=secret).digest()
    return hashlib.blake2s(value, key=key, digest_size=16).digest()


@given(secrets, st.sampled_from(Channel), st.sampled_from(Kind), st.lists(st.text(), max_size=5))
def test_a_fingerprint_is_a_keyed_blake2s_of_16_bytes(secret, channel, kind, forms):
    expected = [compute(secret, channel, kind, form.encode("utf-8", "surrogatepass")) for form in forms]
    assert Fingerprinter([secret], channel).make(kind, forms) == expected


@given(st.text(min_size=1))
def test_channels_and_kinds_are_kept_apart(form):
    made = [Fingerprinter([FIRST], channel).make(kind, [form])[0] for channel in Channel for kind in Kind]
    assert len(set(made)) == len(Channel) * len(Kind)


def test_a_rotated_fingerprint_is_the_keyed_hash_of_the_old_one():
    old = Fingerprinter([FIRST], Channel.EMAIL).make(Kind.MATCH, ["ann@example.com"])[0]
    new = Fingerprinter([FIRST, SECOND], Channel.EMAIL).make(Kind.MATCH, ["ann@example.com"])[0]
    assert new == compute(SECOND, "email", "match", old)


@pytest.mark.parametrize("chain", [(FIRST,), (FIRST, SECOND), (FIRST, SECOND, THIRD)])
def test_the_keys_of_an_address_are_those_of_its_forms(chain):
    fingerprinter = FingerprintChain(chain).email
    gmail, other, same_domain = map(parse_address, ("A.nn+x@GMail.com", "Bob@example.com", "cy@example.com"))
    keys = fingerprinter.make_keys([gmail, other, same_domain])
    assert [key.match for key in keys] == fingerprinter.make(
        Kind.MATCH, ["a.nn+x@gmail.com", "bob@example.com", "cy@example.com"]
    )
    assert keys[0].wide == fingerprinter.make(Kind.WIDE, ["ann@gmail.com"])[0]
    assert keys[1].wide is None
    assert keys[1].domain == keys[2].domain == fingerprinter.make(Kind.DOMAIN, ["example.com"])[0]


def test_nothing_is_made_of_nothing():
    assert FingerprintChain((FIRST,)).email.make_keys([]) == []
