"""The decision: every cell of its table, the scope rule, and what a grant overrides.

The table is written out a second time, as it stands in the design, so that a cell cannot change unnoticed.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.errors import InvalidInput
from forbear.domain.suppression import (
    DECISION_TABLE,
    DELIVER,
    Entry,
    Grant,
    Outcome,
    Policy,
    Purpose,
    Reason,
    Source,
    check_scope,
    decide,
    is_wide,
    lies_within,
    overlaps,
)

TABLE = """
    reason                   | marketing | friend | gift | transactional | notice | sharing
    unsubscribe maison       | x         | x      |      |               |        |
    unsubscribe maison/news  | x         | x      |      |               |        |
    unsubscribe *            | x         | x      |      |               |        | x
    objection *              | x         | x      | x    |               |        | x
    complaint *              | x         | x      | x    |               |        | x
    friend_objection *       |           | x      | x    |               |        |
    erased *                 | x         | x      | x    |               |        | x
    hard_bounce *            | x         | x      | x    | x             | x      | x
    soft_bounce *            | x         | x      |      |               |        |
    friend_only *            | x         |        |      |               |        | x
    no_sharing *             |           |        |      |               |        | x
    manual *                 | x         | x      | x    |               |        | x
"""
HEAD, *ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
CELLS = [
    (*row[0].split(), purpose, bool(cell))
    for row in ROWS
    for purpose, cell in zip(HEAD[1:], row[1:] + [""] * (len(HEAD) - len(row)), strict=True)
]
SCOPES = ("*", "maison", "maison/news", "maison/events", "atelier", "maison-x", "maison-x/news")
OVERRIDDEN = (Reason.UNSUBSCRIBE, Reason.OBJECTION, Reason.FRIEND_ONLY, Reason.ERASED)
NEVER_OVERRIDDEN = (Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE, Reason.MANUAL, Reason.FRIEND_OBJECTION, Reason.NO_SHARING)
MARKETING = Purpose.MARKETING

scopes = st.sampled_from(SCOPES)
entries = st.builds(Entry, st.sampled_from(Reason), scopes)
grants = st.builds(Grant, scopes)
rule_sets = st.lists(entries | grants, max_size=6)
policies = st.dictionaries(st.sampled_from(Reason), st.frozensets(st.sampled_from(Purpose))).map(Policy)


def is_blocked(*rules, purpose=MARKETING, scope="*", policy=None):
    verdict = decide(rules, purpose, scope, policy or Policy())
    return verdict.outcome is Outcome.SUPPRESS


@pytest.mark.parametrize(("reason", "scope", "purpose", "blocks"), CELLS)
def test_every_cell_of_the_table(reason, scope, purpose, blocks):
    verdict = decide([Entry(Reason(reason), scope)], Purpose(purpose), scope)
    assert (verdict.outcome, verdict.reason) == (("suppress", reason) if blocks else ("deliver", None))


def test_the_table_speaks_of_every_reason_and_purpose():
    assert {row[0].split()[0] for row in ROWS} == set(Reason) == set(DECISION_TABLE)
    assert set(HEAD[1:]) == set(Purpose)


def test_about_whom_nothing_stands_is_delivered():
    assert decide([], MARKETING, "*") is DELIVER


# What a scope covers


@pytest.mark.parametrize(
    ("entry", "send", "blocks"),
    [
        ("*", "*", True),
        ("*", "maison", True),
        ("*", "maison/news", True),
        ("maison", "*", True),
        ("maison", "maison", True),
        ("maison", "maison/news", True),
        ("maison", "atelier", False),
        ("maison/news", "*", True),
        ("maison/news", "maison", True),
        ("maison/news", "maison/news", True),
        ("maison/news", "maison/events", False),
        ("maison/news", "atelier", False),
        ("maison", "maison-x", False),
        ("maison-x", "maison", False),
        ("maison", "maison-x/news", False),
    ],
)
def test_an_entry_blocks_what_it_equals_contains_or_lies_within(entry, send, blocks):
    assert is_blocked(Entry(Reason.UNSUBSCRIBE, entry), scope=send) is blocks


@given(scopes, scopes)
def test_overlapping_is_mutual(one, other):
    assert overlaps(one, other) == overlaps(other, one) == (lies_within(one, other) or lies_within(other, one))


@pytest.mark.parametrize("name", ["*", "a", "maison", "maison/news", "a-1/b-2", "x" * 128])
def test_scopes_that_are(name):
    assert check_scope(name) == name


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a/b/c", "A", "a_b", "a b", "a\n", "*/a", "a/*", "**", "é", "x" * 129, "a\0"]
)
def test_scopes_that_are_none(name):
    with pytest.raises(InvalidInput):
        check_scope(name)


# Grants


@pytest.mark.parametrize("reason", OVERRIDDEN)
def test_a_later_grant_overrides(reason):
    assert is_blocked(Entry(reason, "*"), scope="maison/news")
    assert not is_blocked(Entry(reason, "*"), Grant("maison/news"), scope="maison/news")


@pytest.mark.parametrize("reason", OVERRIDDEN)
def test_a_later_opt_out_overrides_the_grant(reason):
    assert is_blocked(Grant("*"), Entry(reason, "maison"), scope="maison")


@pytest.mark.parametrize("reason", NEVER_OVERRIDDEN)
@pytest.mark.parametrize("purpose", Purpose)
def test_no_grant_overrides_a_bounce_a_block_or_what_is_not_about_messages(reason, purpose):
    alone = is_blocked(Entry(reason, "*"), purpose=purpose)
    assert is_blocked(Entry(reason, "*"), Grant("*"), purpose=purpose) is alone


@pytest.mark.parametrize("send", ["*", "maison", "maison/events", "atelier"])
def test_a_grant_speaks_inside_its_own_scope_only(send):
    assert is_blocked(Entry(Reason.UNSUBSCRIBE, "*"), Grant("maison/news"), scope=send)


def test_a_grant_for_a_brand_speaks_for_its_topics():
    assert not is_blocked(Entry(Reason.UNSUBSCRIBE, "*"), Grant("maison"), scope="maison/news")


@pytest.mark.parametrize(
    ("complaint", "grant", "blocks"),
    [("maison", "maison", False), ("*", "maison", True), ("maison/news", "maison", True), ("maison", "*", True)],
)
def test_a_grant_overrides_a_complaint_of_that_very_scope_only(complaint, grant, blocks):
    assert is_blocked(Entry(Reason.COMPLAINT, complaint), Grant(grant), scope="maison/news") is blocks


def test_who_left_everything_is_never_shared_whatever_was_granted_since():
    rules = (Entry(Reason.UNSUBSCRIBE, "*"), Grant("*"))
    assert not is_blocked(*rules)
    assert is_blocked(*rules, purpose=Purpose.SHARING)


def test_who_left_everything_and_confirmed_one_newsletter_gets_that_newsletter():
    rules = (Entry(Reason.UNSUBSCRIBE, "*"), Entry(Reason.OBJECTION, "*"), Grant("maison/news"))
    assert not is_blocked(*rules, scope="maison/news")
    assert is_blocked(*rules, scope="maison/events")


# Which reason is named


def test_the_gravest_of_several_reasons_is_named_with_its_place():
    rules = [Entry(reason, "*") for reason in reversed(Reason)]
    verdict = decide(rules, MARKETING, "*")
    assert verdict.reason == "hard_bounce"
    assert rules[verdict.rule].reason is Reason.HARD_BOUNCE


def test_what_is_overridden_is_not_named():
    verdict = decide([Entry(Reason.OBJECTION, "*"), Grant("*"), Entry(Reason.SOFT_BOUNCE, "*")], MARKETING, "*")
    assert verdict.reason == "soft_bounce"


# Properties


@given(rule_sets, entries, st.sampled_from(Purpose), scopes)
def test_one_more_opt_out_never_lets_anybody_through(rules, entry, purpose, scope):
    if is_blocked(*rules, purpose=purpose, scope=scope):
        for place in range(len(rules) + 1):
            assert is_blocked(*rules[:place], entry, *rules[place:], purpose=purpose, scope=scope)


@given(rule_sets, st.sampled_from(Purpose), scopes, policies)
def test_a_policy_may_only_add(rules, purpose, scope, policy):
    if is_blocked(*rules, purpose=purpose, scope=scope):
        assert is_blocked(*rules, purpose=purpose, scope=scope, policy=policy)


@given(rule_sets, st.sampled_from(Purpose), scopes, scopes)
def test_a_wider_send_is_blocked_where_a_narrower_one_is(rules, purpose, inner, outer):
    if lies_within(inner, outer) and is_blocked(*rules, purpose=purpose, scope=inner):
        assert is_blocked(*rules, purpose=purpose, scope=outer)


def test_a_policy_adds_a_cell():
    policy = Policy({Reason.UNSUBSCRIBE: frozenset({Purpose.TRANSACTIONAL})})
    entry = Entry(Reason.UNSUBSCRIBE, "maison")
    assert not is_blocked(entry, purpose=Purpose.TRANSACTIONAL, scope="maison")
    assert is_blocked(entry, purpose=Purpose.TRANSACTIONAL, scope="maison", policy=policy)


# Wide entries


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("reason", Reason)
def test_complaints_objections_calls_and_letters_are_wide_and_bounces_never(reason, source):
    asked_for = reason in {"complaint", "objection"} or source in {"phone", "letter"}
    assert is_wide(reason, source) is (asked_for and reason not in {"hard_bounce", "soft_bounce"})
