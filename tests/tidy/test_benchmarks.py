"""What benchmarks/ promises: every figure is one command, and stands in docs/performance.md with what it says."""

import ast
import re

import pytest

from tests.processes import ROOT

FOLDER = ROOT / "benchmarks"
PAGE = (ROOT / "docs" / "performance.md").read_text()
MODULES = {path.stem for path in FOLDER.glob("[a-z]*.py")}


def read_names():
    """The names of scripts/bench and the module of each, read without what benchmarks alone need installed."""
    for node in ast.parse((FOLDER / "__main__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "BENCHMARKS":
            return ast.literal_eval(node.value)
    raise AssertionError


def test_every_benchmark_has_a_name():
    assert set(read_names().values()) == MODULES


@pytest.mark.parametrize(("name", "module"), read_names().items())
def test_every_benchmark_says_what_it_measures_and_stands_on_the_page(name, module):
    body = ast.parse((FOLDER / f"{module}.py").read_text())
    assert ast.get_docstring(body).partition("\n")[0].endswith(".")
    assert f"`scripts/bench {name}" in PAGE
    assert f"### {name}" in PAGE


def test_the_page_names_no_benchmark_that_is_not_there():
    named = set(re.findall(r"`scripts/bench ([a-z-]+)", PAGE)) - {"list"}
    assert named == set(read_names())


def test_benchmarks_assert_no_times():
    # A machine that is busy must fail nothing; what is asserted is what was kept, never how fast.
    timed = re.compile(r"assert [^\n]*(seconds|perf_counter|rate|_ms)\b")
    assert [path.name for path in FOLDER.rglob("*.py") if timed.search(path.read_text())] == []
