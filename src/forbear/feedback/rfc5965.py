"""Complaints: abuse reports (RFC 5965), read with patience for what providers leave out, and Outlook.com's own form.

Who complained is told by our token in the returned copy: providers blank addresses, and may leave out every field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from forbear.feedback.addresses import find_address, read_typed_address
from forbear.feedback.events import Effect, Feedback, Kind, RecipientOutcome, Verdict
from forbear.feedback.mime import Part, parse_fields

REPORT_TYPE: Final = "message/feedback-report"
HARMLESS_TYPES: Final = frozenset(("not-spam", "auth-failure", "dmarc", "virus"))
"""What says nothing against our writing to somebody. Any other type, known or not, is a complaint (CF-04)."""
_ONCE: Final = ("feedback-type", "user-agent", "version")
_OUTLOOK: Final = "x-hmxmroriginalrecipient"


def read_complaint(mail: Part) -> Feedback | None:
    """Read a complaint; None where the mail is none."""
    part = mail.find(REPORT_TYPE)
    if part is not None:
        return _judge(mail, parse_fields(part.text.replace("\n\n", "\n")))
    returned = mail.returned
    if returned is not None and returned.get(_OUTLOOK):
        return make_complaint("abuse", [returned.get(_OUTLOOK)])
    return None


def make_complaint(feedback_type: str, recipients: list[str]) -> Feedback:
    """A complaint of one type, in lower case, about mail to these."""
    is_harmless = feedback_type in HARMLESS_TYPES
    effect = Effect.NONE if is_harmless else Effect.COMPLAINT
    verdict = Verdict(effect, feedback_type or "unknown")
    found = filter(None, map(find_address, recipients))
    outcomes = tuple(RecipientOutcome(recipient, verdict) for recipient in dict.fromkeys(found))
    why = f"feedback type {verdict.cause}" + (", which is no complaint" if is_harmless else "")
    return Feedback(Kind.COMPLAINT, why, outcomes, effect)


def _judge(mail: Part, fields: tuple[tuple[str, str], ...]) -> Feedback:
    names = [name for name, _ in fields]
    if any(names.count(name) > 1 for name in _ONCE) or {"arrival-date", "received-date"} <= set(names):
        return Feedback(Kind.COMPLAINT, "malformed: a field stands twice that may stand once (RFC 5965, 3.1)")
    feedback_type = next((value for name, value in fields if name == "feedback-type"), "")
    recipients = [value for name, value in fields if name in {"original-rcpt-to", "removal-recipient"}]
    word = feedback_type.partition(";")[0].partition("(")[0].strip().lower()
    # The word stands in what is printed and counted; one that is none, or holds an address, is not passed on.
    is_word = len(word) < 40 and word.replace("-", "").isalnum()  # noqa: PLR2004 as long as any that is registered
    named = list(filter(None, map(read_typed_address, recipients))) or list(_find_in_copy(mail))
    return make_complaint(word if is_word else "", named[: mail.limits.recipients_max])


def _find_in_copy(mail: Part) -> Iterator[str]:
    returned = mail.returned
    if returned is not None:
        yield from (value for name in ("x-original-to", "delivered-to", "to") for value in returned.get_all(name)[:1])
