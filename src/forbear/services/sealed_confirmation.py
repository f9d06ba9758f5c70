"""What an address is asked to confirm, as it lies sealed in the row that makes its link work once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from forbear.domain.address import Address, parse_address
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.keys import Use
from forbear.domain.suppression import EVERYTHING, Channel, Source
from forbear.services.context import Context
from forbear.store.confirmation import ConfirmationKind, ConfirmationRow

WORDING_VERSION: Final = "confirmation-1"
"""The version of what our own confirmations say; whoever changes those sentences' meaning changes it."""


class Step(StrEnum):
    """Which address is asked about a change: the one on file first, and only after its answer the new one."""

    OLD = "old"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class OptIn:
    """One scope that is asked for: at the address itself, or (with a fingerprint) at a number or postal address."""

    scope: str
    channel: Channel = Channel.EMAIL
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What an address is asked to confirm.

    `address` is who must answer. Where an address is changed, `other_address` is the other of the two, and `step` says
    which is asked. `scope` is the brand that asks, or everything. `evidence` says who asked, and is kept as long as
    what it proves.
    """

    kind: ConfirmationKind
    address: Address
    language: str
    scope: str = EVERYTHING
    opt_ins: tuple[OptIn, ...] = ()
    other_address: Address | None = None
    step: Step | None = None
    source: Source = Source.PREFERENCES
    origin: str = ""
    wording_version: str = WORDING_VERSION
    evidence: Mapping[str, object] = field(default_factory=dict)


def pack_confirmation(asked: Confirmation) -> bytes:
    """What is sealed into a row."""
    return orjson.dumps(
        {
            "address": asked.address.raw,
            "language": asked.language,
            "scope": asked.scope,
            "opt_ins": [
                [opt_in.scope, opt_in.channel.value, opt_in.fingerprint and opt_in.fingerprint.hex()]
                for opt_in in asked.opt_ins
            ],
            "other_address": asked.other_address and asked.other_address.raw,
            "step": asked.step and asked.step.value,
            "source": asked.source.value,
            "origin": asked.origin,
            "wording_version": asked.wording_version,
            "evidence": dict(asked.evidence),
        }
    )


def unpack_confirmation(context: Context, row: ConfirmationRow, confirmation_id: UUID) -> Confirmation:
    """What stands sealed in a row."""
    plain = context.keyring.open(Use.CONFIRMATION, row.sealed, confirmation_id.bytes)
    found: dict[str, Any] = orjson.loads(plain)
    return Confirmation(
        kind=row.kind,
        address=parse_address(found["address"]),
        language=found["language"],
        scope=found["scope"],
        opt_ins=tuple(_read_opt_in(*line) for line in found["opt_ins"]),
        other_address=parse_address(found["other_address"]) if found.get("other_address") else None,
        step=Step(found["step"]) if found.get("step") else None,
        source=Source(found["source"]),
        origin=found["origin"],
        wording_version=found["wording_version"],
        evidence=found["evidence"],
    )


def _read_opt_in(scope: str, channel: str, fingerprint: str | None) -> OptIn:
    return OptIn(scope, Channel(channel), None if fingerprint is None else Fingerprint(bytes.fromhex(fingerprint)))


def list_opt_ins(names: Sequence[str]) -> tuple[OptIn, ...]:
    """Opt-ins for scopes at the address itself."""
    return tuple(OptIn(name) for name in dict.fromkeys(names))
