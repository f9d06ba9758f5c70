"""Fingerprints of a batch: what the kernels make is what Python makes, for every text."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forbear.domain.address import _parse_usual, parse_address
from forbear.domain.errors import InvalidAddress
from forbear.domain.fingerprint import FingerprintChain
from forbear.domain.wide_domains import WIDE_DOMAINS
from forbear.index.addresses import _BLOCK_ROWS, Keys, RowFingerprinter
from forbear.index.kernels.addresses import INVALID, TEXT_BYTES, VALID, WIDE, find_name
from forbear.index.kernels.blake2s import LANES, hash_texts, make_midstate
from tests.unit.test_address_properties import plain_addresses, sendable
from tests.unit.test_address_properties import texts as near_addresses

ONE_KEY = FingerprintChain((b"a" * 32,))
TWO_KEYS = FingerprintChain((b"a" * 32, b"b" * 32))
FINGERPRINTERS = {chain: RowFingerprinter(chain) for chain in (ONE_KEY, TWO_KEYS)}

# Texts around the limits of the usual shape: 64 bytes, and every rule about dots, hyphens and signs.
short_alphabet = st.text("aZ9.@-+_ \t", max_size=70)
domains = st.sampled_from(
    [*WIDE_DOMAINS, "example.com", "gmail.co", "xgmail.com", "mail.gmail.com", "gmail.com.", "a.b"]
)
spelled = st.builds(
    lambda local, domain, capitals: f"{local}@{domain.upper() if capitals else domain}",
    st.text("aB9.+-_", min_size=1, max_size=12),
    domains,
    st.booleans(),
)
long_addresses = st.builds(
    lambda domain, length, mark: f"{'x' * (length - len(domain) - 2)}{mark}@{domain}",
    st.sampled_from(["example.com", "gmail.com", "a.bc", "b" * 30 + ".example"]),
    st.integers(58, 68),
    st.sampled_from(["y", ".", "-", "é", "+"]),
)
one_off = st.builds(
    lambda text, place, count, new: text[: place % len(text)] + new + text[place % len(text) + count :],
    spelled,
    st.integers(0, 40),
    st.integers(0, 1),
    st.sampled_from("aZ5@.-_+ '/[`{:é\x00\x7f"),
)
around = st.sampled_from(["", "", "", " ", "\t", "\r\n", "\v \f", "\x1c", "\xa0"])
texts = st.one_of(near_addresses, sendable, plain_addresses, short_alphabet, spelled, long_addresses, one_off)
cells = st.one_of(
    st.builds("{}{}{}".format, around, texts, around).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=80),
    st.builds(lambda left, right: left + b"@example.com" + right, st.binary(max_size=6), st.binary(max_size=6)),
)


def read_cell(cell):
    try:
        return parse_address(cell.decode())
    except (InvalidAddress, UnicodeDecodeError):
        return None


def expect(chain, cell):
    """State and fingerprints of one cell, as Python makes them."""
    address = None if cell is None else read_cell(cell)
    if address is None:
        return (INVALID,)
    (keys,) = chain.email.make_keys([address])
    return (VALID, keys.match, keys.domain) if keys.wide is None else (WIDE, keys.match, keys.domain, keys.wide)


def show(keys):
    """The same of a whole batch."""
    shown = []
    for row, state in enumerate(keys.state.tolist()):
        parts = {INVALID: (), VALID: (keys.match, keys.domain), WIDE: (keys.match, keys.domain, keys.wide)}[state]
        shown.append((state, *(part[row].tobytes() for part in parts)))
    return shown


def scatter(batch, junk=b""):
    """Cells here and there in a larger array; None has a negative start."""
    data, starts, ends = bytearray(junk), [], []
    for cell in batch:
        starts.append(-1 if cell is None else len(data))
        data += b"" if cell is None else cell
        ends.append(len(data))
        data += junk
    return np.array(data, dtype=np.uint8), np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def make(batch, chain=ONE_KEY, junk=b"", **options):
    return FINGERPRINTERS[chain].make(*scatter(batch, junk), **options)


@settings(max_examples=400)
@given(
    batch=st.lists(st.none() | cells, max_size=40),
    junk=st.sampled_from([b"", b",", b"\r\n", b"z", b"@x.com", b"A" * 70]),
    chain=st.sampled_from([ONE_KEY, TWO_KEYS]),
    with_domains=st.booleans(),
)
def test_kernels_make_what_python_makes(batch, junk, chain, with_domains):
    assert show(make(batch, chain, junk, with_domains=with_domains)) == [expect(chain, cell) for cell in batch]


@settings(max_examples=1000)
@given(text=st.one_of(short_alphabet, plain_addresses, spelled, long_addresses, one_off))
@example("a@b.c")
@example("a@b-.c")
@example("a@-b.c")
@example("a@b--c.d")
@example("a-@b.c")
@example("a@b.c-d")
@example("a@b.c1")
@example("a.@b.c")
@example("a@b.")
@example("a@.b")
@example("a@b")
@example("a@b@c.d")
@example("a@b.c@d.e")
@example("a@b_c.d")
@example("a@b+c.d")
@example("+@gmail.com")
@example("+a@gmail.com")
@example("a.+b@gmail.com")
@example("a.+b@outlook.com")
@example("a+.b@gmail.com")
@example("-.-@gmail.com")
@example("a+b+c@googlemail.com")
def test_one_address_alone_is_read_alike(text):
    assert show(make([text.encode()])) == [expect(ONE_KEY, text.encode())]


@pytest.mark.parametrize("length", range(56, 70))
@pytest.mark.parametrize("domain", ["example.com", "gmail.com", "googlemail.com", "fastmail.com.au"])
@pytest.mark.parametrize("tag", ["", "+t", ".t"])
def test_addresses_of_every_length_around_a_block(length, domain, tag):
    cell = f"{'Q' * (length - len(domain) - len(tag) - 1)}{tag}@{domain}".encode()
    assert len(cell) == length
    assert show(make([cell, b"a@gmail.com"])) == [expect(ONE_KEY, cell), expect(ONE_KEY, b"a@gmail.com")]


@pytest.mark.parametrize("domain", WIDE_DOMAINS)
def test_every_listed_domain_has_its_wide_forms(domain):
    locals_ = ("Ann", "a.n.n", "ann+x", "a.nn+x.y", "ann.+x", "+x", "an_n-", "a+", "z" * (63 - len(domain)))
    batch = [f"{local}@{domain}".encode() for local in locals_]
    batch += [f"ann@x{domain}".encode(), f"ann@{domain[:-1]}".encode(), f"ann@{domain}x".encode()]
    expected = [expect(ONE_KEY, cell) for cell in batch]
    assert show(make(batch)) == expected
    assert [state for state, *_ in expected[:9]] == [WIDE] * 9


@given(text=st.one_of(plain_addresses, spelled, long_addresses))
@example("a.b+c.+d@gmail.com")
def test_kernels_leave_to_python_only_what_is_unusual(text):
    data, starts, ends = scatter([text.encode()])
    (block,) = FINGERPRINTERS[ONE_KEY]._read_blocks(data, starts, ends, np.empty(1, dtype=np.uint8))
    is_usual = _parse_usual(text) is not None and len(text) <= TEXT_BYTES
    local, _, domain = text.lower().partition("@")
    has_dot_before_plus = domain in WIDE_DOMAINS and local.partition("+")[0].endswith(".")
    assert bool(len(block.usual)) == (is_usual and not has_dot_before_plus)


@pytest.mark.parametrize("count", [1, _BLOCK_ROWS - 1, _BLOCK_ROWS, _BLOCK_ROWS + 1, 2 * _BLOCK_ROWS + 17])
def test_a_batch_of_many_blocks_is_read_like_one_row_at_a_time(count):
    kinds = [b"ann%d@example.com", b"A.nn%d+x@gmail.com", b"no%d", "jörg%d@example.com".encode(), b"a%d@b.example"]
    batch = [kinds[number % len(kinds)] % number for number in range(count)]
    keys, at_once = make(batch), make(batch, with_domains=True)
    assert show(keys) == show(at_once) == [expect(ONE_KEY, cell) for cell in batch]


def test_an_empty_batch_has_empty_keys():
    for with_domains in (False, True):
        keys = make([], with_domains=with_domains)
        assert len(keys) == 0
        assert keys.match.shape == keys.wide.shape == keys.domain.shape == (0, 4)
    assert len(FINGERPRINTERS[ONE_KEY].make_texts([])) == 0


@given(batch=st.lists(cells, max_size=5))
def test_what_is_read_is_left_as_it_was_and_may_be_read_only(batch):
    data, starts, ends = scatter(batch, b";")
    before = data.copy()
    expected = show(FINGERPRINTERS[ONE_KEY].make(data, starts, ends))
    assert (data == before).all()
    assert data.flags.writeable
    data.flags.writeable = False
    assert show(FINGERPRINTERS[ONE_KEY].make(data, starts, ends)) == expected


@given(batch=st.lists(texts, max_size=8))
def test_texts_are_read_like_cells(batch):
    keys = FINGERPRINTERS[TWO_KEYS].make_texts(batch)
    assert show(keys) == [expect(TWO_KEYS, text.encode("utf-8", "surrogatepass")) for text in batch]


@given(batch=st.lists(st.none() | cells, max_size=12), data=st.data())
def test_some_rows_are_selected_in_any_order(batch, data):
    keys = make(batch, with_domains=data.draw(st.booleans()))
    rows = data.draw(st.lists(st.integers(0, len(batch) - 1), max_size=6) if batch else st.just([]))
    assert show(keys.select(np.array(rows, dtype=np.int64))) == [show(keys)[row] for row in rows]


@given(batch=st.lists(sendable, max_size=12))
def test_keys_one_by_one_and_as_arrays_are_the_same(batch):
    addresses = [address for text in batch if (address := read_cell(text.encode())) is not None]
    expected = ONE_KEY.email.make_keys(addresses)
    assert make([address.raw.encode() for address in addresses]).as_fingerprints() == expected
    assert Keys.of(expected).as_fingerprints() == expected


def test_no_name_is_mistaken_for_a_listed_one():
    table = FINGERPRINTERS[ONE_KEY]._wide_domains
    for name in WIDE_DOMAINS:
        words = np.frombuffer(name.encode().ljust(16, b"\0"), dtype=np.uint64)
        assert table.names[find_name(table.names, *words)].tolist() == words.tolist()
    absent = np.frombuffer(b"gmail.com\0\0\0\0\0\0x", dtype=np.uint64)
    assert not table.names[find_name(table.names, *absent)].any()


def test_no_repr_shows_an_address():
    keys = make([b"ann@example.com"])
    assert not re.search("ann|example", repr(keys))


# The hash by itself


@pytest.mark.parametrize("count", [1, LANES - 1, LANES, LANES + 1, 3 * LANES + 5])
def test_the_hash_is_byte_equal_to_the_one_of_the_standard_library(count):
    random = np.random.default_rng(count)
    for key_bytes in (1, 16, 31, 32):
        key = random.bytes(key_bytes)
        for length in range(1, TEXT_BYTES + 1):
            contents = [random.bytes(length) for _ in range(count)]
            texts_ = np.frombuffer(b"".join(content.ljust(64, b"\0") for content in contents), dtype=np.uint32)
            out = np.zeros((count, 4), dtype=np.uint32)
            lengths, rows = np.full(count, length, dtype=np.uint8), np.arange(count)
            hash_texts(texts_.reshape(count, 16).copy(), lengths, rows, make_midstate(key), out)
            expected = [hashlib.blake2s(content, digest_size=16, key=key).digest() for content in contents]
            assert [row.tobytes() for row in out] == expected


@given(key=st.binary(min_size=1, max_size=32), contents=st.lists(st.binary(min_size=1, max_size=64), max_size=40))
def test_the_hash_takes_texts_of_all_lengths_side_by_side(key, contents):
    texts_ = np.zeros((len(contents), 64), dtype=np.uint8)
    for row, content in enumerate(contents):
        texts_[row, : len(content)] = np.frombuffer(content, dtype=np.uint8)
    lengths = np.array([len(content) for content in contents], dtype=np.uint8)
    rows = np.arange(0, len(contents), 2)
    out = np.zeros((len(contents), 4), dtype=np.uint32)
    hash_texts(texts_.view(np.uint32), lengths, rows, make_midstate(key), out)
    for row, content in enumerate(contents):
        digest = hashlib.blake2s(content, digest_size=16, key=key).digest() if row % 2 == 0 else bytes(16)
        assert out[row].tobytes() == digest
