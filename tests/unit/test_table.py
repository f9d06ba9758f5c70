"""The index file and the overlay: every key is found, and no file that is not whole and ours is ever used."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zlib
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forbear.domain.suppression import Entry, Grant, Reason
from forbear.index.kernels.addresses import VALID
from forbear.index.kernels.table import CHANGING, look_up
from forbear.index.overlay import VERSION_MAX, Overlay, View
from forbear.index.rules import RuleBook
from forbear.index.table import _HEADER_BYTES, _PREFIX, BrokenIndex, Header, Origin, TableWriter, open_table
from tests.processes import ROOT

ORIGIN = Origin("keys", 1, "7500000000000000000 00000001")
HEADER = Header(ORIGIN, "100:200:", "mark", "2026-01-01T00:00:00+00:00", has_domains=False)
RULE_SETS = [(Entry(Reason.MANUAL, "*"),), (Grant("maison"), Entry(Reason.COMPLAINT, "maison/news"))]

# Whole keys, and keys alike in the bytes that choose their place.
crowded = st.builds(
    bytes.__add__, st.sampled_from([bytes(4), b"\xff" * 4, b"\x80\0\0\0"]), st.binary(min_size=12, max_size=12)
)
keys = st.binary(min_size=16, max_size=16) | crowded


def spread(count, salt=""):
    return sorted(hashlib.blake2s(f"{salt}{number}".encode(), digest_size=16).digest() for number in range(count))


def words(found):
    return np.frombuffer(bytearray(b"".join(found)), dtype=np.uint32).reshape(-1, 4)


def write(path, numbered, *, header=HEADER, keys_max=None, pieces=1):
    """Write a file of keys and numbers, in some pieces."""
    writer = TableWriter(path, header, len(numbered) if keys_max is None else keys_max)
    ordered = sorted(numbered)
    with closing(writer):
        for piece in np.array_split(np.arange(len(ordered)), pieces):
            chosen = [ordered[place] for place in piece]
            writer.add(words(chosen), np.array([numbered[key] for key in chosen], dtype=np.uint32))
        writer.finish(RuleBook(RULE_SETS))
    return path


def find(slots, homes, overlay, asked, view=None):
    numbers = np.zeros(len(asked), dtype=np.uint32)
    look_up(
        slots,
        homes,
        *(view or overlay.view()),
        words(asked),
        np.full(len(asked), VALID, dtype=np.uint8),
        VALID,
        numbers,
    )
    return dict(zip(asked, numbers.tolist(), strict=True))


def find_in(table, asked, overlay=None):
    return find(table.slots, table.home_slots, overlay or Overlay(), asked)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list-1.index"


# What is written is found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbered=st.dictionaries(keys, st.integers(1, 2**32 - 1), max_size=200),
    others=st.lists(keys, max_size=50),
    pieces=st.integers(1, 4),
    room=st.integers(0, 300),
)
def test_every_key_is_found_and_no_other(path, numbered, others, pieces, room):
    table = open_table(write(path, numbered, keys_max=len(numbered) + room, pieces=pieces), ORIGIN)
    assert len(table) == len(numbered)
    assert find_in(table, [*numbered, *others]) == dict.fromkeys(others, 0) | numbered
    assert table.book.rule_sets == RuleBook(RULE_SETS).rule_sets
    said = replace(table.header, keys=0, home_slots=0, slots=0, rules_bytes=0, checksum=0)
    assert said == HEADER


def test_a_hundred_thousand_keys_take_less_than_thirty_two_bytes_each(path):
    numbered = {key: number for number, key in enumerate(spread(100_000), 1)}
    table = open_table(write(path, numbered, pieces=7), ORIGIN)
    assert find_in(table, list(numbered)) == numbered
    assert not any(find_in(table, spread(100_000, "other")).values())
    assert path.stat().st_size < 32 * len(numbered)


def test_an_empty_table_holds_nothing(path):
    table = open_table(write(path, {}), ORIGIN)
    assert len(table) == 0
    assert not any(find_in(table, spread(100)).values())


def test_keys_that_are_all_alike_are_refused_when_there_is_no_room(path):
    alike = {b"\xff" * 8 + number.to_bytes(8, "big"): 1 for number in range(10_000)}
    with pytest.raises(BrokenIndex, match="unevenly"):
        write(path, alike)
    assert not path.exists()


def test_a_table_is_shared_with_whoever_opened_it_before_it_was_replaced(path):
    first, second = spread(10, "first"), spread(10, "second")
    old = open_table(write(path, dict.fromkeys(first, 1)), ORIGIN)
    new = open_table(write(path, dict.fromkeys(second, 2)), ORIGIN)
    assert find_in(old, first) == dict.fromkeys(first, 1)
    assert find_in(new, [*first, *second]) == dict.fromkeys(first, 0) | dict.fromkeys(second, 2)


# What is not whole, or not ours


@pytest.fixture
def written(path):
    return write(path, {key: number for number, key in enumerate(spread(300), 1)})


def refusal(path, origin=ORIGIN):
    with pytest.raises(BrokenIndex) as caught:
        open_table(path, origin)
    return caught.value.detail


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"key_check": "other"}, "key_check"),
        ({"canon_version": 2}, "canon_version"),
        ({"server": "7500000000000000000 00000002"}, "server"),
        ({"key_check": "other", "server": "other"}, "key_check, server"),
    ],
)
def test_a_file_of_another_list_is_refused_and_the_difference_named(written, change, named):
    assert refusal(written, replace(ORIGIN, **change)).endswith(f"another list: {named}")


@pytest.mark.parametrize("left", [0, 1, 15, 16, 100, 4095, 4096, 4097, 10_000, -1, -50, -100])
def test_a_file_that_is_cut_off_anywhere_is_refused(written, left):
    whole = written.read_bytes()
    written.write_bytes(whole[:left] if left >= 0 else whole[: len(whole) + left])
    refusal(written)


def test_a_file_that_has_grown_is_refused(written):
    with written.open("ab") as file:
        file.write(b"x")
    assert "has grown" in refusal(written)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_wherever_it_matters(written, data):
    whole = bytearray(written.read_bytes())
    header_end = _PREFIX.size + _PREFIX.unpack_from(whole)[1]
    regions = [(0, header_end), (_HEADER_BYTES, len(whole)), (len(whole) - 200, len(whole))]
    place = data.draw(st.one_of(*(st.integers(start, end - 1) for start, end in regions)))
    flipped = whole.copy()
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    written.write_bytes(flipped)
    try:
        refusal(written)
    finally:
        written.write_bytes(whole)


@pytest.mark.parametrize(
    "content", [b"", b"email,name\n" * 1000, b"FORBEAR1" + b"\xff" * 8000, b"FORBEAR1" + bytes(8000)]
)
def test_a_foreign_file_is_refused(path, content):
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("mark"),
        lambda values: values.update(new="field"),
        lambda values: values["origin"].pop("server"),
        lambda values: values.pop("origin"),
        lambda values: values.update(origin=[]),
    ],
)
def test_a_file_of_another_release_is_refused(written, change):
    whole = written.read_bytes()
    length = _PREFIX.unpack_from(whole)[1]
    values = json.loads(whole[_PREFIX.size : _PREFIX.size + length])
    change(values)
    content = json.dumps(values).encode()
    packed = _PREFIX.pack(b"FORBEAR1", len(content), zlib.crc32(content)) + content
    written.write_bytes(packed.ljust(_HEADER_BYTES, b"\0") + whole[_HEADER_BYTES:])
    refusal(written)


def test_a_file_with_rules_that_only_another_release_knows_is_refused(path, monkeypatch):
    monkeypatch.setattr(RuleBook, "as_json", lambda _book: [[["a_later_reason", "*"]]])
    write(path, dict.fromkeys(spread(3), 1))
    assert refusal(path).endswith("another release")


def test_what_is_no_file_is_refused(path):
    assert "cannot be read" in refusal(path)
    path.mkdir()
    assert "cannot be read" in refusal(path)


def test_a_header_that_has_no_room_for_its_position_is_refused(path):
    with pytest.raises(BrokenIndex, match="no room"):
        write(path, {}, header=replace(HEADER, position="1," * 3000))


# Interrupted


def test_what_was_not_finished_has_no_name_and_harms_nothing(written):
    whole = written.read_bytes()
    writer = TableWriter(written, HEADER, 10)
    writer.add(words(spread(5)), np.ones(5, dtype=np.uint32))
    writer.close()
    assert written.read_bytes() == whole
    assert len(open_table(written, ORIGIN)) == 300
    write(written, dict.fromkeys(spread(7), 1))
    assert len(open_table(written, ORIGIN)) == 7


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_a_process_that_is_killed_before_the_file_has_its_name_leaves_the_old_one(written, moment):
    script = f"""
