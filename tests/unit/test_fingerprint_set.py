import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.index.fingerprint_set import FingerprintSet
from forbear.index.kernels.fingerprint_set import find_end

# Few values, alike in their leading or trailing halves, so that equal ones and full stretches are common.
halves = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\0" * 7 + b"\1", b"\1" + b"\0" * 7]) | st.binary(
    min_size=8, max_size=8
)
values = st.builds(bytes.__add__, halves, halves)


def spread(numbers):
    """Values as a keyed hash makes them."""
    return [hashlib.blake2s(b"%d" % number, digest_size=16).digest() for number in numbers]


def add(fingerprints, batch, wanted=None):
    keys = np.frombuffer(b"".join(batch), dtype=np.uint32).reshape(-1, 4)
    wanted = np.ones(len(batch), dtype=np.uint8) if wanted is None else np.array(wanted, dtype=np.uint8)
    return fingerprints.add_rows(keys, wanted).tolist()


def add_to_model(model, batch):
    answers = []
    for value in batch:
        answers.append(int(value not in model))
        model.add(value)
    return answers


def assert_kept(fingerprints, model):
    """The table holds the values in order and without a gap that a search would stop at."""
    table, homes = fingerprints._view(), fingerprints._homes
    place = 0
    ordered = sorted((int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "little")) for value in model)
    for first, second in ordered:
        if (first, second) == (0, 0):
            continue
        place = max((first >> 32) * homes >> 32, place)
        assert tuple(table[place].tolist()) == (first, second)
        place += 1
    assert find_end(table) == place < len(table)
    assert int(table.any(axis=1).sum()) == len(model - {bytes(16)})


@given(batches=st.lists(st.lists(st.tuples(values, st.integers(0, 3)), max_size=60), max_size=12))
def test_it_answers_as_a_set_of_python_does(batches):
    fingerprints, model = FingerprintSet(), set()
    for batch in batches:
        chosen = [value for value, is_wanted in batch if is_wanted]
        answers = add(fingerprints, [value for value, _ in batch], [is_wanted for _, is_wanted in batch])
        assert [answer for answer, (_, is_wanted) in zip(answers, batch, strict=True) if not is_wanted].count(1) == 0
        kept = [answer for answer, (_, is_wanted) in zip(answers, batch, strict=True) if is_wanted]
        assert kept == add_to_model(model, chosen)
        assert len(fingerprints) == len(model)
    assert_kept(fingerprints, model)


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 3000), max_size=8))
def test_it_answers_as_a_set_of_python_does_while_it_grows(seed, sizes):
    fingerprints, model, place = FingerprintSet(), set(), 0
    for size in sizes:
        batch = spread(seed + number * number % (place + size) for number in range(place, place + size))
        place += size
        assert add(fingerprints, batch) == add_to_model(model, batch)
    assert_kept(fingerprints, model)


@given(
    prefixes=st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 900), max_size=6),
)
def test_it_keeps_values_apart_that_crowd_in_a_few_places_while_it_grows(prefixes, sizes):
    fingerprints, model = FingerprintSet(), set()
    for number, size in enumerate(sizes):
        prefix = prefixes[number % len(prefixes)]
        batch = [prefix + value[len(prefix) :] for value in spread(range(len(model), len(model) + size))]
        assert add(fingerprints, batch) == add_to_model(model, batch)
    assert_kept(fingerprints, model)


def test_what_was_added_stays_known_through_every_growth():
    fingerprints = FingerprintSet()
    for start in range(0, 60_000, 5000):
        assert all(add(fingerprints, spread(range(start, start + 5000))))
    assert len(fingerprints) == 60_000
    assert not any(add(fingerprints, spread(range(60_000))))
    assert_kept(fingerprints, set(spread(range(60_000))))


@pytest.mark.parametrize("start", [b"\xff" * 8, bytes(8), b"\x80" + bytes(7)])
def test_values_that_all_want_the_same_slot_are_kept_apart(start):
    alike = [start + number.to_bytes(8, "big") for number in range(1, 6000)]
    fingerprints = FingerprintSet()
    assert all(add(fingerprints, alike[:1500]))
    assert all(add(fingerprints, alike[1500:]))
    assert not any(add(fingerprints, alike[::-1]))
    assert_kept(fingerprints, set(alike))


def test_of_equal_values_in_a_batch_the_first_alone_is_new():
    one, other = spread([1, 2])
    assert add(FingerprintSet(), [one, other, one, one, other]) == [1, 1, 0, 0, 0]


def test_what_is_not_wanted_is_not_added():
    one, other = spread([1, 2])
    fingerprints = FingerprintSet()
    assert add(fingerprints, [one, other, one], [0, 1, 1]) == [0, 1, 1]


def test_zero_is_a_value_like_any_other():
    fingerprints = FingerprintSet()
    assert add(fingerprints, [bytes(16), bytes(16)]) == [1, 0]
    assert len(fingerprints) == 1


def test_an_empty_batch_has_an_empty_answer():
    assert add(FingerprintSet(), []) == []


def test_keys_may_be_every_other_row_of_an_array():
    keys = np.frombuffer(b"".join(spread(range(10))), dtype=np.uint32).reshape(-1, 4)
    fingerprints = FingerprintSet()
    assert fingerprints.add_rows(keys[::2], np.ones(5, dtype=np.uint8)).all()
    assert fingerprints.add_rows(keys, np.ones(10, dtype=np.uint8)).tolist() == [0, 1] * 5


def test_a_value_takes_at_most_thirty_two_bytes():
    fingerprints = FingerprintSet()
    for start in range(0, 300_000, 10_000):
        add(fingerprints, spread(range(start, start + 10_000)))
        assert len(fingerprints) < 30_000 or fingerprints.memory_bytes <= 32 * len(fingerprints)
