"""What a suppression file says, turned into rows that can be staged: read, fingerprinted and sealed.

Blocking: runs in a thread, a chunk of records at a time, in constant memory.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import BinaryIO, Final, Protocol

from forbear.domain.address import Address, Domain
from forbear.domain.contact_point import Target, parse_target
from forbear.domain.errors import InvalidAddress, InvalidImport, InvalidInput
from forbear.domain.export_form import GRANT, ExportedRow
from forbear.domain.fingerprint import FINGERPRINT_BYTES, Fingerprint, Kind
from forbear.domain.import_formats import DETAILS, SAMPLE_LINES, GivenRow, Layout, Refusal, detect_layout
from forbear.domain.import_records import CsvReader, JsonLinesReader, Record
from forbear.domain.keys import Keyring, Use
from forbear.domain.suppression import Channel, Reason, Source, check_scope, is_wide
from forbear.index.list_layout import check_format
from forbear.store.import_rows import StagedRow

_BEGINNING_BYTES: Final = 4
_NOT_YET: Final = Fingerprint(b"")


@dataclass(frozen=True, slots=True)
class RowRules:
    """What holds for every row of one import."""

    reason: Reason | None
    """None: the row's own."""
    scope: str | None
    """None: the row's own."""
    now: datetime
    wide_matching: bool
    key: str
    """The name of this list's fingerprint keys: see `export_form.name_keys`."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken: where it begins, why, and its text as it stood in the file."""

    line: int
    why: Refusal
    detail: str
    raw: bytes = field(repr=False)


class RejectSink(Protocol):
    """Takes the rows that are not taken."""

    def begin(self, header: bytes) -> None:
        """Take the header as it stood in the file; nothing where there is none."""

    def add(self, row: Rejected) -> None:
        """Take one row."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What became of some records; `records` = rows + copies + rejected."""

    records: int
    rows: list[StagedRow] = field(repr=False)
    copies: int
    """Rows that say again what another one of these says."""
    rejected: list[Rejected] = field(repr=False)


class ImportFile:
    """One file, opened and recognised."""

    def __init__(self, source: BinaryIO, name: str, record_characters_max: int) -> None:
        """Read the beginning. Raises `InvalidImport` or `InvalidList` where it cannot be read at all."""
        text = _Replayed(
            io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline=""), record_characters_max
        )
        check_format(_to_bytes(text.sample[0][:_BEGINNING_BYTES]) if text.sample else b"")
        self.layout: Layout = detect_layout(text.sample, name)
        self._reader = _make_reader(text, self.layout, record_characters_max)
        self._records = iter(self._reader)
        self.header = _to_bytes(next(self._records).raw) if self.layout.has_header else b""

    @property
    def characters(self) -> int:
        """How much of it was read."""
        return self._reader.characters

    def read(self, limit: int) -> list[Record]:
        """The next records, none at the end. Raises `InvalidImport` where the file itself fails."""
        try:
            return list(islice(self._records, limit))
        except OSError as error:
            raise InvalidImport(f"the file cannot be read on: {error.strerror}") from error


@dataclass(slots=True)
class _Entry:
    """One row on its way: a target to be fingerprinted, or fingerprints from an export."""

    target: Target | None
    reason: Reason
    scope: str
    source: Source
    channel: Channel
    since: datetime | None
    asserted_at: datetime | None
    kind: Kind = Kind.MATCH
    fingerprint: Fingerprint = _NOT_YET
    wide: Fingerprint | None = None
    wants_wide: bool = False

    def take_in(self, other: _Entry) -> None:
        """Say what another row says as well: the earliest `since` and the latest assertion stand."""
        self.since = min(filter(None, (self.since, other.since)), default=None)
        # No date means that it is said now, which is later than any.
        both = self.asserted_at and other.asserted_at and (self.asserted_at, other.asserted_at)
        self.asserted_at = max(both) if both else None
        self.wide = self.wide or other.wide
        self.target = self.target or other.target


@dataclass(frozen=True, slots=True)
class _Refused:
    why: Refusal
    detail: str


