"""What a scrub is asked for, what it counts, and how its rows are written. Pure; runs in threads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import Outcome
from forbear.index.addresses import ASCII_SPACE, Keys
from forbear.index.kernels.blake2s import Bytes
from forbear.index.rules import DELIVER_CODE, DUPLICATE_CODE, INVALID_CODE, read_code
from forbear.index.send_list import FAULT_WORDS, ListLayout, Rows
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


class RowWriter:
    """Writes the rows that are wanted: byte for byte as they came in, unless columns are added."""

    def __init__(self, options: ScrubOptions, links: LinkMaker | None) -> None:
        """Take what is wanted, and the maker of links where they are."""
        self._options, self._links = options, links
        self._is_header_out = False

    def write(self, rows: Rows, keys: Keys, codes: Bytes, layout: ListLayout) -> Output:
        """The rows of one batch, after the header if it is the first."""
        header = Output(b"") if self._is_header_out else self._header(layout)
        is_kept = codes == DELIVER_CODE
        wanted = {RowChoice.DELIVER: is_kept, RowChoice.REFUSED: ~is_kept, RowChoice.ALL: np.ones_like(is_kept)}
        chosen = wanted[self._options.rows]
        if self._options.output_columns:
            places = np.flatnonzero(chosen).tolist()
            written = b"".join([self._render(rows, keys, codes, layout, place) for place in places])
        else:
            written = rows.copy(chosen)
        refused = b""
        if self._options.refused_apart:
            places = np.flatnonzero(~is_kept).tolist()
            refused = b"".join(
                [layout.record_with(rows.record(place), _verdict_values(rows, codes, place)) for place in places]
            )
        return Output(header.rows + written, header.refused + refused)

    def finish(self, layout: ListLayout | None) -> Output | None:
        """The header, where no batch has brought it: a list of a header alone."""
        return None if self._is_header_out or layout is None else self._header(layout)

    def _header(self, layout: ListLayout) -> Output:
        self._is_header_out = True
        added = self._options.output_columns
        rows = layout.header_with(added) if added else layout.header_record or b""
        return Output(rows, layout.header_with(VERDICT_COLUMNS) if self._options.refused_apart else b"")

    def _render(self, rows: Rows, keys: Keys, codes: Bytes, layout: ListLayout, place: int) -> bytes:
        values: list[str] = []
        if self._options.links:
            values += self._link_values(rows, keys, codes, place)
        if self._options.rows is not RowChoice.DELIVER:
            values += _verdict_values(rows, codes, place)
        return layout.record_with(rows.record(place), values)

    def _link_values(self, rows: Rows, keys: Keys, codes: Bytes, place: int) -> tuple[str, str, str]:
        cell = rows.cell(place)
        if self._links is None or cell is None or codes[place] != DELIVER_CODE:
            return _NO_LINKS
        # Only what could be read as an address is delivered, and that is the cell without the space around it.
        links = self._links.make(cell.decode().strip(ASCII_SPACE), Fingerprint(keys.match[place].tobytes()))
        return links.unsubscribe_url, links.preferences_url, links.return_path


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
