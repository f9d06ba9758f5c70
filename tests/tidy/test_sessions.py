"""What the documentation shows at a terminal is what comes out."""

import pytest

from tests.processes import ROOT
from tests.sessions import read_steps, run_page

PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if "```console" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_a_page_shows_what_comes_out(page, home):
    faults = await run_page(page, home.parent)
    assert not faults, "\n\n".join(faults)


def test_the_readme_tells_the_whole_story():
    commands = "\n".join(step.command for step in read_steps(ROOT / "README.md"))
    for part in ("scripts/forbear start", "/v1/scrubs", "List-Unsubscribe=One-Click", "scripts/forbear explain"):
        assert part in commands
