"""The reference pages name everything that the program has, and nothing that it has not."""

import ast
import re

import pytest
import typer
from prometheus_client import Counter, Gauge, Histogram

from forbear.cli.running import EXIT_BAD_INPUT, EXIT_TRY_AGAIN, run
from forbear.domain import errors
from forbear.domain.suppression import Channel, Outcome, Purpose, Reason, Source
from forbear.index.send_list import FAULT_WORDS
from forbear.services.api_keys import Permission
from forbear.web import contact_models, intake_models, metrics, models
from forbear.web.app import make_app
from forbear.web.errors import OTHER_PROBLEMS, STATUS, word_of
from forbear.web.keys import WebOptions
from tests.documentation import list_words, read_page, read_section, read_table
from tests.processes import ROOT

API, OPERATING = "docs/api.md", "docs/operating.md"
SOURCES = sorted((ROOT / "src" / "forbear").rglob("*.py"))


def list_tree(kind: type = errors.ForbearError) -> list[type[errors.ForbearError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in list_tree(child))]


def words_in_column(text: str, column: int = 0) -> list[str]:
    return [word for row in read_table(text) for word in list_words(row[column])]


# Errors


@pytest.mark.parametrize("kind", list_tree(), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code(kind):
    async def fail(_settings):
        raise kind

    with pytest.raises(typer.Exit) as caught:
        run(fail)
    wanted = EXIT_TRY_AGAIN if issubclass(kind, errors.TryAgain) else EXIT_BAD_INPUT
    assert caught.value.exit_code == wanted


def test_every_problem_is_documented_with_its_status():
    known = {word_of(kind()): int(status) for kind, status in STATUS.items()}
    known |= {word: int(status) for word, (status, _) in OTHER_PROBLEMS.items()}
    rows = [row for row in read_table(read_section(API, "Errors")) if row[0].isdecimal()]
    assert {word: int(row[0]) for row in rows for word in list_words(row[1])} == known


def test_exit_codes_are_documented():
    codes = set(map(int, re.findall(r"\*\*(\d+)\*\*", read_section(OPERATING, "Messages and what to do"))))
    assert codes == {0, EXIT_BAD_INPUT, 2, EXIT_TRY_AGAIN, 130}


def test_every_message_about_the_installation_is_documented():
    kinds = {"Misconfigured", "WrongKeys", "ListUnavailable", "Busy"}
    section = read_section(OPERATING, "Messages and what to do")
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[text, *_])) if (
                    name in kinds and _constants_of(text)
                ):
                    part = _telling_part(_constants_of(text))
                    assert part in section, f"{path.name}:{node.lineno}: {part}"


def _constants_of(text: ast.expr) -> list[str]:
    """The constant parts of a message."""
    return [part.value for part in ast.walk(text) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _telling_part(constants: list[str]) -> str:
    """The first part of a message that is long enough to know it by."""
    parts = [part.strip(" ,.:(") for constant in constants for part in re.split(r"[:;\n(]", constant)]
    return next((part for part in parts if len(part) > 12), max(parts, key=len))


# The API


async def test_every_route_is_documented(context):
    options = WebOptions(1024, 1, 0, 1, 1.0, (), None)
    app = make_app(context, options)
    text = read_page(API)
    for route in app.router.routes():
        path = re.sub(r"\{slash[^}]*\}|\{token[^}]*\}", "{token}", route.resource.canonical)
        path = re.sub(r"\{(\w+):(?:[^{}]|\{[^{}]*\})*\}", r"{\1}", path).replace("/undo{token}", "/undo")
        if route.method in {"*", "HEAD"}:
            continue
        assert f"{route.method} {path}" in text or (route.method == "PUT" and "`PUT` is the same" in text), path


def test_every_field_of_a_body_is_documented():
    text = read_page(API)
    known = {**vars(models), **vars(contact_models), **vars(intake_models)}
    bodies = [kind for kind in known.values() if isinstance(kind, type) and hasattr(kind, "model_fields")]
    for kind in bodies:
        for field in kind.model_fields:
            assert f'"{field}"' in text or f"`{field}`" in text, f"{kind.__name__}.{field}"


def test_permissions_are_those_of_the_program():
    assert sorted(words_in_column(read_section(API, "API keys"))) == sorted(Permission)


@pytest.mark.parametrize(("kind", "names"), [(Reason, "reason"), (Source, "source")])
def test_reasons_and_sources_are_those_of_the_program(kind, names):
    tables = re.split(r"\n\n", read_section(API, "Reasons and sources"))
    (table,) = [text for text in tables if text.startswith(f"| {names} |")]
    assert sorted(words_in_column(table)) == sorted(kind)


@pytest.mark.parametrize("kind", [Purpose, Channel, Outcome, Reason, Source])
def test_the_glossary_names_every_value(kind):
    text = read_page("docs/glossary.md")
    assert [value for value in kind if f"`{value}`" not in text] == []


def test_reasons_of_rows_without_a_verdict_are_documented():
    rows = list(read_table(read_section(API, "Which rows")))
    words = {word for row in rows for word in list_words(row[1]) if list_words(row[0]) == ["invalid"]}
    assert words == {"invalid_address", "not_utf8", *FAULT_WORDS.values()}


# What operators see


def test_log_lines_are_those_of_the_program():
    logged = set()
    for path in SOURCES:
        logged |= set(re.findall(r"(?:\blog|get_logger\(\)\.\w+|_log\.\w+)\(\s*\"([a-z_]+)\"", path.read_text()))
    assert set(words_in_column(read_section(OPERATING, "Logs"))) == logged


def test_metrics_are_those_of_the_program():
    ours = {}
    for item in vars(metrics).values():
        if isinstance(item, Counter | Gauge | Histogram):
            (described,) = item.describe()
            ours[described.name + ("_total" if described.type == "counter" else "")] = list(item._labelnames)
    rows = read_table(read_section(OPERATING, "Metrics"))
    assert {name: list_words(row[1]) for row in rows for name in list_words(row[0])} == ours
