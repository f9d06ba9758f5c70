"""The engine decides what `domain.decide` decides, or says that it cannot tell."""

import threading
from contextlib import closing
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.domain.address import parse_address
from forbear.domain.fingerprint import FingerprintChain
from forbear.domain.party import Party, PartyKind
from forbear.domain.suppression import BUILT_IN, DELIVER, Entry, Grant, Outcome, Policy, Purpose, Reason, decide
from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.engine import Engine
from forbear.index.kernels.addresses import VALID, WIDE
from forbear.index.kernels.table import combine
from forbear.index.rules import (
    DELIVER_CODE,
    INVALID_CODE,
    NOTHING,
    UNSURE_CODE,
    RuleBook,
    code_of,
    read_code,
)
from forbear.index.table import Header, Origin, TableWriter, open_table

CHAIN = FingerprintChain((b"a" * 32,))
FINGERPRINTER = RowFingerprinter(CHAIN)
SCOPES = ["*", "maison", "maison/news", "maison/shop", "atelier"]
ORIGIN = Origin("keys", 1, "server")
STRICTER = Policy({Reason.SOFT_BOUNCE: frozenset(Purpose), Reason.FRIEND_ONLY: frozenset({Purpose.GIFT})})

# Spellings of few mailboxes, at few domains, so that keys meet.
ADDRESSES = [
    *("ann@example.com", "ANN@Example.com", "bob@example.com", "ann@closed.example", "jörg@closed.example"),
    *("ann@gmail.com", "a.nn@gmail.com", "ann+x@gmail.com", "a.n.n+y@googlemail.com", "bob@gmail.com"),
    *("ann@outlook.com", "ann+x@outlook.com", '"ann@x"@example.com', "no address", ""),
]
PARSED = [None if not text or " " in text else parse_address(text) for text in ADDRESSES]
OWN = CHAIN.email.make_keys([address for address in PARSED if address])
KEYS_OF = dict(zip([number for number, address in enumerate(PARSED) if address], OWN, strict=True))
MATCHES = sorted({keys.match for keys in OWN})
WIDES = sorted({keys.wide for keys in OWN if keys.wide})
DOMAINS = sorted({keys.domain for keys in OWN})

# With scopes about sharing, which nobody sends in.
STANDING = [*SCOPES, "sharing", "sharing/third-party", "sharing/broker", "sharing/gala"]
PARTIES = [
    Party("salon", PartyKind.AFFILIATE),
    Party("broker", PartyKind.THIRD_PARTY),
    Party("gala", PartyKind.COSPONSOR),
]
QUESTIONS = [
    *((purpose, scope, None) for purpose, scope in product(Purpose, SCOPES)),
    *((Purpose.SHARING, scope, party) for scope, party in product(SCOPES[:2], PARTIES)),
]
entries = st.builds(Entry, st.sampled_from(Reason), st.sampled_from(STANDING))
grants = st.builds(Grant, st.sampled_from(STANDING))
statements = st.one_of(
    st.tuples(st.sampled_from(MATCHES), entries | grants),
    st.tuples(st.sampled_from(MATCHES), entries),
    st.tuples(st.sampled_from(WIDES), entries),
    st.tuples(st.sampled_from(DOMAINS), entries),
)
lists = st.lists(statements, max_size=25)


def gather(statements):
    """What stands under each key, oldest first."""
    standing = {}
    for key, rule in statements:
        standing[key] = (*standing.get(key, ()), rule)
    return standing


def write_table(path, standing):
    book, header = RuleBook(), Header(ORIGIN, "", "", "", has_domains=any(key in standing for key in DOMAINS))
    with closing(TableWriter(path, header, len(standing))) as writer:
        for key in sorted(standing):
            numbers = np.array([book.intern(standing[key])], dtype=np.uint32)
            writer.add(np.frombuffer(key, dtype=np.uint32).reshape(1, 4), numbers)
        writer.finish(book)
    return open_table(path, ORIGIN)


def put(engine, standing):
    take_in(engine, list(standing.items()), with_domains=any(key in DOMAINS for key in standing))


def take_in(engine, changes, *, with_domains=True):
    engine.put(changes, with_domains=with_domains)
    engine.show()


def expect(statements, number, *question):
    """The verdict about one address from all that stands about it, in order; None where there is no address."""
    keys = KEYS_OF.get(number)
    if keys is None:
        return INVALID_CODE
    rules = [rule for key, rule in statements if key in (keys.match, keys.wide, keys.domain)]
    return code_of(decide(rules, *question))


