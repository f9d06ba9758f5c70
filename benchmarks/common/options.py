"""What a run is asked to do, the same for every benchmark."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT

ENTRIES, ROWS = 20_000_000, 10_000_000
SMALL_ENTRIES, SMALL_ROWS = 200_000, 100_000
SECONDS, SMALL_SECONDS = 5.0, 2.0
RUNS = 5


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes, and where lists and data folder are kept from one run to the next."""

    name: str
    entries: int
    rows: int
    hits: float
    """The share of rows that are on the list."""
    take: int
    """How many of the rows are filtered; the list of entries stays whole."""
    runs: int
    seconds: float
    """How long one run of a load test takes."""
    load: str
    folder: Path
    is_small: bool
    given: tuple[str, ...]
    """The options as they were written, but for the folder."""

    @property
    def stage(self) -> Path:
        """The folder of everything that belongs to these sizes."""
        return self.folder / f"{self.entries}-{self.rows}-{round(self.hits * 1000)}"


def parse_options(arguments: Sequence[str], names: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure one figure of docs/performance.md.")
    parser.add_argument("name", choices=[*names, "list"], metavar="NAME", help="one of: list, " + ", ".join(names))
    parser.add_argument("--small", action="store_true", help="small lists and short runs: a minute, no figures")
    parser.add_argument("--entries", type=int, help=f"entries on the list ({ENTRIES:,})")
    parser.add_argument("--rows", type=int, help=f"rows of the send list ({ROWS:,})")
    parser.add_argument("--hits", type=float, default=0.1, help="share of the rows that are on the list (0.1)")
    parser.add_argument("--take", type=int, help="filter only so many of the rows")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each contestant ({RUNS})")
    parser.add_argument("--seconds", type=float, help=f"length of one run of a load test ({SECONDS:.0f})")
    parser.add_argument(
        "--load",
        choices=("copy", "import"),
        default="copy",
        help="how the list is filled, once: by COPY with the program's own fingerprints, or by forbear import",
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "bench", help="where lists are kept (var/bench)")
    chosen = parser.parse_args(arguments)
    rows = chosen.rows or (SMALL_ROWS if chosen.small else ROWS)
    return Options(
        name=chosen.name,
        entries=chosen.entries or (SMALL_ENTRIES if chosen.small else ENTRIES),
        rows=rows,
        hits=chosen.hits,
        take=min(chosen.take or rows, rows),
        runs=chosen.runs,
        seconds=chosen.seconds or (SMALL_SECONDS if chosen.small else SECONDS),
        load=chosen.load,
        folder=chosen.folder.absolute(),
        is_small=chosen.small,
        given=_leave_out_folder(arguments[1:]),
    )


def _leave_out_folder(arguments: Sequence[str]) -> tuple[str, ...]:
    """Leave out where the lists are kept, which is nobody's business but this machine's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--folder")
    return tuple(parser.parse_known_args(arguments)[1])
