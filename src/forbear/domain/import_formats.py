"""Suppression files and what their rows say: our own export, those of five providers, and plain lists of addresses.

Pure: text in, rows out. Which reason a provider's word becomes errs towards suppressing; what a provider itself
calls temporary is refused with that reason, because a block for good must be somebody's decision.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from forbear.domain.errors import InvalidImport
from forbear.domain.export_form import COLUMNS, ExportedRow, read_cells
from forbear.domain.import_records import allow_fields, read_object
from forbear.domain.suppression import Reason

DELIMITERS: Final = (",", ";", "\t", "|")
SAMPLE_LINES: Final = 20
"""How many lines have to be seen to recognise a file."""


class Refusal(StrEnum):
    """Why a row is not taken: a stable word for each."""

    NOT_UTF8 = "not_utf8"
    UNREADABLE = "unreadable"
    MISSING_COLUMN = "missing_column"
    INVALID_ADDRESS = "invalid_address"
    TEMPORARY = "temporary"
    UNKNOWN_REASON = "unknown_reason"
    GRANT = "grant"
    LIFTED = "lifted"
    INVALID_ROW = "invalid_row"
    OTHER_KEYS = "other_keys"
    INVALID_CONTACT = "invalid_contact"


DETAILS: Final[Mapping[Refusal, str]] = MappingProxyType(
    {
        Refusal.NOT_UTF8: "the address holds bytes that are not UTF-8",
        Refusal.UNREADABLE: "the record cannot be read",
        Refusal.MISSING_COLUMN: "the row ends before the column with the address",
        Refusal.INVALID_ADDRESS: "there is no single address in it",
        Refusal.TEMPORARY: "the provider calls this temporary; give the reason soft_bounce or hard_bounce to take it",
        Refusal.UNKNOWN_REASON: "the row says no reason that Forbear knows; give one for every row",
        Refusal.GRANT: "an opt-in needs proof from the address itself and is never imported",
        Refusal.LIFTED: "the entry was lifted when it was exported",
        Refusal.INVALID_ROW: "this is not a row of an export",
        Refusal.OTHER_KEYS: "there is no address, and the fingerprint was made with other keys than this list's",
        Refusal.INVALID_CONTACT: "a column of the contact cannot be read",
    }
)


class GivenRow(NamedTuple):
    """What a row says. `since` is None where it says no credible moment; `own` is there for our own exports."""

    address: str
    reason: Reason | Refusal
    since: datetime | None
    own: ExportedRow | None = None


RowReader = Callable[[Sequence[str]], GivenRow | Refusal]
_ReasonReader = Callable[[Sequence[str]], Reason | Refusal]
_At = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records of one file are to be read."""

    format: str
    """What the file was recognised as, for people."""
    delimiter: str | None
    """None: JSON, one object a line."""
    names: tuple[str, ...]
    """Column names or JSON keys as they stand in the file; none without a header."""
    read: RowReader
    has_reasons: bool
    is_own: bool = False

    @property
    def has_header(self) -> bool:
        """Whether the first record names the columns."""
        return self.delimiter is not None and bool(self.names)


def detect_layout(lines: Sequence[str], file_name: str = "") -> Layout:
    """Recognise a file by its first lines; the name helps where a provider uses one form for different lists.

    Raises `InvalidImport` where it cannot be told which column holds the addresses.
    """
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        raise InvalidImport("the file is empty")
    if first[0] in "{[":
        return _detect_json(first, file_name)
    samples = [(delimiter, _take_sample(lines, delimiter)) for delimiter in DELIMITERS]
    for delimiter, rows in samples:
        found = _recognise(rows[0], file_name)
        if found:
            return Layout(found.format, delimiter, tuple(rows[0]), found.read, found.has_reasons, found.is_own)
    # A cell that is an address and nothing else speaks for its delimiter; `Ann <ann@example.com>` comes second.
    for holds in (_is_bare, lambda cell: "@" in cell):
        for delimiter, rows in samples:
            layout = _detect_plain(rows, delimiter, holds)
            if layout:
                return layout
    widest = max((rows[0] for _, rows in samples), key=len)
    raise InvalidImport(f"no column can be told to hold addresses; there are: {_show(widest)}")


