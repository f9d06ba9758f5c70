"""What scripts/ promises to whoever looks there first."""

import os
import re

import pytest

from tests.processes import ROOT

SCRIPTS = sorted(
    path.name for path in (ROOT / "scripts").iterdir() if not path.name.startswith("_") and not path.suffix
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_can_be_run_and_is_listed(name):
    assert os.access(ROOT / "scripts" / name, os.X_OK)
    assert f"`scripts/{name}" in (ROOT / "scripts" / "README.md").read_text()


def test_what_the_checks_need_holds_all_that_the_program_needs():
    # scripts/forbear takes the one for the other, so a version must not differ between the two.
    wanted, held = (
        set(re.findall(r"^[\w.-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert wanted
    assert wanted <= held
