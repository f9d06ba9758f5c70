"""What a file of contacts says, turned into rows that can be staged: read, fingerprinted and sealed.

Blocking: runs in a thread, a chunk of records at a time, in constant memory. A column that is not known is refused,
because a wish under a mistyped name would be lost.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO, Final

from forbear.domain.contact import check_country, check_external_id, check_language, check_name
from forbear.domain.contact_point import ContactPoint, channel_of, parse_contact_point
from forbear.domain.errors import InvalidImport, InvalidInput
from forbear.domain.import_formats import DELIMITERS, DETAILS, Refusal
from forbear.domain.import_records import CsvReader, Record, read_line
from forbear.domain.party import SHARING_BRAND, is_sharing_scope
from forbear.domain.postal_address import PostalFields
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.consents import WORDS_CHARACTERS_MAX
from forbear.services.contact_points import fingerprint_points, hint_at, list_names, seal_point
from forbear.services.contacts import seal_name
from forbear.services.context import Context
from forbear.services.import_file import Rejected
from forbear.services.suppression import Assertion
from forbear.store.contact_rows import StagedContact
from forbear.store.import_rows import StagedRow

CONTACTS: Final = "contacts"
"""What a batch of contacts is said to be of."""

_LINES: Final = ("line1", "line2", "line3", "line4")
COLUMNS: Final = (
    *("external_id", "name", "email", "phone", *_LINES, "postcode", "country", "language"),
    *("opt_outs", "consents", "consent_wording", "consent_given_at", "consent_origin"),
)
_Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StagedContacts:
    """What became of some records: `records` = rows + rejected. `entries` are the opt-outs of the rows."""

    records: int
    rows: list[StagedContact] = field(repr=False)
    entries: list[StagedRow] = field(repr=False)
    rejected: list[Rejected] = field(repr=False)


class ContactFile:
    """One file of contacts: CSV with a header, of which every column is known."""

    def __init__(self, source: BinaryIO, record_characters_max: int) -> None:
        """Read the header. Raises `InvalidImport` where it is not one of contacts."""
        text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline="")
        line = text.readline(record_characters_max)
        self.header = line.encode("utf-8", "surrogateescape")
        delimiter = max(DELIMITERS, key=line.count)
        cells, is_open = read_line(line, delimiter)
        self._names = [] if is_open else [cell.strip().lower().replace(" ", "_") for cell in cells]
        _check_columns(self._names)
        self._reader = CsvReader(text, delimiter, record_characters_max)
        self._records = iter(self._reader)

    @property
    def characters(self) -> int:
        """How much of it was read."""
        return self._reader.characters

    def read(self, limit: int) -> list[Record]:
        """The next records, none at the end. Raises `InvalidImport` where the file itself fails."""
        try:
            return [record._replace(line=record.line + 1) for record in islice(self._records, limit)]
        except OSError as error:
            raise InvalidImport(f"the file cannot be read on: {error.strerror}") from error

    def name_cells(self, record: Record) -> _Cells:
        """The cells of a record by their columns, without the blanks around them; empty ones are left out."""
        return {name: cell.strip() for name, cell in zip(self._names, record.cells, strict=False) if cell.strip()}

    def is_short(self, record: Record) -> bool:
        """Whether a record has fewer or more cells than there are columns."""
        return len(record.cells) != len(self._names)


def _check_columns(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if "external_id" not in names or len(set(names)) < len(names) or unknown:
        # The first line may be no header but somebody's data, so it is not repeated.
        raise InvalidImport(
            "a file of contacts begins with a header that has external_id and, each once, any of: "
            + ", ".join(COLUMNS[1:])
            + (f"; column {names.index(unknown[0]) + 1} is none of them" if unknown else "")
        )


class ContactMaker:
    """Turns records into rows to be staged."""

    def __init__(self, context: Context, file: ContactFile, batch_id: int, scopes: frozenset[str]) -> None:
        self._context = context
        self._file = file
        self._batch_id = batch_id
        self._scopes = scopes
        self._places = iter(range(2**62))

    def make(self, records: Sequence[Record]) -> StagedContacts:
        """Read, fingerprint and seal records."""
        rows: list[StagedContact] = []
        entries: list[StagedRow] = []
        rejected: list[Rejected] = []
        for record in records:
            raw = record.raw.encode("utf-8", "surrogateescape")
            try:
                refusal = self._refuse(record)
                if refusal is not None:
                    rejected.append(Rejected(record.line, refusal, DETAILS[refusal], raw))
                    continue
                row, own = self._read(self._file.name_cells(record))
            except InvalidInput as error:
                rejected.append(Rejected(record.line, Refusal.INVALID_CONTACT, error.detail, raw))
            else:
                rows.append(row)
                entries += own
        return StagedContacts(len(records), rows, entries, rejected)

    def _refuse(self, record: Record) -> Refusal | None:
        if record.fault is not None:
            return Refusal.UNREADABLE
        if self._file.is_short(record):
            return Refusal.MISSING_COLUMN
        return Refusal.NOT_UTF8 if any("\ud800" <= letter <= "\udfff" for letter in record.raw) else None

    def _read(self, cells: _Cells) -> tuple[StagedContact, list[StagedRow]]:
        ring = self._context.keyring
        external_id = _read_cell(cells, "external_id", check_external_id)
        if external_id is None:
            raise InvalidInput("external_id: there is none")
        name = _read_cell(cells, "name", check_name)
        country = _read_cell(cells, "country", check_country)
        points = list(_read_points(cells, name or "", country))
        keys = fingerprint_points(ring, points)
        addresses = list_names(points)
        postcodes = [postcode for _, postcode in addresses] or [cells.get("postcode", "")]
        names = dict.fromkeys(filter(None, [name, *(given for given, _ in addresses)]))
        hints = [hint for given in names for hint in hint_at(ring, given, postcodes)]
        row = StagedContact(
            batch_id=self._batch_id,
            place=next(self._places),
            external_id=external_id,
            language=_read_cell(cells, "language", check_language),
            country=country,
            sealed_name=seal_name(self._context, external_id, name) if name else None,
            channels=[channel_of(point).value for point in points],
            fingerprints=keys,
            sealed_points=[seal_point(ring, point, key) for point, key in zip(points, keys, strict=True)],
            hint_kinds=[kind.value for kind, _ in hints],
            hints=[hint for _, hint in hints],
            consents=json.dumps(self._read_consents(cells, points)),
        )
        return row, list(self._read_opt_outs(cells, points))

    def _read_opt_outs(self, cells: _Cells, points: Sequence[ContactPoint]) -> Iterator[StagedRow]:
        for channel, scope in self._read_choices(cells, "opt_outs"):
            reason = Reason.NO_SHARING if is_sharing_scope(scope) else Reason.UNSUBSCRIBE
            for point in _of_channel(points, channel, "opt_outs"):
                draft = suppression.make_draft(self._context, Assertion(point, reason, scope, Source.IMPORT))
                yield StagedRow(
                    self._batch_id,
                    draft.fingerprint,
                    draft.wide,
                    draft.kind.value,
                    draft.channel.value,
                    scope,
                    reason.value,
                    Source.IMPORT.value,
                    None,
                    None,
                    draft.sealed_address,
                )

    def _read_consents(self, cells: _Cells, points: Sequence[ContactPoint]) -> list[Mapping[str, str]]:
        choices = list(self._read_choices(cells, "consents"))
        if not choices:
            return []
        if not cells.get("consent_wording"):
            raise InvalidInput("consent_wording: a consent says by which version of the words it was given")
        given_at = _read_moment(cells.get("consent_given_at", ""), self._context.now())
        if SHARING_BRAND in {scope for _, scope in choices}:
            raise InvalidInput("consents: an opt-in to sharing names a party, or third-party for all of them")
        for channel, _ in choices:
            _of_channel(points, channel or Channel.EMAIL, "consents")
        words = {
            "wording_version": cells["consent_wording"][:WORDS_CHARACTERS_MAX],
            "given_at": given_at,
            "origin": cells.get("consent_origin", "")[:WORDS_CHARACTERS_MAX],
        }
        return [{"channel": (channel or Channel.EMAIL).value, "scope": scope, **words} for channel, scope in choices]

    def _read_choices(self, cells: _Cells, column: str) -> Iterator[tuple[Channel | None, str]]:
        """`CHANNEL:SCOPE` or `SCOPE`, with blanks or semicolons between."""
        for word in cells.get(column, "").replace(";", " ").split():
            channel, colon, scope = word.rpartition(":")
            if colon and channel not in set(Channel):
                raise InvalidInput(f"{column}: a channel is email, phone or post")
            if scope not in self._scopes:
                raise InvalidInput(f"{column}: there is a scope that is not registered")
            yield Channel(channel) if colon else None, scope


def _read_cell(cells: _Cells, column: str, check: Callable[[str], str]) -> str | None:
    if column not in cells:
        return None
    try:
        return check(cells[column])
    except InvalidInput as error:
        raise InvalidInput(f"{column}: {error.detail}") from error


def _read_points(cells: _Cells, name: str, country: str | None) -> Iterator[ContactPoint]:
    if "email" in cells:
        yield _parse(Channel.EMAIL, "email", cells["email"], None)
    if "phone" in cells:
        yield _parse(Channel.PHONE, "phone", cells["phone"], country)
    lines = tuple(cells[line] for line in _LINES if line in cells)
    if lines:
        yield _parse(Channel.POST, "line1", PostalFields(name, lines, cells.get("postcode", ""), country or ""), None)


def _parse(channel: Channel, column: str, given: str | PostalFields, region: str | None) -> ContactPoint:
    try:
        return parse_contact_point(channel, given, region)
    except InvalidInput as error:
        raise InvalidInput(f"{column}: {error.detail}") from error


def _of_channel(points: Iterable[ContactPoint], channel: Channel | None, column: str) -> list[ContactPoint]:
    """The points that a choice is about. What is about none would be lost, so the row is not taken."""
    found = [point for point in points if channel in {None, channel_of(point)}]
    if not found:
        raise InvalidInput(f"{column}: the row has no {channel or 'contact point'} that it could be about")
    return found


def _read_moment(text: str, now: datetime) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("consent_given_at: a date or time (ISO 8601), such as 2026-02-03") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > now:
        raise InvalidInput("consent_given_at: it lies in the future")
    return moment.isoformat()
