"""Every mail of tests/samples/feedback comes to what the JSON beside it says: a new pair is a new test."""

import json

import pytest

from forbear.cli.feedback import describe_mail
from tests.processes import ROOT

FOLDER = ROOT / "tests" / "samples" / "feedback"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.eml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_a_sample_comes_to_what_is_written_beside_it(path, ending):
    raw = path.read_bytes().replace(b"\n", ending)
    assert describe_mail(raw) == json.loads(path.with_suffix(".json").read_text())


def test_every_expectation_has_its_mail():
    assert {path.stem for path in FOLDER.glob("*.json")} == {path.stem for path in FOLDER.glob("*.eml")}
