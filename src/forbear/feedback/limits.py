"""What one report may cost: mail from anybody is read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that could be made long.

    Work is linear in what they allow, so together they bound the time that a report takes too.
    """

    report_bytes_max: int = 10 * 1024**2
    """A report returns the message at most once; ours are smaller."""
    header_bytes_max: int = 256 * 1024
    """Of one part; what lies behind is not read."""
    parts_max: int = 100
    depth_max: int = 8
    text_bytes_max: int = 64 * 1024
    """Of a text that is searched; what lies behind is not read."""
    recipients_max: int = 100
    """More are not taken: each report of ours is about one."""


LIMITS: Final = Limits()
