"""The corpus of labelled bounces beside the project: read in place, measured in halves."""

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass

from forbear.feedback.events import Effect, Feedback
from forbear.feedback.reader import read_feedback
from tests.processes import ROOT

CORPUS = ROOT.parent / "shared" / "corpora" / "bounces"
ABSENT = "the corpus of labelled bounces is not beside the project"
FIRST, SECOND = "half that rules were written with", "other half"


@dataclass(frozen=True)
class Outcome:
    """One labelled outcome: what should have been said, and what was."""

    half: str
    cause: str
    is_hard: bool
    is_said: bool


@dataclass(frozen=True)
class Score:
    """How many hard bounces were found, how many were said in vain, and how many were missed."""

    found: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.wrong)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)


def read_labels() -> dict[str, list[dict[str, str]]]:
    labels = defaultdict(list)
    with (CORPUS / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            labels[row["file"]].append(row)
    return labels


def read_mails() -> dict[str, bytes]:
    return {name: (CORPUS / "mails" / name).read_bytes() for name in read_labels()}


def list_outcomes() -> list[Outcome]:
    """Every labelled outcome beside ours of the same place in the report."""
    return [
        Outcome(_choose_half(name), row["reason"], row["hardbounce"] == "true", is_said)
        for name, rows in read_labels().items()
        for row, is_said in zip(rows, _say(name, len(rows)), strict=True)
    ]


def count(outcomes: list[Outcome]) -> Score:
    pairs = [(outcome.is_hard, outcome.is_said) for outcome in outcomes]
    return Score(pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False)))


def _say(name: str, wanted: int) -> list[bool]:
    found = read_feedback((CORPUS / "mails" / name).read_bytes())
    said = _list_hard(found)[:wanted]
    return said + [False] * (wanted - len(said))


def _list_hard(found: Feedback) -> list[bool]:
    return [outcome.verdict.effect is Effect.HARD_BOUNCE for outcome in found.outcomes]


def _choose_half(name: str) -> str:
    return SECOND if hashlib.sha256(name.encode()).digest()[0] % 2 else FIRST
