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
from forbear.domain.party import Party, PartyKind, is_sharing_scope


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


def check_send_scope(scope: str) -> str:
    """The same for the scope of a message, which is never one of the scopes about who may be told."""
    if is_sharing_scope(check_scope(scope)):
        raise InvalidInput("no message is sent in a scope of 'sharing'; name the party, and the brand of the data")
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

NO_BASIS: Final = "no_basis"
"""The reason of a verdict that no entry is behind: nobody has said no, but this party needs an opt-in."""

_WITHOUT_BASIS: Final = Verdict(Outcome.SUPPRESS, NO_BASIS)


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


@dataclass(frozen=True, slots=True)
class _Send:
    """What is asked about, in one piece."""

    purpose: Purpose
    scope: str
    party: Party | None


def decide(
    rules: Sequence[Rule], purpose: Purpose, scope: str, policy: Policy = BUILT_IN, party: Party | None = None
) -> Verdict:
    """Decide whether a message of this purpose and scope may go to an address about which `rules` stand.

    An entry blocks when its reason blocks the purpose and its scope overlaps the send's, unless a grant that
    came later covers the whole of the send and overrides that kind of entry. Of several that block, the gravest
    reason (the order of `Reason`) is named.

    For `sharing` with a party it decides whether that party may be told. A grant is an opt-in to messages unless its
    scope is about sharing: only such a one overrides, and nothing but a `no_sharing`. Without a party the answer is
    the list's alone, and any choice against sharing blocks. Raises `InvalidInput` for a party where none can be.
    """
    send = _Send(purpose, scope, check_party(party, purpose))
    blocking = [
        (position, rule)
        for position, rule in enumerate(rules)
        if isinstance(rule, Entry)
        and purpose in policy.blocked(rule)
        and _is_about(rule, send)
        and not _is_overridden(rule, rules[position + 1 :], send)
    ]
    if blocking:
        position, entry = min(blocking, key=lambda found: _GRAVITY[found[1].reason])
        return Verdict(Outcome.SUPPRESS, entry.reason.value, position)
    return DELIVER if party is None or _has_basis(rules, party, send) else _WITHOUT_BASIS


_GRAVITY: Final = MappingProxyType({reason: place for place, reason in enumerate(Reason)})


def check_party(party: Party | None, purpose: Purpose) -> Party | None:
    """Give the party back, or raise `InvalidInput` where a question of this purpose cannot be about it."""
    if party is not None and purpose is not Purpose.SHARING:
        raise InvalidInput("a party is named with the purpose 'sharing' only")
    if party is not None and party.kind is PartyKind.PROCESSOR:
        raise InvalidInput("a processor works on our behalf: ask for the purpose of the message")
    return party


def _is_about(entry: Entry, send: _Send) -> bool:
    """Whether the scope of an entry speaks about this send, and about this party."""
    if send.purpose is Purpose.SHARING and entry.reason is Reason.NO_SHARING and is_sharing_scope(entry.scope):
        return send.party is None or entry.scope in send.party.scopes
    return overlaps(entry.scope, send.scope)


def _is_overridden(entry: Entry, later: Iterable[Rule], send: _Send) -> bool:
    """Whether a later grant takes this entry out of the way of this send."""
    grants = (rule for rule in later if isinstance(rule, Grant))
    if send.purpose is Purpose.SHARING:
        if send.party is None or entry.reason is not Reason.NO_SHARING:
            return False
        opt_ins = send.party.opt_in_scopes
        return any(opt_in.scope in opt_ins for opt_in in grants)
    return any(
        entry.reason in _OVERRIDDEN_BY_GRANT or (entry.reason is Reason.COMPLAINT and entry.scope == opt_in.scope)
        for opt_in in grants
        if lies_within(send.scope, opt_in.scope)
    )


def _has_basis(rules: Iterable[Rule], party: Party, send: _Send) -> bool:
    """Whether the party needs no opt-in, or one stands that no `no_sharing` came after."""
    needed = party.basis_scopes
    has_one = not needed
    for rule in rules:
        if isinstance(rule, Grant):
            has_one = has_one or rule.scope in needed
        elif rule.reason is Reason.NO_SHARING and _is_about(rule, send):
            has_one = not needed
    return has_one
