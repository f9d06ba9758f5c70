"""Parties: those to whom data may be disclosed, and the scopes in which people say what they may be told.

The brand `sharing` is reserved for that. Its scopes exist without being registered, and no message is ever sent in
one: `sharing` is everybody, `sharing/third-party` a kind of party, `sharing/NAME` one party.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from forbear.domain.errors import InvalidInput


class PartyKind(StrEnum):
    """What somebody to whom data may be disclosed is to us."""

    AFFILIATE = "affiliate"
    THIRD_PARTY = "third_party"
    COSPONSOR = "cosponsor"
    PROCESSOR = "processor"


SHARING_BRAND: Final = "sharing"
"""The reserved brand; as a scope it stands for everybody."""

PARTY_NAME_LENGTH_MAX: Final = 100
_NAME = re.compile(r"[a-z0-9-]+")


def kind_scope(kind: PartyKind) -> str:
    """The scope in which a choice about all parties of a kind stands."""
    return f"{SHARING_BRAND}/{kind.value.replace('_', '-')}"


def party_scope(name: str) -> str:
    """The scope in which a choice about one party stands."""
    return f"{SHARING_BRAND}/{name}"


_KIND_NAMES: Final = frozenset(kind_scope(kind).partition("/")[2] for kind in PartyKind)


def check_party_name(name: str) -> str:
    """Give the name back, or raise `InvalidInput` when it is none, or a kind's."""
    if len(name) > PARTY_NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise InvalidInput("a party's name is made of a-z, 0-9 and hyphens, such as 'salon-lyon'")
    if name in _KIND_NAMES:
        raise InvalidInput("a party may not be called like a kind of party")
    return name


def is_sharing_scope(scope: str) -> bool:
    """Whether a scope is about who may be told, not about messages."""
    return scope == SHARING_BRAND or scope.startswith(SHARING_BRAND + "/")


@dataclass(frozen=True, slots=True)
class Party:
    """One party, as far as a decision needs it."""

    name: str
    kind: PartyKind

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes in which a `no_sharing` is about this party, beside those of messages."""
        return self.opt_in_scopes | {SHARING_BRAND}

    @property
    def opt_in_scopes(self) -> frozenset[str]:
        """The scopes in which a grant lets this party be told in spite of an older `no_sharing`."""
        return frozenset({kind_scope(self.kind), party_scope(self.name)})

    @property
    def basis_scopes(self) -> frozenset[str]:
        """The scopes of which a grant must stand before this party may be told; empty where none is needed.

        What was given in a promotion may be told to the co-sponsor of that promotion, not to every co-sponsor.
        """
        match self.kind:
            case PartyKind.THIRD_PARTY:
                return self.opt_in_scopes
            case PartyKind.COSPONSOR:
                return frozenset({party_scope(self.name)})
            case PartyKind.AFFILIATE | PartyKind.PROCESSOR:
                return frozenset()
