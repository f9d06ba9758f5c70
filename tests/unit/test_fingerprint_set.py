import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.index.fingerprint_set import FingerprintSet

# Few values, alike in their leading or trailing halves, so that equal ones and full buckets are common.
halves = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\0" * 7 + b"\1", b"\1" + b"\0" * 7]) | st.binary(
    min_size=8, max_size=8
)
values = st.builds(bytes.__add__, halves, halves)


def spread(numbers):
    """Values as a keyed hash makes them."""
    return [hashlib.blake2s(b"%d" % number, digest_size=16).digest() for number in numbers]


def add_to_model(model, batch):
    answers = []
    for value in batch:
        answers.append(value not in model)
        model.add(value)
    return answers


@given(batches=st.lists(st.lists(values, max_size=60), max_size=12))
def test_it_answers_as_a_set_of_python_does(batches):
    fingerprints, model = FingerprintSet(), set()
    for batch in batches:
        assert fingerprints.add_all(batch) == add_to_model(model, batch)
        assert len(fingerprints) == len(model)


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 3000), max_size=8))
def test_it_answers_as_a_set_of_python_does_while_it_grows(seed, sizes):
    fingerprints, model, place = FingerprintSet(), set(), 0
    for size in sizes:
        batch = spread(seed + number * number % (place + size) for number in range(place, place + size))
        place += size
        assert fingerprints.add_all(batch) == add_to_model(model, batch)


def test_what_was_added_stays_known_through_every_growth():
    fingerprints = FingerprintSet()
    for start in range(0, 60_000, 5000):
        assert all(fingerprints.add_all(spread(range(start, start + 5000))))
    assert len(fingerprints) == 60_000
    assert not any(fingerprints.add_all(spread(range(60_000))))


def test_values_that_all_want_the_same_bucket_are_kept_apart():
    alike = [b"\xff" * 8 + number.to_bytes(8, "big") for number in range(1500)]
    fingerprints = FingerprintSet()
    assert all(fingerprints.add_all(alike))
    assert not any(fingerprints.add_all(alike[::-1]))


def test_of_equal_values_in_a_batch_the_first_alone_is_new():
    one, other = spread([1, 2])
    assert FingerprintSet().add_all([one, other, one, one, other]) == [True, True, False, False, False]


def test_an_empty_batch_has_an_empty_answer():
    assert FingerprintSet().add_all([]) == []


@pytest.mark.parametrize("wrong", [[b"x" * 15], [b"x" * 17, b"x" * 15], [b""]])
def test_values_of_another_length_are_refused(wrong):
    with pytest.raises(ValueError, match="16 bytes"):
        FingerprintSet().add_all(wrong)
