"""Each promise says where it is kept, and has tests that are there."""

import re

import pytest

from tests.documentation import list_words, read_section, read_table
from tests.processes import ROOT

ROWS = list(read_table(read_section("docs/architecture.md", "Where each promise is kept")))
NOT_IN_THIS_RELEASE = {"P7"}


def promise_of(row: list[str]) -> str:
    return re.match(r"\*\*(P\d+)\*\*", row[0])[1]


def test_all_eleven_are_there():
    assert [promise_of(row) for row in ROWS] == [f"P{number}" for number in range(1, 12)]


@pytest.mark.parametrize("row", ROWS, ids=promise_of)
def test_a_promise_is_proved_by_tests_that_exist(row):
    if promise_of(row) in NOT_IN_THIS_RELEASE:
        return
    files = [ROOT / word for word in list_words(row[2])]
    assert files
    assert [str(path) for path in files if not path.is_file()] == []
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert f"def test_{promise_of(row).lower()}_" in tests


@pytest.mark.parametrize("row", ROWS, ids=promise_of)
def test_a_promise_is_kept_in_files_that_exist(row):
    names = [word for word in list_words(row[1]) if "/" in word]
    roots = (ROOT, ROOT / "src" / "forbear")
    assert [name for name in names if not any((root / name).is_file() for root in roots)] == []
