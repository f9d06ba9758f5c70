"""Why an address is suppressed, and the one decision about who may be sent what.

Pure data and pure functions. Every door asks `decide`; nothing else in the program says yes or no.
The table is rendered into docs/decision-table.md by scripts/docs and every cell of it is tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from forbear.domain.errors import InvalidInput


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    PHONE = "phone"
    POST = "post"


class Purpose(StrEnum):
    """What a message is for."""

    MARKETING = "marketing"
    FRIEND = "friend"
    GIFT = "gift"
    TRANSACTIONAL = "transactional"
    NOTICE = "notice"
    SHARING = "sharing"


class Reason(StrEnum):
    """Why an address is suppressed, in the order in which a verdict names them (the gravest first)."""

    HARD_BOUNCE = "hard_bounce"
    ERASED = "erased"
    COMPLAINT = "complaint"
    MANUAL = "manual"
    OBJECTION = "objection"
    UNSUBSCRIBE = "unsubscribe"
    NO_SHARING = "no_sharing"
    FRIEND_OBJECTION = "friend_objection"
    FRIEND_ONLY = "friend_only"
    SOFT_BOUNCE = "soft_bounce"


class Source(StrEnum):
    """How a suppression came to us."""

    ONE_CLICK = "one_click"
    PAGE = "page"
    TYPED = "typed"
    PREFERENCES = "preferences"
    MAILTO = "mailto"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    PHONE = "phone"
    LETTER = "letter"
    API = "api"
    IMPORT = "import"
    GPC = "gpc"
    ERASURE = "erasure"
    OPERATOR = "operator"


class Outcome(StrEnum):
    """The word a verdict begins with."""

    DELIVER = "deliver"
    SUPPRESS = "suppress"
    INVALID = "invalid"


EVERYTHING: Final = "*"
"""The scope that holds every other."""

_SCOPE = re.compile(r"\*|[a-z0-9-]+(/[a-z0-9-]+)?")
SCOPE_LENGTH_MAX: Final = 128


def check_scope(scope: str) -> str:
    """Give the scope back, or raise `InvalidInput` when it is not `*`, a brand, or a topic of a brand."""
    if len(scope) > SCOPE_LENGTH_MAX or not _SCOPE.fullmatch(scope):
        raise InvalidInput("a scope is '*', a brand such as 'maison', or a topic such as 'maison/newsletter'")
    return scope


def lies_within(inner: str, outer: str) -> bool:
    """Whether `inner` equals `outer` or is a part of it."""
    return outer in (inner, EVERYTHING) or inner.startswith(outer + "/")


def overlaps(entry_scope: str, send_scope: str) -> bool:
    """Whether an entry of one scope speaks about a send of another: equal, containing, or lying within."""
    return lies_within(entry_scope, send_scope) or lies_within(send_scope, entry_scope)


def _blocks(*purposes: Purpose) -> frozenset[Purpose]:
    return frozenset(purposes)


_P = Purpose

DECISION_TABLE: Final[Mapping[Reason, frozenset[Purpose]]] = MappingProxyType(
    {
        Reason.UNSUBSCRIBE: _blocks(_P.MARKETING, _P.FRIEND),
        Reason.OBJECTION: _blocks(_P.MARKETING, _P.FRIEND, _P.GIFT, _P.SHARING),
        Reason.COMPLAINT: _blocks(_P.MARKETING, _P.FRIEND, _P.GIFT, _P.SHARING),
        Reason.FRIEND_OBJECTION: _blocks(_P.FRIEND, _P.GIFT),
        Reason.ERASED: _blocks(_P.MARKETING, _P.FRIEND, _P.GIFT, _P.SHARING),
        Reason.HARD_BOUNCE: frozenset(Purpose),
        Reason.SOFT_BOUNCE: _blocks(_P.MARKETING, _P.FRIEND),
        Reason.FRIEND_ONLY: _blocks(_P.MARKETING, _P.SHARING),
        Reason.NO_SHARING: _blocks(_P.SHARING),
        Reason.MANUAL: _blocks(_P.MARKETING, _P.FRIEND, _P.GIFT, _P.SHARING),
    }
)
"""Which purposes each reason blocks. Configuration may add to it, never take away (see `Policy`)."""

UNSUBSCRIBE_EVERYTHING: Final = DECISION_TABLE[Reason.UNSUBSCRIBE] | {_P.SHARING}
"""What an `unsubscribe` of `*` blocks: who left everything is not shared either."""

_OVERRIDDEN_BY_GRANT: Final = frozenset({Reason.UNSUBSCRIBE, Reason.OBJECTION, Reason.FRIEND_ONLY, Reason.ERASED})

_WIDENED: Final = frozenset({Reason.COMPLAINT, Reason.OBJECTION})
_WIDENED_SOURCES: Final = frozenset({Source.PHONE, Source.LETTER})
_BOUNCES: Final = frozenset({Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE})


def is_wide(reason: Reason, source: Source) -> bool:
    """Whether such an entry also blocks the other spellings of the mailbox (plus-tags, Gmail's dots)."""
    return reason in _WIDENED or (source in _WIDENED_SOURCES and reason not in _BOUNCES)


@dataclass(frozen=True, slots=True)
class Entry:
    """One standing suppression, as far as a decision needs it."""

    reason: Reason
    scope: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One standing, proven opt-in for a scope."""

    scope: str


Rule = Entry | Grant
RuleSet = tuple[Rule, ...]
"""All that stands about an address, oldest first. Order is the only notion of time that a decision has."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one address: the word, and the reason behind it unless the word is `deliver`."""

    outcome: Outcome
    reason: str | None = None
    rule: int | None = None
    """Position in the rule set of the entry that decided."""


DELIVER: Final = Verdict(Outcome.DELIVER)


@dataclass(frozen=True, slots=True)
class Policy:
    """The decision table as this installation uses it: the built-in cells plus those it adds.

    A value: two with the same cells are equal and hash alike, and whoever has one cannot change it.
    """

    added: Mapping[Reason, frozenset[Purpose]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "added", MappingProxyType(dict(self.added)))

    def __hash__(self) -> int:
        return hash(frozenset(self.added.items()))

    def blocked(self, entry: Entry) -> frozenset[Purpose]:
        """The purposes that this entry blocks within its scope."""
        base = DECISION_TABLE[entry.reason]
        if entry.reason is Reason.UNSUBSCRIBE and entry.scope == EVERYTHING:
            base = UNSUBSCRIBE_EVERYTHING
        return base | self.added.get(entry.reason, frozenset())


BUILT_IN: Final = Policy()


def decide(rules: Sequence[Rule], purpose: Purpose, scope: str, policy: Policy = BUILT_IN) -> Verdict:
    """Decide whether a message of this purpose and scope may go to an address about which `rules` stand.

    An entry blocks when its reason blocks the purpose and its scope overlaps the send's, unless a grant that
    came later covers the whole of the send and overrides that kind of entry. A grant is an opt-in to messages: it
    never speaks for sharing. Of several that block, the gravest
    reason (the order of `Reason`) is named.
    """
    blocking = [
        (position, rule)
        for position, rule in enumerate(rules)
        if isinstance(rule, Entry)
        and purpose in policy.blocked(rule)
        and overlaps(rule.scope, scope)
        and not (purpose is not Purpose.SHARING and _is_overridden(rule, rules[position + 1 :], scope))
    ]
    if not blocking:
        return DELIVER
    position, entry = min(blocking, key=lambda found: _GRAVITY[found[1].reason])
    return Verdict(Outcome.SUPPRESS, entry.reason.value, position)


_GRAVITY: Final = MappingProxyType({reason: place for place, reason in enumerate(Reason)})


def _is_overridden(entry: Entry, later: Iterable[Rule], send_scope: str) -> bool:
    """Whether a later grant takes this entry out of the way of this send."""
    for rule in later:
        if not isinstance(rule, Grant) or not lies_within(send_scope, rule.scope):
            continue
        if entry.reason in _OVERRIDDEN_BY_GRANT:
            return True
        if entry.reason is Reason.COMPLAINT and entry.scope == rule.scope:
            return True
    return False
