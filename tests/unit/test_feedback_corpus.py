"""The rules for bounces, measured: what ends an address must be right, and nearly always found."""

import pytest

from forbear.feedback.events import Effect
from forbear.feedback.reader import read_feedback
from tests.bounces import ABSENT, CORPUS, FIRST, SECOND, count, list_outcomes, read_labels, read_mails

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)
GONE = {"userunknown", "hostunknown", "hasmoved"}


@pytest.fixture(scope="module")
def outcomes():
    return list_outcomes()


def test_what_ends_an_address_is_right_in_98_of_100(outcomes):
    assert count(outcomes).precision >= 0.98


def test_nine_of_ten_who_are_gone_are_found(outcomes):
    assert count([outcome for outcome in outcomes if outcome.cause in GONE]).recall >= 0.90


@pytest.mark.parametrize("half", [FIRST, SECOND])
def test_neither_half_is_much_worse_than_the_other(outcomes, half):
    score = count([outcome for outcome in outcomes if outcome.half == half])
    assert score.precision >= 0.95
    assert score.recall >= 0.90


def test_full_mailboxes_vacations_and_blocks_end_no_address(outcomes):
    living = {"mailboxfull", "vacation", "blocked", "spamdetected", "authfailure", "policyviolation", "expired"}
    assert [outcome for outcome in outcomes if outcome.cause in living and outcome.is_said] == []


def test_a_complaint_is_one_by_its_type():
    mails = read_mails()
    for name, [label, *_] in read_labels().items():
        if label["reason"] == "feedback":
            expected = Effect.COMPLAINT if label["feedbacktype"] == "abuse" else Effect.NONE
            assert read_feedback(mails[name]).effect is expected, name
