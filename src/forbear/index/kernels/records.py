"""Kernels that cut a CSV list into records, exactly as Python's csv module (not strict) would.

A list is read twice. The first pass finds its marks: delimiters, quotes, carriage returns, line feeds; nothing else
can mean anything. The second looks at the marks alone, so what lies between them costs nothing. Records of two shapes
are told by their marks at once: as many fields as the header, none of them quoted or all of them. Any other record is
followed field by field.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from forbear.index.kernels.blocks import BLOCK_BYTES, copy_bytes, count_ones, find_first, match_byte

NO_FAULT: Final = 0
MISSING_COLUMN: Final = 1
TOO_MANY_FIELDS: Final = 2
UNREAD: Final = 3
"""Faults of a record. The last is for the caller to settle: the address cell is not the bytes between its quotes, or
the record holds line breaks in quotes and text after a closing quote."""

_QUOTE, _LF, _CR = (ord(character) for character in '"\n\r')
_MARKS_AT_ONCE: Final = 8
_ONE: Final = np.uint64(1)


@njit(nogil=True, cache=True)
def count_marks(data, end, delimiter):
    """How many marks, and how many carriage returns and line feeds among them, stand before `end`."""
    marks, breaks = np.uint64(0), np.uint64(0)
    blocks_end = end - end % BLOCK_BYTES
    for block in range(0, blocks_end, BLOCK_BYTES):
        line_ends = match_byte(data, block, _LF) | match_byte(data, block, _CR)
        marks += count_ones(match_byte(data, block, delimiter) | match_byte(data, block, _QUOTE) | line_ends)
        breaks += count_ones(line_ends)
    for place in range(blocks_end, end):
        byte = data[place]
        marks += np.uint64(byte == delimiter or byte == _QUOTE or byte == _LF or byte == _CR)
        breaks += np.uint64(byte == _LF or byte == _CR)
    return marks, breaks


@njit(nogil=True, cache=True)
def find_marks(data, end, delimiter, marks):
    """Write the places of all marks before `end`; `marks` has room for a block more than there are."""
    found = np.uint64(0)
    blocks_end = end - end % BLOCK_BYTES
    for block in range(0, blocks_end, BLOCK_BYTES):
        line_ends = match_byte(data, block, _LF) | match_byte(data, block, _CR)
        mask = match_byte(data, block, delimiter) | match_byte(data, block, _QUOTE) | line_ends
        next_found = found + count_ones(mask)
        # So many fill a block hardly ever. Always writing them, even from an empty mask, spares a branch that the
        # processor cannot foresee; what is too much gets overwritten.
        for step in range(_MARKS_AT_ONCE):
            marks[found + np.uint64(step)] = np.uint64(block) + find_first(mask)
            mask &= mask - _ONE
        found += np.uint64(_MARKS_AT_ONCE)
        while mask != 0:
            marks[found] = np.uint64(block) + find_first(mask)
            mask &= mask - _ONE
            found += _ONE
        found = next_found
    for place in range(blocks_end, end):
        byte = data[place]
        if byte == delimiter or byte == _QUOTE or byte == _LF or byte == _CR:
            marks[found] = place
            found += _ONE


@njit(nogil=True, cache=True)
def read_records(
    data, start, end, marks, marks_count, delimiter, width, column,
    record_starts, record_ends, cell_starts, cell_ends, faults,
):  # fmt: skip
    """Cut whole lines into records, and find the cell of a column in each.

    Gives how many records there are, where the first begins whose quote is still open (else `end`), the lines and the
    blank lines before that, and how many records are UNREAD. A record without a usable cell has a negative start.
    """
    records, lines, blank_lines, unread = 0, 0, 0, 0
    place, mark = start, np.int64(0)
    while place < end:
        # All fields unquoted: delimiters, and a line end.
        last = mark + width - 1
        is_usual = last < marks_count
        if is_usual:
            for other in range(mark, last):
                is_usual &= data[marks[other]] == delimiter
            byte = data[marks[last]]
            is_usual &= (byte == _LF or byte == _CR) & (marks[last] > place)
        if is_usual:
            cell_start = place if column == 0 else marks[mark + column - 1] + 1
            cell_end, fault, mark = marks[mark + column], NO_FAULT, last
        else:
            byte = data[place]
            if byte == _LF or byte == _CR:
                place, mark = _pass_line_end(data, end, marks, mark)
                lines += 1
                blank_lines += 1
                continue
            # All fields quoted: for each two quotes, and right behind them a delimiter or a line end.
            last = mark + 3 * width - 1
            is_usual = last < marks_count
            if is_usual:
                begin = place
                for other in range(mark, last, 3):
                    closing = marks[other + 1]
                    is_usual &= (data[begin] == _QUOTE) & (data[closing] == _QUOTE) & (marks[other + 2] == closing + 1)
                    is_usual &= (data[closing + 1] == delimiter) | (other + 2 == last)
                    begin = closing + 2
                byte = data[marks[last]]
                is_usual &= byte == _LF or byte == _CR
            if is_usual:
                cell_start, cell_end = marks[mark + 3 * column] + 1, marks[mark + 3 * column + 1]
                fault, mark = NO_FAULT, last
            else:
                cell_start, cell_end, fault, mark, breaks = _follow_fields(
                    data, place, end, marks, mark, marks_count, delimiter, width, column
                )
                if mark < 0:
                    break
                lines += breaks
                unread += fault == UNREAD
        record_starts[records] = place
        cell_starts[records] = cell_start
        cell_ends[records] = cell_end
        faults[records] = fault
        if mark < marks_count:
            place, mark = _pass_line_end(data, end, marks, mark)
        else:
            place = end
        record_ends[records] = place
        records += 1
        lines += 1
    return records, place, lines, blank_lines, unread


@njit(forceinline=True)
def _pass_line_end(data, end, marks, mark):
    """The place and the mark behind the line end that a mark stands for; CR and LF together are one."""
    stop = marks[mark]
    is_pair = data[stop] == _CR and stop + 1 < end and data[stop + 1] == _LF
    return stop + 1 + is_pair, mark + 1 + is_pair


@njit(nogil=True, cache=True)
def _follow_fields(data, begin, end, marks, mark, marks_count, delimiter, width, column):
    """Read one record field by field, from its beginning and the first mark in it.

    Gives the start and end of the cell, the fault, the mark at which the record ends (`marks_count` when the list ends
    without a line end, negative when a quote is still open), and how many line breaks stand in quotes.
    """
    field, breaks, has_text_behind, is_exact = 0, 0, False, True
    cell_start, cell_end = np.int64(-1), np.int64(-1)
    while True:
        first, closing, is_plain = begin, np.int64(-1), True
        if mark < marks_count and marks[mark] == begin and data[begin] == _QUOTE:
            first += 1
            mark += 1
            while closing < 0 and mark < marks_count:
                place = marks[mark]
                byte = data[place]
                mark += 1
                if byte == _LF or byte == _CR:
                    breaks += 1
                    mark += byte == _CR and place + 1 < end and data[place + 1] == _LF
                elif byte == _QUOTE and place + 1 < end and data[place + 1] == _QUOTE:
                    mark += 1
                    is_plain = False
                elif byte == _QUOTE:
                    closing = place
            if closing < 0:
                return cell_start, cell_end, NO_FAULT, np.int64(-1), breaks
        # Quotes are ordinary text in a field that begins with none, and behind a closing one.
        while mark < marks_count and data[marks[mark]] == _QUOTE:
            mark += 1
        stop = marks[mark] if mark < marks_count else end
        if closing >= 0 and stop != closing + 1:
            has_text_behind, is_plain = True, False
        if field == column:
            cell_start, cell_end, is_exact = first, stop if closing < 0 else closing, is_plain
        field += 1
        if stop == end or data[stop] != delimiter:
            break
        begin = stop + 1
        mark += 1
    fault = NO_FAULT
    if breaks > 0 and has_text_behind:
        fault = UNREAD
    elif field > width:
        cell_start, fault = np.int64(-1), TOO_MANY_FIELDS
    elif field <= column:
        fault = MISSING_COLUMN
    elif not is_exact:
        fault = UNREAD
    return cell_start, cell_end, fault, mark, breaks


@njit(nogil=True, cache=True)
def count_wanted_bytes(record_starts, record_ends, wanted):
    """How long the wanted records are together."""
    size = 0
    for row in range(wanted.shape[0]):
        if wanted[row]:
            size += record_ends[row] - record_starts[row]
    return size


@njit(nogil=True, cache=True)
def copy_records(data, record_starts, record_ends, wanted, out):
    """Write the wanted records one after another; those that lie side by side go in one piece."""
    used, start, end = 0, np.int64(0), np.int64(0)
    for row in range(wanted.shape[0]):
        if not wanted[row]:
            continue
        if record_starts[row] != end:
            copy_bytes(data, start, end - start, out, used)
            used += end - start
            start = record_starts[row]
        end = record_ends[row]
    copy_bytes(data, start, end - start, out, used)
