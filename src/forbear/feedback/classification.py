"""The one classifier: of a failed delivery's answer, wherever it was seen, into a cause and an effect.

Reports that came by mail and the replies of our own SMTP conversations go through it alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from forbear.feedback.events import Effect, Verdict
from forbear.feedback.rules import OTHER_STATUSES, RULES, Rule

ANSWER_LENGTH_MAX: Final = 2000
"""How much of an answer is read; servers say what they mean at its beginning."""

_PHRASES: Final = [(rule, re.compile("|".join(rule.phrases))) for rule in RULES]
_AT_RCPT: Final = [(rule, re.compile("|".join(rule.at_rcpt))) for rule in RULES if rule.at_rcpt]
_STATUSES: Final = {status: rule for rule in RULES for status in rule.statuses}
_HARD_STATUSES: Final = frozenset(status for status, rule in _STATUSES.items() if rule.effect is Effect.HARD_BOUNCE)

_STATUS: Final = re.compile(r"(?<![\d.\w])([245]\.\d{1,3}\.\d{1,3})(?![\d]|\.\d)")
_REPLY: Final = re.compile(r"(?<![\d.#_/:-])([245]\d\d)(?:[ -]|$)(?!\d{3}\b)")
_LINKS: Final = re.compile(r"(?:https?:/|www\.)\S*|\(see \S*\)")
_CONTINUED: Final = re.compile(r"(?<![\d.])[245]\d\d-(?:[245]\.\d{1,3}\.\d{1,3})?")
_ADDRESSES: Final = re.compile(r"<[^<>\s]{0,320}>|[^\s<>()\[\]:;,\"'@]{0,64}@[\w.\-]{1,255}")
_HOSTS: Final = re.compile(
    r"(?<![\w.])(?!resolver\.adr)[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,20}(?:\[[^\]\s]{0,60}\])?(?![\w.@])"
)
_PLAIN: Final = frozenset(("notaccept", "mailboxfull", "suspend"))
"""Causes whose phrases are clear, whichever code stands beside them."""
_CLOSED: Final = frozenset(("5.2.0", "5.2.1"))
"""Codes of a mailbox that is there and takes nothing: beside them "user unknown" is believed at RCPT only (DS-07)."""
_TRY_AGAIN: Final = re.compile(r"try\s+again|temporar", re.IGNORECASE)
"""The DNS could not be asked: that a name was not found means nothing then."""
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class _Codes:
    """The codes of an answer and of its report."""

    statuses: frozenset[str]
    reply: str


class Phase(StrEnum):
    """Which of our SMTP commands the answer was to."""

    RCPT = "rcpt"
    DATA = "data"
    OTHER = "other"
    UNKNOWN = "unknown"


# Zoho (ERROR_CODE) says "Invalid Address" of whatever was refused, at whichever command.
_PHASES: Final = (
    (
        Phase.DATA,
        re.compile(r"end of data|after data|failed after i sent the message|data command|\[data\]|bdat|error_code ?:"),
    ),
    (
        Phase.RCPT,
        re.compile(
            r"rcpt to command|after rcpt to|rcpt to:|\[rcpt_to\]|our rcpt to|in rcpt to|does not like recipient"
        ),
    ),
    (
        Phase.OTHER,
        re.compile(r"after mail from|reply to mail from|initial connection|talk to me|ehlo command|helo comm"),
    ),
)


def find_phase(text: str) -> Phase:
    """Find out of a server's own words which command was answered; the last that is named."""
    lowered = _SPACE.sub(" ", text.lower())
    found = [(match.start(), phase) for phase, pattern in _PHASES for match in pattern.finditer(lowered)]
    return max(found, default=(0, Phase.UNKNOWN))[1]


def classify_failure(answer: str, *, status: str = "", phase: Phase = Phase.UNKNOWN) -> Verdict:
    """Classify a failure.

    `answer` is what the refusing server said, if anything; `status` what the reporting one made of it (RFC 3463).
    The refusing server's own code counts more than what was made of it.
    """
    answer = answer[:ANSWER_LENGTH_MAX]
    own = _STATUS.findall(answer)
    shown = status or (own[-1] if own else "")
    rule = _find_rule(simplify(answer), phase)
    if rule is None:
        return _judge_status(own[-1] if own else status, _find_reply(answer), shown)
    cause, effect = _weigh(rule, _Codes(frozenset((*own, status)), _find_reply(answer)), phase, answer)
    return Verdict(effect, cause, shown)


def classify_reply(code: int, text: str, phase: Phase) -> Verdict:
    """Classify a reply of our own SMTP conversation (RFC 5321, section 4.2)."""
    return classify_failure(f"{code} {text}", phase=phase)


def simplify(answer: str) -> str:
    """An answer as the rules see it: lower case, one line, without addresses, links and host names."""
    text = answer.lower()
    for pattern in (_LINKS, _ADDRESSES, _STATUS, _CONTINUED, _HOSTS):
        text = pattern.sub(" ", text)
    return _SPACE.sub(" ", text).strip()


def is_explained(answer: str) -> bool:
    """Whether some rule knows what this says."""
    return _find_rule(simplify(answer[:ANSWER_LENGTH_MAX]), Phase.RCPT) is not None


# Servers repeat themselves, and one report says the same thing twice; no address is left in such a text.
@lru_cache(maxsize=1024)
def _find_rule(text: str, phase: Phase) -> Rule | None:
    if not text:
        return None
    found = next((rule for rule, pattern in _PHRASES if pattern.search(text)), None)
    if found is None and phase is Phase.RCPT:
        return next((rule for rule, pattern in _AT_RCPT if pattern.search(text)), None)
    return found


def _find_reply(answer: str) -> str:
    found = _REPLY.findall(answer)
    return found[-1] if found else ""


def _judge_status(status: str, reply: str, shown: str) -> Verdict:
    """What a code says by itself."""
    rule = _STATUSES.get(status)
    if rule is not None and not reply.startswith("4"):
        return Verdict(rule.effect, rule.cause, shown)
    cause, effect = OTHER_STATUSES["4" if status.startswith("4") or reply.startswith("4") else "5"]
    return Verdict(effect, cause, shown)


def _weigh(rule: Rule, codes: _Codes, phase: Phase, answer: str) -> tuple[str, Effect]:
    """Cause and effect of a rule in the light of what stands beside it: whatever contradicts a hard bounce ends it."""
    if rule.cause in _PLAIN or rule.effect is Effect.NONE:
        return rule.cause, rule.effect
    if any(status.startswith("5.7.") for status in codes.statuses):
        return "policyviolation", Effect.NONE
    if rule.effect is not Effect.HARD_BOUNCE:
        return rule.cause, rule.effect
    return _doubt(rule, codes, phase, answer)


def _doubt(rule: Rule, codes: _Codes, phase: Phase, answer: str) -> tuple[str, Effect]:
    """Cause and effect of a rule for hard bounces, by what speaks against it."""
    is_certain = not codes.statuses.isdisjoint(_HARD_STATUSES)
    is_away = rule.cause == "hostunknown" and _TRY_AGAIN.search(answer) is not None
    is_given_up = any(status.startswith("4.") for status in codes.statuses)
    if is_away or is_given_up or (codes.reply.startswith("4") and not is_certain):
        return "temporary", Effect.SOFT_BOUNCE
    # Filters pretend that nobody is there, and do so when they have seen the message.
    if not is_certain and (phase is Phase.DATA or (phase is not Phase.RCPT and codes.statuses & _CLOSED)):
        return "filtered", Effect.SOFT_BOUNCE
    return rule.cause, rule.effect
