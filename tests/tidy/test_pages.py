"""The pages of the documentation hold together, and say nothing that they should not."""

import os
import re
import subprocess
import sys

import pytest
from typer.main import get_command

from forbear.cli import app
from forbear.config import SECRETS, Settings, name_variable
from forbear.domain.wide_domains import WIDE_DOMAINS
from tests.documentation import PAGES, list_anchors, list_links
from tests.processes import ROOT

# What is about the spellings of addresses has to name those that exist.
ABOUT_SPELLINGS = {
    "tests/addresses.py",
    "tests/samples/addresses.tsv",
    "tests/unit/test_address.py",
    "tests/unit/test_address_properties.py",
}
EXAMPLES = re.compile(r"(?:.+\.)?(?:example|test|invalid|localhost|example\.(?:com|net|org))")
FOREIGN_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|Users|mnt)/\w")
NOT_OUR_WORDS = re.compile(r"\b(?:black|block|white|allow|deny)_?-?lists?\b", re.IGNORECASE)
COMMAND = re.compile(r"(?:^|[`/ (])forbear ([a-z][a-z-]+)(?: ([a-z]+))?", re.MULTILINE)
TEXTS = {".md", ".py", ".sql", ".csv", ".html", ".toml", ".sh", ".tsv", ""}


def list_files() -> list[str]:
    """The files of the project, those that are not yet committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).suffix in TEXTS and (ROOT / name).is_file()]


def test_pages_made_from_the_program_are_as_it_is_now():
    command = [sys.executable, "scripts/_docs.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in list_links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in list_anchors(target), link


def test_every_page_can_be_found_from_the_readme():
    found, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        found.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in list_links(page) if "://" not in link]
        left += [target for target in targets if target.suffix == ".md" and target not in found]
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= found


def test_no_address_of_anybody_stands_anywhere():
    pattern = re.compile(r"[\w.%+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})\b")
    for name in list_files():
        if name in ABOUT_SPELLINGS:
            continue
        allowed = WIDE_DOMAINS if name.startswith(("tests/", "src/")) else {}
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
            for domain in pattern.findall(line):
                assert EXAMPLES.fullmatch(domain.lower()) or domain.lower() in allowed, f"{name}:{number}: {domain}"


def test_one_word_stands_for_one_thing():
    for name in list_files():
        if not name.startswith(("tests/", "docs/glossary.md")):
            found = NOT_OUR_WORDS.search((ROOT / name).read_text(errors="replace"))
            assert not found, f"{name}: {found[0]}"


def test_no_path_of_a_machine_stands_anywhere():
    for name in list_files():
        if name != "tests/tidy/test_pages.py":
            found = FOREIGN_PATH.search((ROOT / name).read_text(errors="replace"))
            assert not found, f"{name}: {found[0]}"


def test_pages_name_only_settings_that_exist():
    known = {name_variable(name) for name in Settings.model_fields} | {f"{name}_FILE" for name in SECRETS}
    for page in PAGES:
        named = set(re.findall(r"\b(?:FORBEAR_[A-Z][A-Z_]+[A-Z]|DATABASE_URL(?:_FILE)?)\b", page.read_text()))
        assert named <= known, f"{page.name}: {named - known}"


def test_pages_name_only_commands_that_exist():
    group = get_command(app)
    for page in PAGES:
        for words in COMMAND.findall(_code_of(page.read_text())):
            command = group.commands.get(words[0])
            assert command is not None, f"{page.name}: forbear {words[0]}"
            children = getattr(command, "commands", None)
            assert children is None or not words[1] or words[1] in children, f"{page.name}: {words}"


def _code_of(text: str) -> str:
    """What is written as code: blocks, indented lines and spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    .+$", text, re.MULTILINE)
    spans = re.findall(r"`[^`\n]+`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *indented, *spans])
