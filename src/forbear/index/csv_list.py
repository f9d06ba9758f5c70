"""A send list as CSV: what `send_list` reads, in the shape that a scrub sees, and written again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from forbear.index.list_layout import ListLayout, ListOptions
from forbear.index.list_rows import Rows
from forbear.index.send_list import ListReader


class CsvList:
    """Reads one list."""

    def __init__(self, options: ListOptions) -> None:
        self._reader = ListReader(options)

    @property
    def blank_lines(self) -> int:
        """Lines so far that are no rows."""
        return self._reader.blank_lines

    @property
    def layout(self) -> ListLayout:
        """How it is read; not before it gave rows."""
        if self._reader.layout is None:
            raise AssertionError("the layout is asked for before it is known")
        return self._reader.layout

    def feed(self, data: bytes) -> Rows | None:
        """Take the next bytes and return the rows that they complete. Raises InvalidList."""
        return self._reader.feed(data)

    def finish(self) -> Iterator[Rows]:
        """Give the rows that only the end completes. Raises InvalidList."""
        rows = self._reader.finish()
        if rows is not None:
            yield rows

    def open_writer(self, names: Sequence[str]) -> CsvWriter:
        """Write rows of this list, with columns added."""
        return CsvWriter(self.layout, names)


class CsvWriter:
    """Writes rows byte for byte as they came in, unless columns are added; the header before the first."""

    def __init__(self, layout: ListLayout, names: Sequence[str]) -> None:
        self._layout, self._has_more = layout, bool(names)
        self._header = layout.header_with(names) if names else layout.header_record or b""

    def write(self, rows: Rows, wanted: npt.NDArray[np.bool_], added: Sequence[Sequence[str]]) -> bytes:
        """The wanted rows."""
        header, self._header = self._header, b""
        if not self._has_more:
            return header + rows.copy(wanted)
        places = np.flatnonzero(wanted).tolist()
        extend, record = self._layout.record_with, rows.record
        return header + b"".join([extend(record(place), values) for place, values in zip(places, added, strict=True)])

    def finish(self) -> bytes:
        """The header, where no row has brought it: a list of a header alone."""
        header, self._header = self._header, b""
        return header