def assert_right(engine, statements, policy=BUILT_IN):
    """Every code is the verdict's, but for addresses with a grant beside an entry under another key."""
    keys = FINGERPRINTER.make_texts(ADDRESSES)
    standing = gather(statements)
    for purpose, scope, party in QUESTIONS:
        decided = engine.decide(keys, purpose, scope, policy, party)
        for number, code in enumerate(decided.codes.tolist()):
            own = KEYS_OF.get(number)
            has_grant = own is not None and any(isinstance(rule, Grant) for rule in standing.get(own.match, ()))
            if has_grant and (own.wide in standing or own.domain in standing):
                assert code == UNSURE_CODE
            else:
                assert code == expect(statements, number, purpose, scope, policy, party)
        assert decided.unsure.tolist() == np.flatnonzero(decided.codes == UNSURE_CODE).tolist()


thorough = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@thorough
@given(statements=lists, policy=st.sampled_from([BUILT_IN, STRICTER]))
def test_it_decides_as_the_domain_does_without_a_table(statements, policy):
    engine = Engine(None, RuleBook())
    put(engine, gather(statements))
    assert_right(engine, statements, policy)


@thorough
@given(statements=lists, data=st.data())
def test_it_decides_as_the_domain_does_with_a_table_and_changes_since(tmp_path, statements, data):
    older = gather(data.draw(lists))
    table = write_table(tmp_path / "index", older)
    engine = Engine(table, table.book)
    assert_right(engine, [(key, rule) for key, rules in older.items() for rule in rules])
    # What stands no longer is lifted; a key that was not touched keeps what it has.
    kept = {key: rules for key, rules in older.items() if data.draw(st.booleans())}
    newer = gather(statements)
    put(engine, {key: newer.get(key, ()) for key in {*older, *newer} - kept.keys()})
    standing = newer | kept
    assert_right(engine, [(key, rule) for key, rules in standing.items() for rule in rules])


@thorough
@given(statements=lists, more=lists)
def test_changes_in_any_number_of_steps_end_alike(statements, more):
    engine = Engine(None, RuleBook())
    for length in range(len(statements) + 1):
        put(engine, gather(statements[:length]))
    put(engine, gather([*statements, *more]))
    assert_right(engine, [*statements, *more])


def test_the_gravest_of_several_keys_is_named():
    engine = Engine(None, RuleBook())
    keys = CHAIN.email.make_keys([parse_address("a.nn@gmail.com")])[0]
    for rules in product([(), (Entry(Reason.UNSUBSCRIBE, "*"),), (Entry(Reason.COMPLAINT, "*"),)], repeat=3):
        take_in(engine, list(zip((keys.match, keys.wide, keys.domain), rules, strict=True)))
        decided = engine.decide(FINGERPRINTER.make_texts(["a.nn@gmail.com"]), Purpose.MARKETING, "maison", BUILT_IN)
        expected = decide([rule for found in rules for rule in found], Purpose.MARKETING, "maison")
        assert decided.codes.tolist() == [code_of(expected)]


def test_nobody_about_whom_nothing_stands_may_be_shared_with_a_party_that_needs_a_basis():
    engine, keys = Engine(None, RuleBook()), FINGERPRINTER.make_texts(["ann@example.com", "a.nn@gmail.com", "none"])
    for party, expected in zip(PARTIES, ["deliver", "no_basis", "no_basis"], strict=True):
        decided = engine.decide(keys, Purpose.SHARING, "*", BUILT_IN, party)
        assert [read_code(code).reason or "deliver" for code in decided.codes[:2]] == [expected] * 2
        assert decided.codes[2] == INVALID_CODE
        assert len(decided.unsure) == 0


def test_a_basis_is_that_of_the_address_and_not_lacking_at_its_other_keys():
    engine, text = Engine(None, RuleBook()), "a.nn@gmail.com"
    own = CHAIN.email.make_keys([parse_address(text)])[0]
    take_in(engine, [(own.match, (Grant("sharing/broker"),)), (own.wide, ())])
    decided = engine.decide(FINGERPRINTER.make_texts([text]), Purpose.SHARING, "*", BUILT_IN, PARTIES[1])
    assert decided.codes.tolist() == [DELIVER_CODE]
    take_in(engine, [(own.match, ()), (own.wide, (Entry(Reason.NO_SHARING, "sharing"),))])
    decided = engine.decide(FINGERPRINTER.make_texts([text]), Purpose.SHARING, "*", BUILT_IN, PARTIES[1])
    assert [read_code(code).reason for code in decided.codes] == ["no_sharing"]


