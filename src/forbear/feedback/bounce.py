"""Bounces: what a mail says that was not delivered, to whom, and why."""

from __future__ import annotations

import re
from typing import Final

from forbear.feedback.addresses import find_address, find_addresses
from forbear.feedback.automatic import looks_like_bounce
from forbear.feedback.bounce_text import cut_copy, find_recipients, list_replies, split_answers
from forbear.feedback.classification import classify_failure, find_phase, is_explained
from forbear.feedback.events import Effect, Feedback, Kind, RecipientOutcome, Verdict
from forbear.feedback.mime import Part
from forbear.feedback.rfc3464 import STATUS_TYPES, RecipientStatus, read_status_part

_DELAY: Final = re.compile(
    r"warning message only|do not need to resend|will be retried|will (?:keep|continue) trying"
    r"|(?:has been|is|was) delayed"
    r"|still being retried|not yet been delivered|delivery .{0,20}delayed"
    r"|could not (?:yet )?be delivered for .{0,40}will",
    re.IGNORECASE,
)
_LOCAL_REFUSAL: Final = re.compile(r"was automatically rejected:\s*\n?([^\n]{1,500})", re.IGNORECASE)
"""Dovecot's delivery agent: the reason stands in the text, whatever the codes beside it say."""
_STRENGTH: Final = (Effect.HARD_BOUNCE, Effect.SOFT_BOUNCE, Effect.NONE)


def read_bounce(mail: Part) -> Feedback | None:
    """Read a bounce, or a report of something that is none; None where the mail is neither."""
    text = _find_prose(mail)
    part = mail.find(*STATUS_TYPES)
    if part is not None:
        return _read_notification(mail, text, read_status_part(part))
    if not looks_like_bounce(mail, text):
        return None
    if _DELAY.search(text):
        return Feedback(Kind.OTHER, "a delay: they go on trying")
    return _read_prose(mail, text)


def _find_prose(mail: Part) -> str:
    part = mail.find("text/plain") or mail.find("text/html")
    if part is None and not mail.parts:
        part = mail
    return cut_copy(part.text) if part else ""


def _read_notification(mail: Part, text: str, statuses: list[RecipientStatus]) -> Feedback:
    failed = [status for status in statuses if status.action not in {"delayed", "delivered", "relayed", "expanded"}]
    if statuses and not failed:
        return Feedback(Kind.OTHER, f"a report of mail that was {statuses[0].action}", _list_untouched(statuses))
    named = [status for status in failed if status.recipient]
    if not named:
        return _read_prose(mail, text)
    is_strict = mail.find("multipart/report") is not None
    answers = split_answers(text, [status.recipient or "" for status in named])
    outcomes = [_judge(status, text, answers, is_strict=is_strict) for status in named[: mail.limits.recipients_max]]
    return sum_up(outcomes)


def _list_untouched(statuses: list[RecipientStatus]) -> tuple[RecipientOutcome, ...]:
    return tuple(
        RecipientOutcome(status.recipient, Verdict(Effect.NONE, status.action, status.status))
        for status in statuses
        if status.recipient
    )


def _judge(status: RecipientStatus, text: str, answers: dict[str, str], *, is_strict: bool) -> RecipientOutcome:
    recipient = status.recipient or ""
    if is_strict and not status.is_complete:
        return RecipientOutcome(recipient, Verdict(Effect.NONE, "incomplete", status.status))
    said = answers.get(recipient) or text
    refusal = _LOCAL_REFUSAL.search(text)
    answer = refusal[1] if refusal else status.diagnostic
    if not is_explained(answer):
        more = next(filter(is_explained, (*list_replies(said), said)), "")
        answer = f"{answer} {more}"
    return RecipientOutcome(recipient, classify_failure(answer, status=status.status, phase=find_phase(said)))


def _read_prose(mail: Part, text: str) -> Feedback:
    own = find_addresses(mail.get("from")) + find_addresses(mail.get("to"))
    recipients = find_addresses(mail.get("x-failed-recipients")) or find_recipients(text, own)
    if not recipients:
        recipients = _find_in_copy(mail)
    recipients = recipients[: mail.limits.recipients_max]
    answers = split_answers(text, recipients)
    outcomes = [_judge_prose(recipient, answers[recipient], text) for recipient in recipients]
    if mail.find("multipart/report") is not None:
        outcomes = [RecipientOutcome(outcome.recipient, _weaken(outcome.verdict)) for outcome in outcomes]
    return sum_up(outcomes)


def _judge_prose(recipient: str, said: str, text: str) -> RecipientOutcome:
    """What a server said counts before what was written around it."""
    said = said or text
    answer = next(filter(is_explained, (*list_replies(said), said, text)), said)
    return RecipientOutcome(recipient, classify_failure(answer, phase=find_phase(said)))


def _weaken(verdict: Verdict) -> Verdict:
    """A report in form that lacks the part for programs is broken: it ends nobody's address without a code (DS-03)."""
    is_hard = verdict.effect is Effect.HARD_BOUNCE and not verdict.status
    return Verdict(Effect.SOFT_BOUNCE, "incomplete", verdict.status) if is_hard else verdict


def _find_in_copy(mail: Part) -> list[str]:
    returned = mail.returned
    found = find_address(returned.get("to")) if returned else None
    return [found] if found else []


def sum_up(outcomes: list[RecipientOutcome]) -> Feedback:
    """A bounce of several recipients; the gravest effect is that of the whole."""
    effects = {outcome.verdict.effect for outcome in outcomes}
    effect = next((each for each in _STRENGTH if each in effects), Effect.NONE)
    causes = dict.fromkeys(outcome.verdict.cause for outcome in outcomes if outcome.verdict.effect is effect)
    why = ", ".join(causes) or "a bounce that names nobody"
    return Feedback(Kind.BOUNCE, why, tuple(outcomes), effect)
