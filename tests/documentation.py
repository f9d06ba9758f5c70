"""The documentation as tests read it."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.processes import ROOT

PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "scripts/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


@cache
def read_page(name: str) -> str:
    """The text of a page, by its path in the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def read_section(name: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = read_page(name)
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading {heading}"
    return found[1]


def read_table(text: str) -> Iterator[list[str]]:
    """The rows of the tables in a text, cell by cell; heads and rules are left out."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in _ROW.findall(text)]
    for row, following in zip(rows, [*rows[1:], [""]], strict=True):
        if set(row[0]) <= set("- ") or (following[0] and set(following[0]) <= set("- ")):
            continue
        yield row


def list_words(cell: str) -> list[str]:
    """The words in code marks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def list_anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    anchors: set[str] = set()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in anchors:
            number += 1
        anchors.add(anchor)
    return anchors


def list_links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", page.read_text(encoding="utf-8")))
