"""What can go wrong, as one tree; the docstring of a class is its default message.

    ForbearError
    ├── Permanent                     asking again changes nothing
    │   ├── InvalidInput
    │   │   ├── InvalidAddress        what was given is not one e-mail address
    │   │   ├── UnknownScope
    │   │   ├── InvalidList           a send list that cannot be read on (names row and column)
    │   │   ├── InvalidImport         a suppression file that cannot be read at all
    │   │   └── TooLarge              a limit was passed (names the limit)
    │   ├── NotFound
    │   ├── NotPermitted
    │   ├── Unauthenticated
    │   ├── BrokenToken               a link whose seal does not hold
    │   ├── NothingToUndo
    │   └── Misconfigured             keys, roles or settings with which the program must not run
    │       └── WrongKeys
    └── TryAgain                      the same request may succeed later
        ├── ListUnavailable           the list cannot be asked: nothing is let through
        ├── KeyNotAtHand              sealed under a key that this process does not hold
        ├── LimitReached              asked too often (names the limit, and when to come back)
        └── Busy

Numbers of HTTP, SMTP and exit codes are not known here: the doors map this tree, and a test walks it.
No message may hold an address.
"""

from __future__ import annotations

import inspect


class ForbearError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        """Take the detail to show, or the docstring's first line."""
        super().__init__(detail or (inspect.getdoc(type(self)) or "").split("\n")[0])

    @property
    def detail(self) -> str:
        """One sentence for whoever asked: what was wrong, and where."""
        return str(self.args[0])


class Permanent(ForbearError):
    """The request cannot be carried out."""


class TryAgain(ForbearError):
    """The request cannot be carried out now."""


class InvalidInput(Permanent):
    """The input is not valid."""


class InvalidAddress(InvalidInput):
    """This is not one e-mail address."""


class UnknownScope(InvalidInput):
    """The scope is not registered."""


class InvalidList(InvalidInput):
    """The list cannot be read.

    ``row`` counts records from 1 (the header is row 1 where there is one); ``column`` is a name or position.
    """

    def __init__(self, detail: str | None = None, *, row: int | None = None, column: str | None = None) -> None:
        """Take what was wrong and where."""
        super().__init__(detail)
        self.row = row
        self.column = column


class InvalidImport(InvalidInput):
    """The file cannot be imported."""


class TooLarge(InvalidInput):
    """The request is larger than this installation allows."""


class NotFound(Permanent):
    """There is no such thing, or it is not yours to see."""


class NotPermitted(Permanent):
    """This API key may not do that."""


class Unauthenticated(Permanent):
    """A valid API key is needed: Authorization: Bearer KEY."""


class BrokenToken(Permanent):
    """The link is damaged."""


class NothingToUndo(Permanent):
    """This can no longer be undone."""


class Misconfigured(Permanent):
    """The program must not run like this."""


class WrongKeys(Misconfigured):
    """The key file does not belong to this list."""


class ListUnavailable(TryAgain):
    """The suppression list cannot be asked, so nothing is let through."""


class KeyNotAtHand(TryAgain):
    """This was sealed under a key that is not at hand."""


class LimitReached(TryAgain):
    """This was asked for too often; try again later."""

    def __init__(self, detail: str | None = None, *, limit: str = "", retry_after_seconds: int = 60) -> None:
        """Take which limit it was, and how long it holds."""
        super().__init__(detail)
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


class Busy(TryAgain):
    """Somebody else is at it."""
