"""From the start of a process to its first right answer, the index file being there.

A further web process on the list of a running service; the whole service with its PostgreSQL; and, to be judged by,
a Python process with an aiohttp server and nothing else.
"""

from time import perf_counter

from benchmarks.common.bare import serving_bare
from benchmarks.common.data import Lists
from benchmarks.common.home import prepare_home, serving_list
from benchmarks.common.measure import interleave
from benchmarks.common.options import Options
from benchmarks.common.report import Report, Table
from benchmarks.common.service import serving, serving_web, wait_for_verdict


def run(options: Options, lists: Lists) -> Report:
    """Measure, in seconds."""
    listed = lists.sample(1, are_hits=True)[0]
    home = prepare_home(options, lists)

    def start_web(api_key: str) -> float:
        started = perf_counter()
        with serving_web(home, api_key) as web:
            wait_for_verdict(web, listed)
            return perf_counter() - started

    def start_bare() -> float:
        started = perf_counter()
        with serving_bare(options.stage):
            return perf_counter() - started

    def start_service() -> float:
        started = perf_counter()
        with serving(home) as service:
            wait_for_verdict(service.web, listed)
            return perf_counter() - started

    with serving_list(options, lists) as service:
        api_key = service.web.api_key
        contestants = {"forbear web": lambda: start_web(api_key), "aiohttp alone": start_bare}
        values = interleave(contestants, options.runs)
    whole = interleave({"forbear start, with PostgreSQL": start_service}, options.runs)
    tables = [Table("s", values, is_rate=False), Table("s", whole, is_rate=False)]
    return Report("start-up: a process until its first right answer", tables)
