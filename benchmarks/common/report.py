"""Tables as they stand in docs/performance.md: medians, the span of the runs, ratios, and what else was going on."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.common.options import Options
from tests.processes import ROOT


@dataclass(slots=True)
class Table:
    """One figure: every contestant's runs, of which the first is ours."""

    unit: str
    values: Mapping[str, Sequence[float]]
    is_rate: bool = True
    """Whether more is better."""
    more: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further columns: heading -> contestant -> cell."""

    def render(self) -> str:
        """The table in Markdown."""
        rows = [["what", f"median, {self.unit}", "from", "to", "ratio", *self.more]]
        ours = median(next(iter(self.values.values())))
        for name, values in self.values.items():
            theirs = median(values)
            ratio = ours / theirs if self.is_rate else theirs / ours
            extra = [cells.get(name, "") for cells in self.more.values()]
            rows.append([name, *map(show, (theirs, min(values), max(values))), f"{ratio:.2f}", *extra])
        return render_rows(rows)


@dataclass(slots=True)
class Report:
    """What one benchmark has found."""

    title: str
    tables: list[Table]
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Tables of another form, rendered."""
    has_lists: bool = True
    """Whether the number of entries means anything."""


def print_report(report: Report, options: Options, load_before: float) -> None:
    """Print a report with what is needed to judge it."""
    print(f"### {report.title}\n")
    print(f"`{_describe_command(options)}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_describe_commit()}; ", end="")
    entries = f"{options.entries:,} entries, " if report.has_lists else ""
    print(f"{entries}{options.runs} runs in turns. {describe_machine()}", end=" ")
    print(f"Load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after.\n")
    for table in (*(table.render() for table in report.tables), *report.others):
        print(table + "\n")
    if report.tables:
        print("The ratio says how many times as good as that line the first line is.")
    for note in report.notes:
        print(f"- {note}")


def render_rows(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table; numbers to the right."""
    marks = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], marks, *rows[1:]))


def show(value: float) -> str:
    """Write a number with three or four digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


def show_bytes(value: float) -> str:
    """Write a size."""
    return f"{value / 1024**2:,.0f} MiB"


def describe_machine() -> str:
    """Name processor, cores, memory and versions."""
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"{cpu.partition(':')[2].strip()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}."
    )


def _describe_command(options: Options) -> str:
    return " ".join(("scripts/bench", options.name, *options.given))


def _describe_commit() -> str:
    arguments = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return f"commit {found.stdout.strip()}" if found.returncode == 0 else "not from a repository"
