"""The lists that are filtered: invented, alike in kind to those of tests.make, and the same for the same sizes.

DuckDB makes them in seconds. Every address occurs once and every row is an ordinary one, because the rivals neither
find duplicates nor take odd rows apart: what all contestants keep can then be compared row for row. A third of the
addresses are at large providers, every 37th is in capitals.

A number stands for an address: rows are 0 to ROWS - 1, and the list of entries holds a share of them and as many
other numbers as it takes.
"""

import json
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import duckdb

from benchmarks.common.options import Options
from tests.make import CITIES, GIVEN_NAMES, LANGUAGES, NOUNS, PROVIDERS, SEPARATORS

VERSION = 2
"""Goes up when other lists are made, so that those made before are not used."""
REASONS = {"unsubscribe": 70, "hard_bounce": 25, "complaint": 5}
"""Reasons of the entries, in parts of a hundred."""
NEW_FROM, NEW_A_SECOND = 1_000_000_000, 1_000_000
"""Numbers from here on are on no list: those who unsubscribe, or are imported, in a run; every second has others."""
FACTS = "lists.json"
COLUMNS = ("email", "name", "language", "city", "customer_id")


@dataclass(frozen=True)
class Lists:
    """The files of one stage."""

    folder: Path
    rows: int
    entries: int
    hits: int

    @property
    def send(self) -> Path:
        """The send list: CSV with a header, the address in the first of five columns."""
        return self.folder / "send.csv"

    @property
    def plain(self) -> Path:
        """The addresses of the entries, lower case, one a line."""
        return self.folder / "entries.txt"

    def entries_of(self, reason: str) -> Path:
        """The addresses of the entries of one reason: CSV with a header."""
        return self.folder / f"entries-{reason}.csv"

    def take_rows(self, rows: int) -> tuple[Path, int]:
        """The first rows of the send list as a file of their own, and how many of them are not on the list."""
        if rows >= self.rows:
            return self.send, self.rows - self.hits
        path = self.folder / f"send-{rows}.csv"
        if not path.exists():
            aside = path.with_suffix(".aside")
            with self.send.open("rb") as source, aside.open("wb") as out:
                out.writelines(islice(source, rows + 1))
            aside.rename(path)
        found = self._connection.execute("SELECT count(*) FROM range(?) AS row (i) WHERE NOT is_hit(i)", [rows])
        return path, found.fetchone()[0]

    def sample(self, count: int, *, are_hits: bool | None = None) -> list[str]:
        """Addresses from all over the send list."""
        where = {None: "true", True: "is_hit(i)", False: "NOT is_hit(i)"}[are_hits]
        query = f"SELECT spell(i, address(i), 37) FROM range(?) AS row (i) WHERE {where} ORDER BY hash(i) LIMIT ?"  # noqa: S608 - ours
        return [row[0] for row in self._connection.execute(query, [self.rows, count]).fetchall()]

    def make_new(self, count: int) -> list[str]:
        """Addresses that are on no list, and were never made before."""
        first = NEW_FROM + int(time.time()) * NEW_A_SECOND
        query = "SELECT address(i) FROM range(?, ?) AS row (i) ORDER BY i"
        return [row[0] for row in self._connection.execute(query, [first, first + count]).fetchall()]

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return _connect(json.loads((self.folder / FACTS).read_text())["share"])


def prepare_lists(options: Options) -> Lists:
    """Make the lists of a stage, where they are not there yet."""
    folder = options.stage
    wanted = {"version": VERSION, "entries": options.entries, "rows": options.rows, "share": options.hits}
    facts = folder / FACTS
    made = json.loads(facts.read_text()) if facts.exists() else {}
    if {name: made.get(name) for name in wanted} != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        hits = _write_lists(folder, options)
        facts.write_text(json.dumps({**wanted, "hits": hits}))
        made = {"hits": hits}
    return Lists(folder, options.rows, options.entries, made["hits"])


def _write_lists(folder: Path, options: Options) -> int:
    """Write all files; return how many rows are on the list of entries."""
    lists = Lists(folder, options.rows, options.entries, 0)
    with _connect(options.hits) as connection:
        connection.execute(
            f"""COPY (
                SELECT spell(i, address(i), 37) AS email,
                    choose(given(), i, 'name') || ' ' || choose(nouns(), i, 'name') AS name,
                    choose({list(LANGUAGES)}, i, 'language') AS language, choose({CITIES}, i, 'city') AS city,
                    i + 1 AS customer_id
                FROM range({options.rows}) AS row (i)
            ) TO '{lists.send}' (HEADER)"""  # noqa: S608 - ours
        )
        connection.execute(
            f"CREATE TABLE hit AS SELECT i FROM range({options.rows}) AS row (i) WHERE is_hit(i)"  # noqa: S608 - ours
        )
        hits: int = connection.execute("SELECT count(*) FROM hit").fetchall()[0][0]
        if hits > options.entries:
            raise SystemExit("more rows would be on the list than it has entries")
        connection.execute(
            f"""CREATE TABLE entry AS
            SELECT i, address(i) AS address, choose_reason(i) AS reason
            FROM (
                SELECT i FROM hit
                UNION ALL
                FROM range({options.rows}, {options.rows + options.entries - hits})
            )"""  # noqa: S608 - ours
        )
        connection.execute(f"COPY (SELECT address FROM entry) TO '{lists.plain}' (HEADER false)")  # noqa: S608 - ours
        for reason in REASONS:
            connection.execute(
                f"""COPY (SELECT spell(i, address, 11) AS email FROM entry WHERE reason = '{reason}')
                TO '{lists.entries_of(reason)}' (HEADER)"""  # noqa: S608 - ours
            )
    return hits


def _connect(share: float) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the macros that make an address of a number."""
    connection = duckdb.connect()
    bounds = list(REASONS.values())
    connection.execute(
        f"""
        CREATE MACRO given() AS {GIVEN_NAMES};
        CREATE MACRO nouns() AS {NOUNS};
        CREATE MACRO choose(words, i, salt) AS words[1 + (hash(i, salt) % len(words))::INTEGER];
        CREATE MACRO domain(i) AS CASE hash(i, 'domain') % 3
            WHEN 0 THEN choose({["example.com", "example.org", "example.net", *PROVIDERS]}, i, 'large')
            ELSE choose(nouns(), i, 'small') || choose(nouns(), i, 'smaller') || '.example'
        END;
        CREATE MACRO address(i) AS choose(given(), i, 'given') || choose({list(SEPARATORS)}, i, 'separator')
            || choose(nouns(), i, 'noun') || i || '@' || domain(i);
        CREATE MACRO spell(i, address, rare) AS
            CASE hash(i, 'capitals') % rare WHEN 0 THEN upper(address) ELSE address END;
        CREATE MACRO is_hit(i) AS hash(i, 'hit') % 1000000 < {round(share * 1_000_000)};
        CREATE MACRO choose_reason(i) AS CASE
            WHEN hash(i, 'reason') % 100 < {bounds[0]} THEN 'unsubscribe'
            WHEN hash(i, 'reason') % 100 < {bounds[0] + bounds[1]} THEN 'hard_bounce'
            ELSE 'complaint'
        END;
        """
    )
    return connection
