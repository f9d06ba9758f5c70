"""Amazon SES notifications that come by mail: JSON in the text, as SNS mails it to a subscribed address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from forbear.feedback.addresses import find_address
from forbear.feedback.bounce import sum_up
from forbear.feedback.classification import classify_failure
from forbear.feedback.events import Feedback, Kind, RecipientOutcome
from forbear.feedback.mime import Part
from forbear.feedback.rfc5965 import make_complaint

_BROKEN_LINE: Final = "!\n "
"""How sendmail breaks a line that is too long for SMTP."""


def read_notification(mail: Part) -> Feedback | None:
    """Read a notification; None where the mail is none."""
    if mail.content_type != "text/plain" or not mail.text.lstrip().startswith('{"'):
        return None
    match _read_json(mail.text):
        case {"notificationType": "Complaint", "complaint": {"complainedRecipients": list(named), **more}}:
            return make_complaint(str(more.get("complaintFeedbackType") or ""), list(_list_addresses(named)))
        case {"notificationType": "Bounce", "bounce": {"bouncedRecipients": list(named)}}:
            return sum_up(list(_judge(named))[: mail.limits.recipients_max])
        case {"notificationType": "Delivery"}:
            return Feedback(Kind.OTHER, "a report of mail that was delivered")
    return None


def _read_json(text: str) -> Any:
    end = text.rfind("}") + 1
    try:
        return orjson.loads(text[:end].replace(_BROKEN_LINE, ""))
    except orjson.JSONDecodeError:
        return None


def _list_addresses(named: list[Any]) -> Iterator[str]:
    return (str(each["emailAddress"]) for each in named if isinstance(each, dict) and "emailAddress" in each)


def _judge(named: list[Any]) -> Iterator[RecipientOutcome]:
    for each in named:
        match each:
            case {"emailAddress": str(text), **more}:
                address = find_address(text)
                if address:
                    said, status = str(more.get("diagnosticCode") or ""), str(more.get("status") or "")
                    yield RecipientOutcome(address, classify_failure(said, status=status))
