"""What is said to the person at the terminal while something is being set up: on stderr, never on stdout."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    """Write one line to stderr, at once."""
    sys.stderr.write(f"forbear: {text}\n")
    sys.stderr.flush()


class Stopwatch:
    """Says how long each step took."""

    def __init__(self) -> None:
        """Begin the first step."""
        self._began = time.monotonic()

    def say_done(self, text: str) -> None:
        """Say what has been done, and begin the next step."""
        now = time.monotonic()
        say(f"{text} ({now - self._began:.1f} s)")
        self._began = now