class RowMaker:
    """Turns records into rows to be staged."""

    def __init__(self, layout: Layout, rules: RowRules, ring: Keyring, batch_id: int) -> None:
        self._layout = layout
        self._rules = rules
        self._ring = ring
        self._batch_id = batch_id
        self.scopes: set[str] = set()
        """Scopes that the rows have named."""

    def make(self, records: Sequence[Record]) -> Staged:
        """Read, fingerprint and seal records."""
        entries: list[_Entry] = []
        rejected: list[Rejected] = []
        for record in records:
            found = self._read(record)
            if isinstance(found, _Entry):
                entries.append(found)
            else:
                rejected.append(Rejected(record.line, found.why, found.detail, _to_bytes(record.raw)))
        self._fingerprint(entries)
        merged = _merge(entries)
        rows = [self._seal(entry) for entry in merged]
        return Staged(len(records), rows, len(entries) - len(rows), rejected)

    def _read(self, record: Record) -> _Entry | _Refused:
        if record.fault is not None:
            return _Refused(Refusal.UNREADABLE, record.fault.value)
        given = self._layout.read(record.cells)
        if isinstance(given, Refusal):
            return _refuse(given)
        if given.own is not None:
            return self._read_own(given, given.own)
        reason = self._rules.reason or given.reason
        if isinstance(reason, Refusal):
            return _refuse(reason)
        target = _parse(given.address)
        if isinstance(target, _Refused):
            return target
        since = self._credible(given.since)
        entry = _Entry(target, reason, self._rules.scope or "", Source.IMPORT, Channel.EMAIL, since, since)
        entry.wants_wide = self._rules.wide_matching and is_wide(reason, Source.IMPORT)
        return entry

    def _read_own(self, given: GivenRow, own: ExportedRow) -> _Entry | _Refused:
        if own.kind == GRANT or own.lifted_at:
            return _refuse(Refusal.GRANT if own.kind == GRANT else Refusal.LIFTED)
        if isinstance(given.reason, Refusal) and self._rules.reason is None:
            return _refuse(given.reason)
        try:
            entry = self._own_entry(given, own)
        except (ValueError, InvalidInput):
            return _refuse(Refusal.INVALID_ROW)
        refused = self._identify(entry, own)
        if refused is None:
            self.scopes.add(entry.scope)
        return refused or entry

    def _identify(self, entry: _Entry, own: ExportedRow) -> _Refused | None:
        """See whose entry it is: by the address where there is one, else by a fingerprint made with the same keys."""
        if not own.address:
            return None if own.key == self._rules.key else _refuse(Refusal.OTHER_KEYS)
        target = _parse(own.address, entry.channel)
        if isinstance(target, _Refused):
            return target
        if isinstance(target, Domain) != (entry.kind is Kind.DOMAIN):
            return _refuse(Refusal.INVALID_ROW)
        entry.target = target
        return None

    def _own_entry(self, given: GivenRow, own: ExportedRow) -> _Entry:
        """An entry with the export's own fingerprints. Raises ValueError where its words are not ours."""
        # An erasure stays one, whatever else is said about every row.
        reason = given.reason if given.reason is Reason.ERASED else self._rules.reason or given.reason
        fingerprints = (own.fingerprint, own.wide_fingerprint or own.fingerprint)
        if own.kind == Kind.WIDE or any(len(value) != FINGERPRINT_BYTES for value in fingerprints):
            raise ValueError
        since = self._credible(own.since)
        asserted_at = self._credible(own.asserted_at or own.since)
        entry = _Entry(
            target=None,
            reason=Reason(reason),
            scope=self._rules.scope or check_scope(own.scope),
            source=Source(own.source),
            channel=Channel(own.channel),
            since=since,
            asserted_at=None if since is None or asserted_at is None else max(since, asserted_at),
            kind=Kind(own.kind),
            fingerprint=Fingerprint(own.fingerprint),
            wide=None if own.wide_fingerprint is None else Fingerprint(own.wide_fingerprint),
        )
        entry.wants_wide = own.is_wide or (self._rules.wide_matching and is_wide(entry.reason, entry.source))
        return entry

    def _credible(self, since: datetime | None) -> datetime | None:
        return since if since is not None and since <= self._rules.now else None

    def _fingerprint(self, entries: Iterable[_Entry]) -> None:
        fingerprinter = self._ring.fingerprints.email
        for channel in Channel:
            of_channel = [entry for entry in entries if entry.channel is channel]
            points = [(entry, entry.target) for entry in of_channel if not isinstance(entry.target, Domain | None)]
            matches = self._ring.fingerprints.of(channel).make(Kind.MATCH, [point.match for _, point in points])
            for (entry, _), fingerprint in zip(points, matches, strict=True):
                entry.fingerprint, entry.wide = fingerprint, None
        addresses = [(entry, entry.target) for entry in entries if isinstance(entry.target, Address)]
        wides = [(entry, target.wide) for entry, target in addresses if entry.wants_wide and target.wide is not None]
        for (entry, _), wide in zip(wides, fingerprinter.make(Kind.WIDE, [form for _, form in wides]), strict=True):
            entry.wide = wide
        domains = [(entry, entry.target) for entry in entries if isinstance(entry.target, Domain)]
        for (entry, _), fingerprint in zip(
            domains, fingerprinter.make(Kind.DOMAIN, [target.domain for _, target in domains]), strict=True
        ):
            entry.kind, entry.fingerprint, entry.wide = Kind.DOMAIN, fingerprint, None

    def _seal(self, entry: _Entry) -> StagedRow:
        plain = _plain(entry.target)
        # Of an erased person only the fingerprint may come in.
        is_kept = plain is not None and entry.reason is not Reason.ERASED
        return StagedRow(
            self._batch_id,
            entry.fingerprint,
            entry.wide,
            entry.kind,
            entry.channel,
            entry.scope,
            entry.reason,
            entry.source,
            entry.since,
            entry.asserted_at,
            self._ring.seal(Use.ADDRESS, (plain or "").encode("utf-8", "surrogatepass"), entry.fingerprint)
            if is_kept
            else None,
        )