import os, signal
import numpy as np
from pathlib import Path
from tests.unit import test_table

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

if {moment!r} == "fsync":
    os.fsync = die
else:
    Path.rename = die
test_table.write(Path({str(written)!r}), dict.fromkeys(test_table.spread(7), 1))
"""
    before = written.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": "src:."}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert written.read_bytes() == before
    assert len(open_table(written, ORIGIN)) == 300
    assert len(list(written.parent.iterdir())) == 2
    assert len(open_table(write(written, {}), ORIGIN)) == 0
    assert list(written.parent.iterdir()) == [written]


# What has changed since


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbered=st.dictionaries(keys, st.integers(1, 9), max_size=60),
    changes=st.lists(st.dictionaries(keys, st.integers(0, 2**32 - 2), max_size=400), max_size=6),
    others=st.lists(keys, max_size=30),
)
def test_the_overlay_goes_before_the_table(path, numbered, changes, others):
    table, overlay, model = open_table(write(path, numbered), ORIGIN), Overlay(), dict(numbered)
    for change in changes:
        overlay.put(words(change), np.array(list(change.values()), dtype=np.uint32))
        assert find_in(table, [*model, *change], overlay) == model | dict.fromkeys(change, CHANGING)
        overlay.show()
        model |= change
        assert find_in(table, [*model, *others], overlay) == dict.fromkeys(others, 0) | model
    assert len(overlay) == len({key for change in changes for key in change})


@pytest.mark.parametrize("start", [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"])
def test_an_overlay_whose_keys_crowd_in_one_place_still_finds_them(start):
    crowd = {start + number.to_bytes(12, "big"): number for number in range(1, 3000)}
    overlay = Overlay()
    for piece in np.array_split(np.arange(len(crowd)), 5):
        chosen = [list(crowd)[place] for place in piece]
        overlay.put(words(chosen), np.array([crowd[key] for key in chosen], dtype=np.uint32))
        overlay.show()
    assert len(overlay) == len(crowd)
    assert find(*_no_table(), overlay, list(crowd)) == crowd


def test_of_a_key_twice_in_one_change_the_last_counts():
    (key,) = spread(1)
    overlay = Overlay()
    overlay.put(words([key, key]), np.array([5, 7], dtype=np.uint32))
    overlay.show()
    assert len(overlay) == 1
    assert find(*_no_table(), overlay, [key]) == {key: 7}


def test_whoever_searches_while_changes_come_in_finds_all_that_were_in_before():
    steps = [spread(400, f"{step}:") for step in range(60)]
    overlay, is_done, faults = Overlay(), threading.Event(), []
    written = 0

    def search():
        while not is_done.is_set():
            known = written
            asked = [key for step in steps[:known] for key in step[::40]]
            if known and find(*_no_table(), overlay, asked) != dict.fromkeys(asked, 3):
                faults.append(known)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number, step in enumerate(steps, 1):
        overlay.put(words(step), np.full(len(step), 3, dtype=np.uint32))
        overlay.show()
        written = number
    is_done.set()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_view_keeps_its_moment_whatever_is_put_and_shown_since():
    old, new, more = spread(100, "old"), spread(100, "new"), spread(2000, "more")
    overlay = Overlay()
    overlay.put(words(old), np.full(100, 3, dtype=np.uint32))
    overlay.show()
    view = overlay.view()
    for step in (old[:50], new):
        overlay.put(words(step), np.full(len(step), 4, dtype=np.uint32))
        overlay.show()
        changing = dict.fromkeys([*old[:50], *new], CHANGING)
        found = find(*_no_table(), overlay, [*old, *step], view)
        assert found == {key: changing.get(key, 3) for key in [*old, *step]}
    # It grows into another table, of which the view knows nothing.
    overlay.put(words(more), np.full(len(more), 5, dtype=np.uint32))
    overlay.show()
    assert find(*_no_table(), overlay, more, view) == dict.fromkeys(more, 0)
    assert find(*_no_table(), overlay, [*old, *more]) == dict.fromkeys(old[:50], 4) | dict.fromkeys(
        old[50:], 3
    ) | dict.fromkeys(more, 5)


def test_versions_that_come_to_their_end_begin_again():
    overlay, keys = Overlay(), spread(300)
    table, slots, _ = overlay.view()
    overlay._view = View(table, slots, VERSION_MAX - 2)
    for number, key in enumerate(keys):
        overlay.put(words([key]), np.array([number], dtype=np.uint32))
        assert find(*_no_table(), overlay, [key]) == {key: CHANGING}
        overlay.show()
        known = keys[: number + 1]
        assert find(*_no_table(), overlay, known) == {key: number for number, key in enumerate(known)}
    assert overlay.view().version < 300
    assert len(overlay) == 300


def _no_table():
    slots = np.zeros((300, 5), dtype=np.uint32)
    slots.flags.writeable = False
    return slots, 1
