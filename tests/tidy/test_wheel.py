"""The wheel holds all that the program needs, and runs from where it was put."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.processes import ROOT

PACKAGE = ROOT / "src" / "forbear"
KEPT_OUT = {"__pycache__"}


def run(*arguments: object, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, arguments)),
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that the wheel was unpacked into."""
    built, folder = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built, folder=ROOT)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_every_file_of_the_package(installed):
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    wanted = [path for path in files if not KEPT_OUT & set(path.parts)]
    assert [str(path) for path in wanted if not (installed / "forbear" / path).is_file()] == []


def test_the_wheel_holds_all_sql(installed):
    wanted = [path.relative_to(ROOT / "sql") for path in (ROOT / "sql").rglob("*.sql")]
    assert wanted
    assert [str(path) for path in wanted if not (installed / "forbear" / "sql" / path).is_file()] == []


def test_the_program_runs_from_the_wheel_and_reads_its_own_files(installed, tmp_path):
    code = """
from forbear.store.queries import sql_folder
from forbear.store.server import read_migrations
from forbear.web.rendering import make_renderer
import forbear, forbear.cli
print(forbear.__file__, sql_folder(), len(read_migrations()), len(make_renderer().templates["fr"].list_templates()))
"""
    words = run(sys.executable, "-c", code, folder=tmp_path, PYTHONPATH=str(installed), PYTHONSAFEPATH="1").split()
    assert [Path(word).is_relative_to(installed) for word in words[:2]] == [True, True]
    assert all(int(word) > 0 for word in words[2:])


def test_the_wheel_has_the_command(installed):
    (entry_points,) = installed.glob("forbear-*.dist-info/entry_points.txt")
    assert "forbear = forbear.__main__:main" in entry_points.read_text()
