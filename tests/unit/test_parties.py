"""Who may be told: sharing choices, opt-ins, and the basis that a party needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forbear.domain.errors import InvalidInput
from forbear.domain.party import Party, PartyKind, check_party_name, is_sharing_scope, kind_scope
from forbear.domain.suppression import (
    DECISION_TABLE,
    DELIVER,
    Entry,
    Grant,
    Outcome,
    Policy,
    Purpose,
    Reason,
    check_send_scope,
    decide,
)

SALON = Party("salon-lyon", PartyKind.AFFILIATE)
BROKER = Party("broker", PartyKind.THIRD_PARTY)
GALA = Party("gala", PartyKind.COSPONSOR)
PARTIES = (SALON, BROKER, GALA)
SHARING = Purpose.SHARING
NO = Reason.NO_SHARING
MESSAGE_SCOPES = ("*", "maison", "maison/news", "atelier")
SHARING_SCOPES = (
    "sharing",
    "sharing/affiliate",
    "sharing/third-party",
    "sharing/cosponsor",
    "sharing/salon-lyon",
    "sharing/broker",
    "sharing/gala",
    "sharing/somebody-else",
)

entries = st.builds(Entry, st.sampled_from(Reason), st.sampled_from(MESSAGE_SCOPES)) | st.builds(
    Entry, st.just(NO), st.sampled_from(SHARING_SCOPES)
)
grants = st.builds(Grant, st.sampled_from(MESSAGE_SCOPES + SHARING_SCOPES))
rule_sets = st.lists(entries | grants, max_size=7)
sends = st.sampled_from(MESSAGE_SCOPES)
parties = st.sampled_from(PARTIES)


def tell(*rules, party=BROKER, scope="maison"):
    """The word of the verdict: `deliver`, or the reason."""
    verdict = decide(rules, SHARING, scope, party=party)
    return verdict.reason or verdict.outcome.value


# The rules once more, in the plainest way


ALWAYS = ("hard_bounce", "erased", "complaint", "manual", "objection", "friend_only")
GRAVEST_FIRST = (
    "hard_bounce",
    "erased",
    "complaint",
    "manual",
    "objection",
    "unsubscribe",
    "no_sharing",
    "friend_only",
)


def say_plainly(rules, scope, party):
    """The reason that the rules give, by who said what last; None where the party may be told."""
    own, of_kind = f"sharing/{party.name}", "sharing/" + party.kind.value.replace("_", "-")
    concerned = ("sharing", own, of_kind)
    entries_of = [(at, rule) for at, rule in enumerate(rules) if isinstance(rule, Entry)]
    yes = [
        (at, rule.scope) for at, rule in enumerate(rules) if isinstance(rule, Grant) and rule.scope in (own, of_kind)
    ]
    no = [at for at, e in entries_of if e.reason == "no_sharing" and (e.scope in concerned or meet(e.scope, scope))]
    last_no, last_yes = max(no, default=-1), max((at for at, _ in yes), default=-1)
    found = {e.reason.value for _, e in entries_of if e.reason in ALWAYS and meet(e.scope, scope)}
    found |= {"unsubscribe" for _, e in entries_of if e.reason == "unsubscribe" and e.scope == "*"}
    found |= {"no_sharing"} if last_no > last_yes else set()
    good = {"third_party": (own, of_kind), "cosponsor": (own,), "affiliate": ()}[party.kind.value]
    if found or not good or any(given in good and at > last_no for at, given in yes):
        return min(found, key=GRAVEST_FIRST.index, default=None)
    return "no_basis"


def meet(one, other):
    """Whether two scopes about messages have something in common; one about sharing has nothing with any."""
    if "sharing" in (one.split("/")[0], other.split("/")[0]):
        return False
    return "*" in (one, other) or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


@given(rule_sets, sends, parties)
def test_the_decision_about_a_party_is_what_the_rules_say_read_plainly(rules, scope, party):
    verdict = decide(rules, SHARING, scope, party=party)
    assert verdict.reason == say_plainly(rules, scope, party)
    if verdict.rule is not None:
        assert rules[verdict.rule].reason == verdict.reason


# What each kind needs


def test_an_affiliate_is_told_until_the_person_says_no():
    assert tell(party=SALON) == "deliver"
    assert tell(Entry(NO, "sharing/affiliate"), party=SALON) == "no_sharing"


def test_a_third_party_needs_an_opt_in():
    assert tell() == "no_basis"
    assert tell(Grant("sharing/third-party")) == "deliver"
    assert tell(Grant("sharing/broker")) == "deliver"


@pytest.mark.parametrize("scope", ["*", "maison", "sharing", "sharing/affiliate", "sharing/gala"])
def test_an_opt_in_to_something_else_is_no_basis(scope):
    assert tell(Grant(scope)) == "no_basis"


def test_a_cosponsor_needs_what_was_given_in_its_own_promotion():
    assert tell(Grant("sharing/cosponsor"), party=GALA) == "no_basis"
    assert tell(Grant("sharing/third-party"), party=GALA) == "no_basis"
    assert tell(Grant("sharing/gala"), party=GALA) == "deliver"


def test_a_verdict_without_basis_names_no_entry():
    verdict = decide([Entry(Reason.UNSUBSCRIBE, "maison")], SHARING, "maison", party=BROKER)
    assert (verdict.outcome, verdict.reason, verdict.rule) == ("suppress", "no_basis", None)


def test_who_said_no_is_named_before_a_missing_basis():
    assert tell(Entry(NO, "sharing")) == "no_sharing"
    assert tell(Entry(Reason.OBJECTION, "*")) == "objection"


# Saying no


@pytest.mark.parametrize("scope", ["*", "maison", "sharing", "sharing/third-party", "sharing/broker"])
def test_a_later_no_takes_the_opt_in_back(scope):
    assert tell(Grant("sharing/broker"), Entry(NO, scope)) == "no_sharing"


@pytest.mark.parametrize("scope", ["atelier", "sharing/affiliate", "sharing/gala", "sharing/somebody-else"])
def test_a_no_to_others_is_none_to_this_party(scope):
    assert tell(Grant("sharing/broker"), Entry(NO, scope)) == "deliver"


@pytest.mark.parametrize("no", ["*", "maison", "sharing", "sharing/third-party", "sharing/broker"])
@pytest.mark.parametrize("yes", ["sharing/third-party", "sharing/broker"])
def test_an_opt_in_overrides_an_older_no(no, yes):
    assert tell(Entry(NO, no), Grant(yes)) == "deliver"


def test_a_promotion_given_before_a_no_is_no_basis_after_an_opt_in_to_the_kind():
    rules = (Grant("sharing/gala"), Entry(NO, "*"), Grant("sharing/cosponsor"))
    assert tell(*rules, party=GALA) == "no_basis"


@pytest.mark.parametrize("reason", sorted(reason for reason in Reason if SHARING in DECISION_TABLE[reason] - {NO}))
def test_no_opt_in_overrides_anything_but_a_choice_about_sharing(reason):
    if reason is not NO:
        assert tell(Entry(reason, "*"), Grant("sharing/broker")) == reason


def test_who_left_everything_is_never_shared_whatever_was_granted_since():
    assert tell(Entry(Reason.UNSUBSCRIBE, "*"), Grant("sharing/broker"), Grant("*")) == "unsubscribe"


def test_a_sharing_opt_in_is_none_to_messages():
    rules = [Entry(Reason.UNSUBSCRIBE, "*"), Grant("sharing/third-party")]
    assert decide(rules, Purpose.MARKETING, "maison").outcome is Outcome.SUPPRESS


@pytest.mark.parametrize("scope", SHARING_SCOPES)
def test_a_choice_about_sharing_blocks_no_message(scope):
    assert decide([Entry(NO, scope)], Purpose.MARKETING, "*") is DELIVER


# Without a party


@pytest.mark.parametrize("scope", SHARING_SCOPES)
def test_without_a_party_any_choice_against_sharing_blocks(scope):
    assert decide([Entry(NO, scope)], SHARING, "maison").reason == "no_sharing"


@given(rule_sets, sends)
def test_without_a_party_no_grant_changes_anything(rules, scope):
    without = [rule for rule in rules if isinstance(rule, Entry)]
    assert decide(rules, SHARING, scope).reason == decide(without, SHARING, scope).reason


# Properties


@given(rule_sets, entries, sends, parties)
def test_one_more_no_never_lets_a_party_be_told(rules, entry, scope, party):
    if tell(*rules, party=party, scope=scope) != "deliver":
        for place in range(len(rules) + 1):
            assert tell(*rules[:place], entry, *rules[place:], party=party, scope=scope) != "deliver"


@given(rule_sets, sends, parties)
def test_a_wider_question_is_blocked_where_a_narrower_one_is(rules, scope, party):
    if tell(*rules, party=party, scope=scope) != "deliver":
        assert tell(*rules, party=party, scope="*") != "deliver"


@given(
    rule_sets,
    sends,
    parties,
    st.dictionaries(st.sampled_from(Reason), st.frozensets(st.sampled_from(Purpose))).map(Policy),
)
def test_a_policy_may_only_add(rules, scope, party, policy):
    if decide(rules, SHARING, scope, party=party) != DELIVER:
        assert decide(rules, SHARING, scope, policy, party) != DELIVER


# What is refused


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - {SHARING}))
def test_a_party_is_named_for_sharing_only(purpose):
    with pytest.raises(InvalidInput):
        decide([], purpose, "*", party=BROKER)


def test_nothing_is_shared_with_a_processor():
    with pytest.raises(InvalidInput):
        decide([], SHARING, "*", party=Party("printer", PartyKind.PROCESSOR))


@pytest.mark.parametrize(
    "name", ["", "A", "a/b", "a_b", "*", "x" * 101, "affiliate", "third-party", "cosponsor", "processor"]
)
def test_names_that_no_party_has(name):
    with pytest.raises(InvalidInput):
        check_party_name(name)


def test_a_partys_name_fits_into_a_scope():
    name = check_party_name("x" * 100)
    assert Party(name, PartyKind.THIRD_PARTY).basis_scopes == {"sharing/third-party", f"sharing/{name}"}


@pytest.mark.parametrize("scope", SHARING_SCOPES)
def test_no_message_is_sent_in_a_scope_about_sharing(scope):
    assert is_sharing_scope(scope)
    with pytest.raises(InvalidInput):
        check_send_scope(scope)


@pytest.mark.parametrize("scope", ["*", "maison", "sharing-letter", "maison/sharing"])
def test_other_scopes_may_be_sent_in(scope):
    assert check_send_scope(scope) == scope


def test_the_scope_of_a_kind_is_written_with_a_hyphen():
    assert [kind_scope(kind) for kind in PartyKind] == [
        "sharing/affiliate",
        "sharing/third-party",
        "sharing/cosponsor",
        "sharing/processor",
    ]
