"""A second way to cut a list: the csv module alone, record by record, to compare the kernels with."""

from __future__ import annotations

import numpy as np

from forbear.index.list_records import parse_lines
from forbear.index.send_list import ListReader, _check_lines_within, _Cut, _pick_cell


class CsvListReader(ListReader):
    """Reads a list without any kernel."""

    def _cut(self, data, start, end, layout, first_row):
        lines = data[start:end].tobytes().splitlines(keepends=True)
        place, read, blank_lines = start, 0, 0
        edges, cells, faults = [], [], []
        for line_number, fields, is_open in parse_lines(lines, layout.delimiter):
            if is_open:
                break
            record = b"".join(lines[read:line_number])
            read = line_number
            if fields:
                _check_lines_within(record, layout, first_row + len(edges))
                cell, fault = _pick_cell(fields, layout)
                edges.append((place, place + len(record)))
                cells.append(cell)
                faults.append(fault)
            else:
                blank_lines += 1
            place += len(record)
        starts, ends = np.array(edges, dtype=np.int64).reshape(-1, 2).T
        return _Cut(starts, ends, *_join(data, cells), np.array(faults, dtype=np.uint8), place, read, blank_lines)


def _join(data, cells):
    """All cells behind the data, and where each lies."""
    found = [b"" if cell is None else cell for cell in cells]
    ends = len(data) + np.cumsum([len(cell) for cell in found], dtype=np.int64)
    starts = ends - np.array([len(cell) for cell in found], dtype=np.int64)
    starts[[cell is None for cell in cells]] = -1
    return np.concatenate([data, np.frombuffer(b"".join(found), dtype=np.uint8)]), starts, ends
