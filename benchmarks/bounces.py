"""Bounces read and classified, and how often rightly, beside what "class 5 is a hard bounce" says.

The rival is the standard library's parser with the rule that most programs have. Both read the labelled corpus that
lies beside the project, in one thread.
"""

import email
import email.policy
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.common.data import Lists
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table, render_rows
from forbear.feedback import classification
from forbear.feedback.reader import read_feedback
from tests.bounces import ABSENT, CORPUS, FIRST, SECOND, Outcome, Score, count, list_outcomes, read_labels, read_mails

NEEDS_LISTS = False
ROUNDS, SMALL_ROUNDS = 10, 2
_CLASS_5 = re.compile(r"^Status:\s*5\.\d", re.IGNORECASE | re.MULTILINE)
_ANY_CLASS_5 = re.compile(r"\b5\.\d{1,3}\.\d{1,3}\b|\b55\d\b", re.MULTILINE)


def run(options: Options, _lists: Lists | None) -> Report:
    """Measure, in mails a second."""
    if not Path(CORPUS).is_dir():
        raise SystemExit(ABSENT)
    mails = list(read_mails().values())
    rounds = SMALL_ROUNDS if options.is_small else ROUNDS
    contestants = {"forbear": read_feedback, "email, and class 5 is hard": is_class_5}
    values = interleave({name: partial(_read, read, mails, rounds) for name, read in contestants.items()}, options.runs)
    size = sum(map(len, mails)) / len(mails)
    notes = [f"{len(mails)} mails of {size:,.0f} bytes on average, {rounds} times a run, in one thread"]
    outcomes = list_outcomes()
    tables = [_compare(outcomes), _list_causes(outcomes)]
    return Report("bounces: read and classified", [Table("mails/s", values)], notes, tables, has_lists=False)


def is_class_5(raw: bytes) -> bool:
    """What a program without rules says: hard, where any code of class 5 stands in the report."""
    mail = email.message_from_bytes(raw, policy=email.policy.compat32)
    for part in mail.walk():
        if part.get_content_type() == "message/delivery-status":
            return _CLASS_5.search("\n".join(map(str, part.get_payload()))) is not None
    return _ANY_CLASS_5.search(raw.decode("latin-1")) is not None


def _read(read: Callable[[bytes], object], mails: list[bytes], rounds: int) -> float:
    started = perf_counter()
    for _ in range(rounds):
        classification._find_rule.cache_clear()  # noqa: SLF001 - no mail may be helped by its own last reading
        for raw in mails:
            read(raw)
    return rounds * len(mails) / (perf_counter() - started)


def _compare(outcomes: list[Outcome]) -> str:
    rows = [["which mails", "precision", "recall", "hard", "said in vain", "missed"]]
    rows += [_show(half, count([outcome for outcome in outcomes if outcome.half == half])) for half in (FIRST, SECOND)]
    rows += [_show("all", count(outcomes)), _show("all, class 5 is hard", count(_ask_rival()))]
    return render_rows(rows)


def _ask_rival() -> list[Outcome]:
    mails = read_mails()
    return [
        Outcome("", row["reason"], row["hardbounce"] == "true", is_class_5(mails[name]))
        for name, rows in read_labels().items()
        for row in rows
    ]


def _show(name: str, score: Score) -> list[str]:
    sizes = (score.found + score.missed, score.wrong, score.missed)
    return [name, f"{score.precision:.3f}", f"{score.recall:.3f}", *map(str, sizes)]


def _list_causes(outcomes: list[Outcome]) -> str:
    rows = [["labelled as", "outcomes", "labelled hard", "said to be hard"]]
    for cause in sorted({outcome.cause for outcome in outcomes}):
        chosen = [outcome for outcome in outcomes if outcome.cause == cause]
        hard, said = sum(outcome.is_hard for outcome in chosen), sum(outcome.is_said for outcome in chosen)
        rows.append([cause, *map(str, (len(chosen), hard, said))])
    return render_rows(rows)