def read_moment(text: str) -> datetime | None:
    """Read a date as providers write them: ISO 8601, RFC 5322, seconds or milliseconds since 1970; UTC if unsaid.

    None for anything else, and for what lies before e-mail: Mailgun writes the year 1 where it knows none.
    """
    text = text.strip()
    try:
        moment = _read_number(text) if _NUMBER.fullmatch(text) else _read_text(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return moment if moment >= _FIRST_MOMENT else None


_NUMBER = re.compile(r"\d{9,13}(\.\d+)?")
_FIRST_MOMENT = datetime(1990, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000


def _read_number(text: str) -> datetime:
    number = float(text)
    return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)


def _read_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if _ANCIENT.search(text):
            raise  # RFC 5322's obsolete two-digit years would make 2001 of the year 1.
        return parsedate_to_datetime(text)


_ANCIENT = re.compile(r" 0\d{3} ")


@dataclass(frozen=True, slots=True)
class _Found:
    """A layout without its delimiter."""

    format: str
    read: RowReader
    has_reasons: bool
    is_own: bool = False


def _detect_json(first: str, file_name: str) -> Layout:
    found = read_object(first)
    if found is None:
        raise InvalidImport(
            "JSON is read one object a line: convert it with jq -c '.SuppressedDestinationSummaries[]' (Amazon SES), "
            "jq -c '.Suppressions[]' (Postmark), jq -c '.items[]' (Mailgun) or jq -c '.[]' (SendGrid)"
        )
    names = tuple(found)
    layout = _recognise(names, file_name) or _read_named(names)
    if layout is None:
        raise InvalidImport(f"no name in the JSON can be told to hold addresses; there are: {_show(names)}")
    return Layout(layout.format, None, names, layout.read, layout.has_reasons, layout.is_own)


def _take_sample(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The first two records, as one delimiter cuts them."""
    allow_fields(sum(map(len, lines)))
    rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells]
    return rows[:2]


def _recognise(names: Sequence[str], file_name: str) -> _Found | None:
    """A provider's columns, or our own."""
    folded = [_fold(name) for name in names]
    at = {name: index for index, name in reversed(list(enumerate(folded)))}
    if at.keys() >= _OWN:
        return _Found("forbear export", _read_own(at), has_reasons=True, is_own=True)
    if at.keys() >= _SUBSCRIBERS and not {"unsubtime", "cleantime"} & at.keys():
        raise InvalidImport(
            "this is Mailchimp's export of people who have not left: importing it would suppress them all. "
            "To do that, keep the column of addresses only"
        )
    for provider in _PROVIDERS:
        if at.keys() >= provider.needs and (provider.may_have_more or len(at) == len(provider.needs)):
            reason = provider.reason(at, file_name.casefold())
            return _Found(provider.format, _Reader(at[provider.address], at.get(provider.since), reason), True)
    return None


def _is_bare(cell: str) -> bool:
    return _BARE.fullmatch(cell.strip()) is not None


_BARE = re.compile(r"[^\s@,;|]*@[^\s@,;|]+")


def _detect_plain(rows: list[list[str]], delimiter: str, holds: Callable[[str], bool]) -> Layout | None:
    """A list of addresses with a header of its own, or with none."""
    first = rows[0]
    if not any("@" in cell for cell in first):
        found = _read_named(first, [index for index, cell in enumerate(rows[1]) if holds(cell)] if rows[1:] else ())
        return None if found is None else Layout(found.format, delimiter, tuple(first), found.read, found.has_reasons)
    columns = [index for index, cell in enumerate(first) if holds(cell)]
    if len(columns) > 1:
        raise InvalidImport("there is no header, and more than one column holds addresses")
    if not columns:
        return None
    rest = [cell.strip() for index, cell in enumerate(first) if index not in columns]
    if len(rest) == 1 and rest[0].upper() in _SES_REASONS:
        reader = _Reader(columns[0], None, _ses({"reason": 1 - columns[0]}, ""))
        return Layout("Amazon SES addresses to suppress", delimiter, (), reader, has_reasons=True)
    return Layout("list of addresses without a header", delimiter, (), _Reader(columns[0], None, None), False)


def _read_named(names: Sequence[str], likely: Sequence[int] = ()) -> _Found | None:
    """Find the column of addresses by its name, else take the likely one."""
    folded = [_fold(name) for name in names]
    columns = [index for index, name in enumerate(folded) if name in _EMAIL_NAMES]
    columns = columns or [index for index, name in enumerate(folded) if name in _OTHER_NAMES]
    columns = columns or [index for index in likely if index < len(names)]
    if not columns:
        return None
    if len(columns) > 1:
        found = _show([names[index] for index in columns])
        raise InvalidImport(f"more than one column may hold the addresses: {found}; rename all but one")
    since = next((folded.index(name) for name in _DATE_NAMES if name in folded), None)
    reason = _own_word(folded.index("reason")) if "reason" in folded else None
    return _Found("list of addresses", _Reader(columns[0], since, reason), reason is not None)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a row by the positions of its columns."""

    address: int
    since: int | None
    reason: _ReasonReader | None

    def __call__(self, cells: Sequence[str]) -> GivenRow | Refusal:
        """Read one row."""
        try:
            address = cells[self.address]
            reason = Refusal.UNKNOWN_REASON if self.reason is None else self.reason(cells)
        except IndexError:
            return Refusal.MISSING_COLUMN
        since = None if self.since is None or self.since >= len(cells) else read_moment(cells[self.since])
        return GivenRow(address, reason, since)


def _read_own(at: _At) -> RowReader:
    def read(cells: Sequence[str]) -> GivenRow | Refusal:
        if len(cells) < len(at):
            return Refusal.MISSING_COLUMN
        own = read_cells({_BY_FOLDED.get(name, name): cells[index] for name, index in at.items()})
        if own is None:
            return Refusal.INVALID_ROW
        try:
            reason: Reason | Refusal = Reason(own.reason)
        except ValueError:
            reason = Refusal.UNKNOWN_REASON
        return GivenRow(own.address, reason, own.since, own)

    return read


def _fold(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


_BY_FOLDED: Final = MappingProxyType({_fold(name): name for name in (*COLUMNS, "lifted_at")})
_OWN: Final = frozenset(map(_fold, COLUMNS))
_SUBSCRIBERS: Final = frozenset({"emailaddress", "leid", "euid"})
_EMAIL_NAMES: Final = frozenset(
    {"email", "emails", "emailaddress", "emailaddresses", "mail", "mailaddress", "emailaddr", "courriel", "correo"}
)
_OTHER_NAMES: Final = frozenset({"address", "recipient", "destination", "subscriber"})
_DATE_NAMES: Final = ("since", "unsubscribedat", "createdat", "created", "lastupdatetime", "date", "timestamp")
_SES_REASONS: Final = MappingProxyType({"BOUNCE": Reason.HARD_BOUNCE, "COMPLAINT": Reason.COMPLAINT})


def _ses(at: _At, _: str) -> _ReasonReader:
    column = at["reason"]

    def read(cells: Sequence[str]) -> Reason:
        word = cells[column].strip()
        known = _SES_REASONS.get(word.upper())
        return known or (Reason(word) if word in set(Reason) else Reason.MANUAL)

    return read


def _postmark(at: _At, _: str) -> _ReasonReader:
    column, origin = at["suppressionreason"], at.get("origin")

    def read(cells: Sequence[str]) -> Reason:
        word = _fold(cells[column])
        if word in {"hardbounce", "spamcomplaint"}:
            return Reason.HARD_BOUNCE if word == "hardbounce" else Reason.COMPLAINT
        # What a recipient has asked for counts as leaving, what the sender's own staff entered as their block.
        by_recipient = origin is not None and _fold(cells[origin]) == "recipient"
        return Reason.UNSUBSCRIBE if by_recipient or word == "unsubscribe" else Reason.MANUAL

    return read


def _sendgrid(at: _At, file_name: str) -> _ReasonReader:
    # Bounces, blocks and spam reports come with the same columns; only the name of the download tells them apart.
    for part, reason in _SENDGRID_NAMES.items():
        if part in file_name:
            return _always(reason)
    return _by_status(at["status"], at["reason"])


_SENDGRID_NAMES: Final[Mapping[str, Reason | Refusal]] = MappingProxyType(
    {"block": Refusal.TEMPORARY, "spam": Reason.COMPLAINT, "unsub": Reason.UNSUBSCRIBE}
)


def _by_status(*columns: int) -> _ReasonReader:
    """A hard bounce, unless the SMTP answer in one of the columns is one to try again (RFC 5321, 4.2.1)."""

    def read(cells: Sequence[str]) -> Reason | Refusal:
        answer = next((cells[column].strip() for column in columns if cells[column].strip()), "")
        return Refusal.TEMPORARY if _TRY_AGAIN.match(answer) else Reason.HARD_BOUNCE

    return read


_TRY_AGAIN = re.compile(r"4\d\d\b|4\.\d")


def _own_word(column: int) -> _ReasonReader:
    def read(cells: Sequence[str]) -> Reason | Refusal:
        word = cells[column].strip().casefold()
        return Reason(word) if word in set(Reason) else Refusal.UNKNOWN_REASON

    return read


def _always(reason: Reason | Refusal) -> _ReasonReader:
    return lambda _: reason


@dataclass(frozen=True, slots=True)
class _Provider:
    """One provider's form: the columns it is known by, folded."""

    format: str
    needs: frozenset[str]
    address: str
    since: str
    reason: Callable[[_At, str], _ReasonReader]
    may_have_more: bool = True


def _form(format_: str, columns: str, since: str, reason: Callable[[_At, str], _ReasonReader] | Reason) -> _Provider:
    """A form by its columns; the first is the address, and `...` says that there may be others."""
    needs = columns.removesuffix(" ...").split()
    read = reason if not isinstance(reason, Reason) else lambda _at, _name: _always(reason)
    return _Provider(format_, frozenset(needs), needs[0], since, read, may_have_more=columns.endswith(" ..."))


# The first that fits is taken, so those with more columns come first.
_PROVIDERS: Final = (
    _form("Postmark suppressions", "emailaddress suppressionreason ...", "createdat", _postmark),
    _form("Mailchimp unsubscribed", "emailaddress unsubtime ...", "unsubtime", Reason.UNSUBSCRIBE),
    _form("Mailchimp cleaned", "emailaddress cleantime ...", "cleantime", Reason.HARD_BOUNCE),
    _form("Amazon SES suppression list", "emailaddress reason ...", "lastupdatetime", _ses),
    _form("SendGrid bounces or blocks", "email status reason created", "created", _sendgrid),
    _form("SendGrid spam reports", "email created ip", "created", Reason.COMPLAINT),
    _form("SendGrid invalid addresses", "email reason created", "created", Reason.HARD_BOUNCE),
    _form("SendGrid unsubscribes", "email created", "created", Reason.UNSUBSCRIBE),
    _form("Mailgun bounces", "address code error ...", "createdat", lambda at, _: _by_status(at["code"])),
    _form("Mailgun unsubscribes", "address tags ...", "createdat", Reason.UNSUBSCRIBE),
    _form("Mailgun complaints", "address createdat", "createdat", Reason.COMPLAINT),
)

_NAMES_SHOWN, _CHARACTERS_SHOWN = 20, 40


def _show(names: Sequence[str]) -> str:
    """Column names as a message may show them: never one that could be an address."""
    shown = ("".join(filter(str.isprintable, name))[:_CHARACTERS_SHOWN] for name in names[:_NAMES_SHOWN])
    return ", ".join("?" if "@" in name else name for name in shown)
