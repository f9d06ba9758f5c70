"""What a report comes to: its kind, what it would do, and to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a mail is."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    OTHER = "other"


class Effect(StrEnum):
    """What follows from it."""

    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCE = "soft_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a delivery failed, and what follows; `cause` is one of `rules.CAUSES` or empty, `status` as in RFC 3463."""

    effect: Effect
    cause: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What became of one recipient. Its repr shows no address."""

    recipient: str = field(repr=False)
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Feedback:
    """One mail, read. Its repr shows no address.

    `tokens` are texts in the form of our mail tokens, as they stood (`domain.tokens.read_mail_token` tells whether one
    is ours). Only what carries a valid one may ever act.
    """

    kind: Kind
    why: str
    outcomes: tuple[RecipientOutcome, ...] = field(default=(), repr=False)
    effect: Effect = Effect.NONE
    tokens: tuple[str, ...] = field(default=(), repr=False)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Those to whom the effect applies; all that are named, where there is none."""
        return tuple(outcome.recipient for outcome in self.outcomes if outcome.verdict.effect is self.effect)

    @property
    def status(self) -> str:
        """The status code of the first of them that has one, else empty."""
        chosen = (outcome.verdict for outcome in self.outcomes if outcome.verdict.effect is self.effect)
        return next((verdict.status for verdict in chosen if verdict.status), "")
