"""Bounces in prose: whom servers name in the text for people, and what they say of each.

Most servers of the world do not send what RFC 3464 asks for, or send it beside a text that says more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from forbear.feedback.addresses import ADDRESS, find_addresses, is_daemon

_COPY: Final = re.compile(
    r"^(?:[ \t]*-{2,}[^\n]{0,20}(?:copy of|original message|header of|below this line|unsent message|returned message"
    r"|message header|undelivered message|included|original mail)[^\n]{0,80}"
    r"|[ \t]*(?:original (?:message|mail) (?:follows|headers?)|message headers? follows?"
    r"|the original message)\b[^\n]{0,80}"
    r"|>? ?received: ?(?:from|by)\b[^\n]{0,500}|return-path:[^\n]{0,300}|dkim-signature:[^\n]{0,300})$",
    re.IGNORECASE | re.MULTILINE,
)
_AT_START: Final = re.compile(rf"^[ \t]*(?:[*>\-=]{{1,4}} ?)?(?:\d{{3}} )?<?({ADDRESS})\b")
_LABELLED: Final = re.compile(
    rf"(?:recipient|recipients|address|addressed to|delivered to|deliver(?:ed)? (?:it |your (?:mail|message) )?to"
    rf"|userid|user|mail ?box|message to|reach|following recipient|rcpt to"
    rf"|allowed size)\b[^\n@<]{{0,40}}?[:<\s]\s*({ADDRESS})",
    re.IGNORECASE,
)
_NOT_THEIRS: Final = re.compile(
    r"^\s*(?:>? ?(?:from|to|cc|reply-to|sender|message-id|date|subject)\s*:|for (?:further )?(?:help|assistance))"
    r"|mail from:|envelope-from|contact\b|\(ultimately generated from|expanded from|sent by|^\s*>>> data",
    re.IGNORECASE,
)
_REPLIES: Final = re.compile(
    # The code stands at the beginning of a line, or behind what introduces it.
    r"(?:^[ \t>]*(?:<<<)?|said: ?|reason: ?|[:;>=]\s{0,8}|\(#|\bcode:?)[ \t]*"
    r"((?:[45]\d\d[ \-:]|[45]\.\d\.\d{1,3}\b).*(?:\n(?!\s*\n|[ \t>]*(?:<<<|>>>|\d{3}[ \-])|.{0,400}@).+){0,6})",
    re.MULTILINE,
)
_LINES_MAX: Final = 2000


def cut_copy(text: str) -> str:
    """A text up to where the returned message begins."""
    found = _COPY.search(text)
    # A report that begins with the copy has said nothing before it; then all of it counts.
    return text[: found.start()] if found and text[: found.start()].strip() else text


def find_recipients(text: str, own: Sequence[str]) -> list[str]:
    """Whom a text says it could not reach, best guess first: those that stand where servers put them.

    `own` are the addresses of the report's own From and To: they are meant only where they stand alone on a line.
    """
    skipped = {address.lower() for address in own}
    placed: dict[str, str] = {}
    for line in text.split("\n")[:_LINES_MAX]:
        found = _match_line(line)
        if found and not is_daemon(found) and (found.lower() not in skipped or line.strip(" \t<>*:-") == found):
            placed.setdefault(found.lower(), found)
    if placed:
        return list(placed.values())
    kept = "\n".join(line for line in text.split("\n")[:_LINES_MAX] if not _NOT_THEIRS.search(line))
    return [each for each in find_addresses(kept) if not is_daemon(each) and each.lower() not in skipped]


def split_answers(text: str, recipients: Sequence[str]) -> dict[str, str]:
    """What a text says of each recipient: from where it is named until another is.

    Where one stands several times, as in a transcript, all that is said counts.
    """
    names = {recipient.lower(): recipient for recipient in recipients}
    said: dict[str, list[str]] = {recipient: [] for recipient in recipients}
    for name, line in _follow(text, names):
        said[name].append(line)
    return {recipient: "\n".join(lines) for recipient, lines in said.items()}


def list_replies(text: str) -> list[str]:
    """The answers of servers that stand in a text, each from its code to the end of its paragraph or to the next."""
    return [found[1] for found in _REPLIES.finditer(text)]


def _match_line(line: str) -> str | None:
    if _NOT_THEIRS.search(line):
        return None
    found = _AT_START.match(line) or _LABELLED.search(line)
    return found[1].rstrip(".") if found else None


def _follow(text: str, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    current: str | None = None
    for line in text.split("\n")[:_LINES_MAX]:
        if "@" in line:
            named = [each.lower() for each in find_addresses(line)]
            current = next((names[each] for each in named if each in names), current)
        if current is not None:
            yield current, line