class _Replayed:
    """Text whose first lines were looked at already."""

    def __init__(self, text: io.TextIOWrapper, characters_max: int) -> None:
        self._text = text
        lines = (text.readline(characters_max + 1) for _ in range(SAMPLE_LINES))
        self.sample = [line for line in lines if line]
        self._waiting = self.sample[::-1]

    def readline(self, size: int = -1, /) -> str:
        """The next line. The first come in the pieces in which they were looked at."""
        return self._waiting.pop() if self._waiting else self._text.readline(size)


def _make_reader(text: _Replayed, layout: Layout, characters_max: int) -> CsvReader | JsonLinesReader:
    if layout.delimiter is None:
        return JsonLinesReader(text, list(layout.names), characters_max)
    return CsvReader(text, layout.delimiter, characters_max)


def _parse(text: str, channel: Channel = Channel.EMAIL) -> Target | _Refused:
    try:
        return parse_target(channel, text)
    except InvalidAddress as error:
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            return _refuse(Refusal.NOT_UTF8)
        return _Refused(Refusal.INVALID_ADDRESS, error.detail)


def _refuse(why: Refusal) -> _Refused:
    return _Refused(why, DETAILS[why])


def _merge(entries: Iterable[_Entry]) -> list[_Entry]:
    """Make one entry of those that say the same."""
    merged: dict[Fingerprint, list[_Entry]] = {}
    for entry in entries:
        same = merged.setdefault(entry.fingerprint, [])
        for first in same:
            if (first.channel, first.scope, first.reason) == (entry.channel, entry.scope, entry.reason):
                first.take_in(entry)
                break
        else:
            same.append(entry)
    return [entry for same in merged.values() for entry in same]


def _plain(target: Target | None) -> str | None:
    if target is None:
        return None
    return f"@{target.domain}" if isinstance(target, Domain) else target.raw


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def count_refusals(rejected: Iterable[Rejected]) -> Counter[str]:
    """How many rows were rejected for each reason."""
    return Counter(row.why.value for row in rejected)
