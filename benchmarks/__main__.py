"""`scripts/bench NAME [options]`: measures one figure and prints it as it stands in docs/performance.md."""

import os
import signal
import sys
from importlib import import_module

from benchmarks.common.data import prepare_lists
from benchmarks.common.options import parse_options
from benchmarks.common.report import print_report

BENCHMARKS = {
    "bounces": "bounces",
    "check-many": "check_many",
    "check-one": "check_one",
    "effect": "effect",
    "event-loop": "event_loop",
    "import": "import_list",
    "index-build": "index_build",
    "one-click": "one_click",
    "scrub-file": "scrub_file",
    "scrub-http": "scrub_http",
    "scrub-links": "scrub_links",
    "start-up": "start_up",
}


def main() -> None:
    """Run the command line."""
    options = parse_options(sys.argv[1:], list(BENCHMARKS))
    if options.name == "list":
        for name, module in BENCHMARKS.items():
            described = str(import_module(f"benchmarks.{module}").__doc__).partition("\n")[0]
            print(f"{name:<12} {described}")
        return
    # What was started must end with us, so that the block around it gets to run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    benchmark = import_module(f"benchmarks.{BENCHMARKS[options.name]}")
    lists = prepare_lists(options) if getattr(benchmark, "NEEDS_LISTS", True) else None
    load_before = os.getloadavg()[0]
    print_report(benchmark.run(options, lists), options, load_before)


if __name__ == "__main__":
    main()
