"""The way in: one mail becomes one piece of feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from forbear.feedback.amazon_ses import read_notification
from forbear.feedback.automatic import find_automatic_mark
from forbear.feedback.bounce import read_bounce
from forbear.feedback.events import Feedback, Kind
from forbear.feedback.limits import LIMITS, Limits
from forbear.feedback.mail_tokens import find_addressed_tokens, find_returned_tokens
from forbear.feedback.mime import Part, parse_message
from forbear.feedback.rfc5965 import read_complaint
from forbear.feedback.unsubscribe_mail import read_unsubscribe

_READERS: Final[tuple[Callable[[Part], Feedback | None], ...]] = (read_complaint, read_notification, read_bounce)


def read_feedback(
    raw: bytes, *, recipients: Sequence[str] = (), is_null_sender: bool = False, limits: Limits = LIMITS
) -> Feedback:
    """Read a mail as it came: header, empty line, body; an mbox line before it is passed over.

    `recipients` and `is_null_sender` are what the envelope said, where it is known. Raises `TooLarge`, nothing else.
    """
    mail = parse_message(raw, limits)
    addressed = find_addressed_tokens(mail, recipients)
    asked = read_unsubscribe(mail, addressed, is_null_sender=is_null_sender)
    if asked is not None:
        return asked
    found = next(filter(None, (read(mail) for read in _READERS)), None) or _describe_other(mail)
    return replace(found, tokens=tuple(dict.fromkeys((*addressed, *find_returned_tokens(mail)))))


def _describe_other(mail: Part) -> Feedback:
    mark = find_automatic_mark(mail)
    return Feedback(
        Kind.OTHER, f"automatic mail that reports no failure: {mark}" if mark else "neither report nor token"
    )
