"""Delivery status notifications: the part that programs read (RFC 3464; RFC 6533 for addresses that are not ASCII)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from forbear.feedback.addresses import read_typed_address
from forbear.feedback.mime import Part, parse_fields

STATUS_TYPES: Final = ("message/delivery-status", "message/global-delivery-status")
_BLANK: Final = re.compile(r"\n[ \t]*\n")
_STATUS: Final = re.compile(r"\s*([245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2}))(?![\d.])")
_STARTS: Final = frozenset(("final-recipient", "original-recipient", "action"))
_REQUIRED: Final = ("final-recipient", "action", "status")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What a notification says of one recipient. Its repr shows no address."""

    recipient: str | None = field(repr=False)
    action: str
    """In lower case; `failed`, `delayed`, `delivered`, `relayed` or `expanded`."""
    status: str
    """Empty where it is missing or malformed."""
    diagnostic: str = field(repr=False)
    is_complete: bool
    """Whether everything is there that RFC 3464 requires."""


def read_status_part(part: Part) -> list[RecipientStatus]:
    """Read a part of a type in `STATUS_TYPES`; what is about no recipient is left out."""
    return [_read_group(group) for group in _split_groups(part.text) if not _STARTS.isdisjoint(group)]


def read_status(value: str) -> str:
    """A status code without its comment, or empty (RFC 3464, 2.3.4)."""
    found = _STATUS.match(value)
    return found[1] if found else ""


def _split_groups(text: str) -> Iterator[dict[str, str]]:
    for block in _BLANK.split(text):
        group: dict[str, str] = {}
        for name, value in parse_fields(block):
            # Some write their groups without the blank line between.
            if name == "final-recipient" and name in group:
                yield group
                group = {}
            group.setdefault(name, value)
        yield group


def _read_group(group: Mapping[str, str]) -> RecipientStatus:
    # What we had written to is named first: after forwarding, the final recipient may be anybody.
    named = [group.get("original-recipient", ""), group.get("final-recipient", "")]
    recipient = next(filter(None, map(read_typed_address, named)), None)
    status = read_status(group.get("status", ""))
    return RecipientStatus(
        recipient,
        group.get("action", "").partition("(")[0].strip().lower(),
        status,
        _strip_type(group.get("diagnostic-code", "")),
        bool(status) and all(group.get(name) for name in _REQUIRED),
    )


def _strip_type(value: str) -> str:
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and kind.strip().replace("-", "").isalnum() else value