def test_fingerprints_of_domains_are_not_made_where_no_domain_is_listed():
    def refuse():
        raise AssertionError("nobody needs them")

    keys = FINGERPRINTER.make_texts(["ann@example.com"])
    keys = Keys(keys.match, keys.wide, keys.state, refuse)
    engine = Engine(None, RuleBook())
    assert engine.decide(keys, Purpose.MARKETING, "*", BUILT_IN).codes.tolist() == [DELIVER_CODE]
    take_in(engine, [(DOMAINS[0], (Entry(Reason.MANUAL, "*"),))])
    with pytest.raises(AssertionError, match="nobody"):
        engine.decide(keys, Purpose.MARKETING, "*", BUILT_IN)


def test_a_domain_listed_after_a_batch_was_fingerprinted_counts():
    engine = Engine(None, RuleBook())
    keys = FINGERPRINTER.make_texts(["ann@closed.example", "ann@example.com"])
    take_in(engine, [(CHAIN.email.make_keys([PARSED[3]])[0].domain, (Entry(Reason.MANUAL, "*"),))])
    codes = engine.decide(keys, Purpose.MARKETING, "*", BUILT_IN).codes
    assert [read_code(code).reason for code in codes] == ["manual", None]


def test_a_rule_set_that_came_while_a_batch_was_decided_makes_it_unsure():
    state, out = np.array([VALID, WIDE, VALID, VALID, 0], dtype=np.uint8), np.zeros(5, dtype=np.uint8)
    numbers = [3, 1, 0, 2, 9], [0, 3, 0, 0, 0], [0, 0, 3, 0, 0]
    own, wide, domain = (np.array(found, dtype=np.uint32) for found in numbers)
    codes, has_grant = np.array([0, 1, 2], dtype=np.uint8), np.zeros(3, dtype=np.uint8)
    assert combine(state, own, wide, domain, codes, has_grant, out) == 3
    assert out.tolist() == [UNSURE_CODE, UNSURE_CODE, UNSURE_CODE, 2, INVALID_CODE]


def test_what_is_not_shown_yet_makes_its_rows_unsure_and_no_others():
    engine, ask = Engine(None, RuleBook()), (Purpose.MARKETING, "*", BUILT_IN)
    texts = ["ann@closed.example", "bob@closed.example", "ann@example.com", "ann+x@gmail.com"]
    keys = FINGERPRINTER.make_texts(texts)
    ann, bob, _, wide = CHAIN.email.make_keys([parse_address(text) for text in texts])
    manual = (Entry(Reason.MANUAL, "*"),)
    engine.put([(ann.match, manual)])
    engine.put([(wide.wide, manual)])
    assert engine.decide(keys, *ask).unsure.tolist() == [0, 3]
    engine.put([(bob.domain, manual)], with_domains=True)
    assert engine.decide(keys, *ask).unsure.tolist() == [0, 1, 3]
    engine.show()
    decided = engine.decide(keys, *ask)
    assert [read_code(code).reason for code in decided.codes] == ["manual", "manual", None, "manual"]
    assert len(decided.unsure) == 0


@pytest.mark.parametrize("form", ["wide", "domain"])
def test_a_verdict_was_true_at_one_moment(form):
    """An entry moves from one key of an address to another and back: the address is never free of it."""
    texts = [f"person{number}+x@gmail.com" for number in range(3000)]
    keys = FINGERPRINTER.make_texts(texts)
    own = CHAIN.email.make_keys([parse_address(text) for text in texts])
    at_match = [(key.match, (Entry(Reason.MANUAL, "*"),)) for key in own]
    off_match = [(key.match, ()) for key in own]
    at_other = [(key, (Entry(Reason.OBJECTION, "*"),)) for key in {getattr(keys, form) for keys in own}]
    off_other = [(key, ()) for key, _ in at_other]
    engine, is_done = Engine(None, RuleBook()), threading.Event()
    take_in(engine, at_match)

    def move():
        while not is_done.is_set():
            for changes in (at_other, off_match, at_match, off_other):
                take_in(engine, changes)

    mover = threading.Thread(target=move)
    mover.start()
    seen, sure = set(), 0
    while sure < 5 or len(seen) < 3:
        decided = engine.decide(keys, Purpose.MARKETING, "*", BUILT_IN)
        seen |= set(decided.codes.tolist())
        sure += len(decided.unsure) < len(keys)
        if DELIVER_CODE in seen:
            break
    is_done.set()
    mover.join()
    assert DELIVER_CODE not in seen


