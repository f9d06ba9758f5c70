"""Texts in the form of our mail tokens, and where in a report they may stand; whose they are is asked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from forbear.domain.tokens import MAIL_TOKEN_LENGTH, find_mail_token_kind
from forbear.feedback.mime import Part, parse_fields
from forbear.feedback.rfc5965 import REPORT_TYPE

_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z2-7]{{{MAIL_TOKEN_LENGTH}}}(?=@)")
_ADDRESSED: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "apparently-to", "to", "cc")
_RETURNED: Final = ("return-path", "list-unsubscribe", "errors-to", "x-original-mail-from")
_TOKENS_MAX: Final = 20


def find_addressed_tokens(mail: Part, recipients: Sequence[str] = ()) -> list[str]:
    """Tokens to which the mail was sent: those of the envelope, or of the header where the envelope is not known."""
    return _find(recipients or (value for name in _ADDRESSED for value in mail.get_all(name)))


def find_returned_tokens(mail: Part) -> list[str]:
    """Tokens that our own message carried, in what was returned of it."""
    returned, report = mail.returned, mail.find(REPORT_TYPE)
    values = [value for name in _RETURNED for value in returned.get_all(name)] if returned else []
    if report is not None:
        values += [value for name, value in parse_fields(report.text) if name == "original-mail-from"]
    return _find(values)


def _find(values: Iterable[str]) -> list[str]:
    found = dict.fromkeys(token for value in values for token in _TOKEN.findall(value) if find_mail_token_kind(token))
    return list(found)[:_TOKENS_MAX]
