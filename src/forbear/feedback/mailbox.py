"""Mailboxes: the mails that one file holds (RFC 4155 for mbox)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_ENVELOPE: Final = re.compile(rb"From \S.*\d{4}\s*$|From <?>? ")


def split_mbox(lines: Iterable[bytes], bytes_max: int) -> Iterator[bytes]:
    """The mails of an mbox, given line by line; what is longer than the limit comes one byte longer than that."""
    mail = bytearray()
    is_blank = True
    for line in lines:
        if is_blank and mail and _ENVELOPE.match(line):
            yield bytes(mail)
            mail.clear()
        mail += line[: bytes_max + 1 - len(mail)]
        is_blank = not line.strip()
    if mail:
        yield bytes(mail)


def is_mbox(beginning: bytes) -> bool:
    """Whether a file that begins so is an mbox."""
    return _ENVELOPE.match(beginning.split(b"\n", 1)[0]) is not None
