"""Rows of rules, cut anywhere, become keys and the numbers of their rule sets."""

import struct
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.suppression import Entry, Grant, Purpose, Reason, decide
from forbear.index.rule_rows import BrokenCopy, KeyRuns, RowReader
from forbear.index.rules import RuleBook, settle_order

SCOPES = ["*", "maison", "maison/newsletter"]
REASONS = list(Reason)
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

rules = st.tuples(st.integers(0, len(REASONS)), st.integers(1, len(SCOPES)))
lists = st.dictionaries(st.binary(min_size=16, max_size=16), st.lists(rules, min_size=1, max_size=6), max_size=20)


def rule_of(reason: int, scope: int):
    return Grant(SCOPES[scope - 1]) if reason == 0 else Entry(REASONS[reason - 1], SCOPES[scope - 1])


def copy_of(listed) -> bytes:
    """What PostgreSQL sends for a list."""
    rows = (
        struct.pack(">hi16sihii", 3, 16, key, 2, reason, 4, scope)
        for key in sorted(listed)
        for reason, scope in listed[key]
    )
    return HEADER + b"".join(rows) + TRAILER


def read(pieces) -> dict:
    """The rule sets by key, in the order in which they came."""
    book, reader = RuleBook(), RowReader()
    runs = KeyRuns(book, SCOPES)
    found = [runs.add(reader.read(piece)) for piece in pieces]
    reader.close()
    found.append(runs.close())
    return {
        key.tobytes(): book.rule_sets[number]
        for keys, numbers in found
        for key, number in zip(keys, numbers, strict=True)
    }


@given(listed=lists, size=st.integers(1, 500))
def test_every_key_gets_its_rules_however_the_stream_is_cut(listed, size):
    data = copy_of(listed)
    found = read(data[start : start + size] for start in range(0, len(data), size))
    assert list(found) == sorted(listed)
    assert found == {key: settle_order([rule_of(*rule) for rule in listed[key]]) for key in listed}


def test_a_stream_that_is_cut_off_is_refused():
    reader = RowReader()
    reader.read(copy_of({bytes(16): [(1, 1)]})[:-3])
    with pytest.raises(BrokenCopy):
        reader.close()


def test_rows_of_another_form_are_refused():
    with pytest.raises(BrokenCopy):
        RowReader().read(HEADER + struct.pack(">hi16sihii", 2, 16, bytes(16), 2, 1, 4, 1))


@given(found=st.lists(rules, max_size=6))
def test_rules_in_their_settled_order_decide_alike(found):
    given_order = [rule_of(*rule) for rule in found]
    settled = settle_order(given_order)
    assert settle_order(settled) == settled
    for purpose, scope in product(Purpose, [*SCOPES, "maison/events", "atelier"]):
        assert decide(settled, purpose, scope).reason == decide(given_order, purpose, scope).reason


def test_topics_left_one_by_one_in_any_order_are_one_rule_set():
    left = [Entry(Reason.UNSUBSCRIBE, scope) for scope in SCOPES]
    assert len({settle_order(order) for order in permutations(left)}) == 1
    granted = Grant("maison")
    assert settle_order([left[0], granted]) != settle_order([granted, left[0]])