def test_an_empty_batch_is_decided():
    engine = Engine(None, RuleBook())
    take_in(engine, [(DOMAINS[0], (Entry(Reason.MANUAL, "*"),))])
    decided = engine.decide(FINGERPRINTER.make_texts([]), Purpose.NOTICE, "*", BUILT_IN)
    assert len(decided.codes) == len(decided.unsure) == 0


def test_no_changes_change_nothing():
    engine = Engine(None, RuleBook())
    engine.put([])
    assert (len(engine.overlay), len(engine.book), engine.has_domains) == (0, 1, False)


# Rule sets by number


def test_codes_and_verdicts_are_each_others_opposite():
    assert read_code(DELIVER_CODE) == DELIVER
    for code in range(1, len(Reason) + 1):
        verdict = read_code(code)
        assert verdict.outcome is Outcome.SUPPRESS
        assert code_of(verdict) == code
    assert [read_code(code).reason for code in range(1, len(Reason) + 1)] == list(Reason)


@given(rule_sets=st.lists(st.lists(entries | grants, max_size=5).map(tuple), max_size=12))
def test_a_book_gives_each_rule_set_one_number_and_its_verdicts(rule_sets):
    book = RuleBook()
    assert book.intern(()) == NOTHING
    for purpose, scope in (Purpose.MARKETING, "maison"), (Purpose.SHARING, "*"):
        for rule_set in rule_sets:
            number = book.intern(rule_set)
            assert number == book.intern(rule_set)
            # Asked again after every new number.
            assert book.codes(purpose, scope, BUILT_IN)[number] == code_of(decide(rule_set, purpose, scope))
            assert book.codes(purpose, scope, STRICTER)[number] == code_of(decide(rule_set, purpose, scope, STRICTER))
            assert bool(book.has_grant()[number]) == any(isinstance(rule, Grant) for rule in rule_set)
    assert len(book) == len({book.intern(rule_set) for rule_set in [(), *rule_sets]})


def test_a_policy_made_at_the_place_of_another_in_memory_has_verdicts_of_its_own():
    book = RuleBook([(Entry(Reason.SOFT_BOUNCE, "*"),)])
    for number in range(200):
        # The one before is gone by then, and a new one may get its address.
        added = {Reason.SOFT_BOUNCE: frozenset({Purpose.NOTICE})} if number % 2 else {}
        code = book.codes(Purpose.NOTICE, "*", Policy(added))[1]
        assert bool(code != DELIVER_CODE) is bool(added)


def test_policies_with_the_same_cells_are_one_and_cannot_be_changed():
    cells = {Reason.SOFT_BOUNCE: frozenset({Purpose.NOTICE})}
    policy = Policy(cells)
    cells.clear()
    assert {policy: 1}[Policy({Reason.SOFT_BOUNCE: frozenset({Purpose.NOTICE})})] == 1
    assert policy != BUILT_IN
    with pytest.raises(TypeError):
        policy.added[Reason.MANUAL] = frozenset()


@given(rule_sets=st.lists(st.lists(entries | grants, max_size=5).map(tuple), max_size=12))
def test_a_book_comes_back_from_json_with_the_same_numbers(rule_sets):
    book = RuleBook(rule_sets)
    again = RuleBook.from_json(book.as_json())
    assert again.rule_sets == book.rule_sets
    assert [again.intern(rule_set) for rule_set in rule_sets] == [book.intern(rule_set) for rule_set in rule_sets]


@pytest.mark.parametrize("content", [[[["nonsense", "*"]]], [[["manual"]]], [[["manual", "*", "more"]]]])
def test_what_is_no_book_is_refused(content):
    with pytest.raises(ValueError, match=r"nonsense|unpack"):
        RuleBook.from_json(content)


def test_threads_that_share_a_book_agree_about_its_numbers():
    rule_sets = [(Entry(reason, f"brand-{number}"),) for reason in Reason for number in range(100)]
    book, found = RuleBook(), []

    def intern(order):
        found.append({rule_sets[place]: book.intern(rule_sets[place]) for place in order})

    orders = [np.random.default_rng(seed).permutation(len(rule_sets)).tolist() for seed in range(4)]
    threads = [threading.Thread(target=intern, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numbers == found[0] for numbers in found)
    assert sorted(found[0].values()) == list(range(1, len(rule_sets) + 1))
