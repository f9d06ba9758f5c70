"""What a scrub is asked for, what it counts, and how its rows are written. Pure; runs in threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from forbear.domain.contact_point import check_reading_region
from forbear.domain.errors import InvalidInput
from forbear.domain.fingerprint import FINGERPRINT_BYTES, Fingerprint
from forbear.domain.suppression import Channel, Outcome
from forbear.index.addresses import ASCII_SPACE, Keys
from forbear.index.kernels.blake2s import Bytes
from forbear.index.list_formats import ListFormat, ListWriter, Rows, SendList
from forbear.index.list_rows import FAULT_WORDS
from forbear.index.postal_rows import PostalReader
from forbear.index.rules import DELIVER_CODE, DUPLICATE_CODE, INVALID_CODE, read_code
from forbear.services.decision import Question
from forbear.services.links import LinkMaker

LINK_COLUMNS: Final = ("unsubscribe_url", "preferences_url", "return_path")
VERDICT_COLUMNS: Final = ("forbear_verdict", "forbear_reason")
_NO_LINKS: Final = ("", "", "")
_CODES: Final = 256


class RowChoice(StrEnum):
    """Which rows come out."""

    DELIVER = "deliver"
    REFUSED = "refused"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    """What a scrub is asked to do. `refused_apart` gives the refused rows to the sink as well, on their own."""

    question: Question
    column: str | None = None
    header: bool | None = None
    rows: RowChoice = RowChoice.DELIVER
    links: bool = False
    campaign: str = ""
    refused_apart: bool = False
    format: ListFormat = ListFormat.CSV
    region: str | None = None
    """Where phone numbers without + are dialled."""
    columns: tuple[str, ...] = ()
    """For the channel post: the columns of name, lines, postcode and country."""

    def __post_init__(self) -> None:
        """Raise `InvalidInput` where a choice makes no sense."""
        self._check_channel()
        if self.header is not None and self.format is not ListFormat.CSV:
            raise InvalidInput("only CSV has a header that may be there or not")

    def _check_channel(self) -> None:
        channel = self.question.channel
        check_reading_region(channel, self.region)
        if self.columns and channel is not Channel.POST:
            raise InvalidInput("columns are named for the channel 'post' only; for others, column")
        if self.links and channel is not Channel.EMAIL:
            raise InvalidInput("links are for e-mail")
        if channel is Channel.PHONE and self.column is None:
            raise InvalidInput("the channel 'phone' needs a column: the one that holds the numbers")
        if channel is Channel.POST:
            PostalReader(self.columns)
            if self.column is not None:
                raise InvalidInput("the channel 'post' has columns, not a column")
            if self.format is ListFormat.PARQUET:
                raise InvalidInput("postal addresses are read from CSV and JSON lines, not from Parquet")

    @property
    def address_column(self) -> str | None:
        """The column whose cells are looked at first."""
        return self.columns[0] if self.columns else self.column

    @property
    def has_header(self) -> bool | None:
        """Whether CSV begins with the names of its columns; None where that is to be found out, by an @ in it."""
        if self.header is None and self.question.channel is not Channel.EMAIL and self.format is ListFormat.CSV:
            return True
        return self.header

    @property
    def output_columns(self) -> tuple[str, ...]:
        """The columns that rows come out with besides those they went in with."""
        verdict = () if self.rows is RowChoice.DELIVER else VERDICT_COLUMNS
        return (*(LINK_COLUMNS if self.links else ()), *verdict)

    @property
    def added_columns(self) -> tuple[str, ...]:
        """Names that no column of the list may have."""
        return (*self.output_columns, *(VERDICT_COLUMNS if self.refused_apart else ()))


@dataclass(slots=True)
class Counts:
    """Rows by what became of them. rows = deliver + sum(suppress) + invalid + duplicate."""

    rows: int = 0
    deliver: int = 0
    suppress: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    duplicate: int = 0
    blank_lines: int = 0

    def add(self, codes: Bytes) -> None:
        """Count a batch."""
        by_code = np.bincount(codes, minlength=_CODES).tolist()
        self.rows += len(codes)
        self.deliver += by_code[DELIVER_CODE]
        self.invalid += by_code[INVALID_CODE]
        self.duplicate += by_code[DUPLICATE_CODE]
        for code in range(1, DUPLICATE_CODE):
            if by_code[code]:
                self.suppress[str(read_code(code).reason)] += by_code[code]

    def as_json(self) -> dict[str, object]:
        """The counts as they are stored and answered."""
        return {
            "rows": self.rows,
            "deliver": self.deliver,
            "suppress": dict(sorted(self.suppress.items())),
            "invalid": self.invalid,
            "duplicate": self.duplicate,
            "blank_lines": self.blank_lines,
        }


@dataclass(frozen=True, slots=True)
class Output:
    """Rows on their way out; the refused ones apart, where somebody wants them."""

    rows: bytes
    refused: bytes = b""


@dataclass(frozen=True, slots=True)
class _Writers:
    rows: ListWriter[Any]
    refused: ListWriter[Any] | None


class RowWriter:
    """Writes the rows that are wanted, in the list's own format."""

    def __init__(self, options: ScrubOptions, links: LinkMaker | None, read: SendList[Any]) -> None:
        """Take what is wanted, the maker of links where they are, and the list that the rows are read from."""
        self._options, self._links, self._list = options, links, read
        self._writers: _Writers | None = None

    def write(self, rows: Rows, keys: Keys, codes: Bytes) -> Output:
        """The wanted rows of one batch."""
        writers, is_kept = self._open(), codes == DELIVER_CODE
        wanted = {RowChoice.DELIVER: is_kept, RowChoice.REFUSED: ~is_kept, RowChoice.ALL: np.ones_like(is_kept)}
        chosen = wanted[self._options.rows]
        written = writers.rows.write(rows, chosen, self._add_values(rows, keys, codes, chosen))
        if writers.refused is None:
            return Output(written)
        verdicts = [_verdict_values(rows, codes, place) for place in np.flatnonzero(~is_kept).tolist()]
        return Output(written, writers.refused.write(rows, ~is_kept, verdicts))

    def finish(self) -> Output:
        """What the format ends with; all of it, where no batch has come."""
        writers = self._open()
        return Output(writers.rows.finish(), b"" if writers.refused is None else writers.refused.finish())

    def _open(self) -> _Writers:
        if self._writers is None:
            refused = self._list.open_writer(VERDICT_COLUMNS) if self._options.refused_apart else None
            self._writers = _Writers(self._list.open_writer(self._options.output_columns), refused)
        return self._writers

    def _add_values(
        self, rows: Rows, keys: Keys, codes: Bytes, chosen: npt.NDArray[np.bool_]
    ) -> Sequence[Sequence[str]]:
        """The values of the added columns, for each row that is wanted."""
        has_verdicts = self._options.rows is not RowChoice.DELIVER
        if not self._options.output_columns:
            return ()
        places = np.flatnonzero(chosen).tolist()
        links = self._make_links(rows, keys, codes, places) if self._options.links else None
        verdicts = [_verdict_values(rows, codes, place) for place in places] if has_verdicts else None
        if links is None or verdicts is None:
            return links or verdicts or ()
        return [(*link, *verdict) for link, verdict in zip(links, verdicts, strict=True)]

    def _make_links(self, rows: Rows, keys: Keys, codes: Bytes, places: Sequence[int]) -> list[tuple[str, str, str]]:
        if self._links is None:
            raise AssertionError("links are wanted, so there is who makes them")
        # Only what could be read as an address is delivered, and that is the cell without the space around it.
        kept = [place for place in places if codes[place] == DELIVER_CODE]
        addresses = [cell.decode().strip(ASCII_SPACE) for place in kept if (cell := rows.cell(place)) is not None]
        digests = keys.match[kept].tobytes()
        fingerprints = [
            Fingerprint(digests[start : start + FINGERPRINT_BYTES])
            for start in range(0, len(digests), FINGERPRINT_BYTES)
        ]
        made = iter(self._links.make_columns(addresses, fingerprints))
        return [next(made) if codes[place] == DELIVER_CODE else _NO_LINKS for place in places]


def _verdict_values(rows: Rows, codes: Bytes, place: int) -> tuple[str, str]:
    code = int(codes[place])
    if code == INVALID_CODE:
        return Outcome.INVALID.value, _why_invalid(rows, place)
    if code == DUPLICATE_CODE:
        return "duplicate", ""
    verdict = read_code(code)
    return verdict.outcome.value, verdict.reason or ""


def _why_invalid(rows: Rows, place: int) -> str:
    fault = FAULT_WORDS.get(int(rows.faults[place]))
    if fault is not None:
        return fault
    try:
        (rows.cell(place) or b"").decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return "invalid_address"
