"""The data folder that holds the list of a stage: filled once, kept for later runs.

Two ways to fill it: `forbear import`, at whatever speed that has; or COPY, for quick set-up, in the order of the
fingerprints, with the program's own fingerprints and seals. Either way the list holds entry, event and sealed
address of every row. What is filled by COPY belongs to no batch.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import asyncpg
import numpy as np

from benchmarks.common.data import REASONS, Lists
from benchmarks.common.measure import run_process
from benchmarks.common.options import Options
from benchmarks.common.service import POLL_SECONDS, READY_SECONDS_MAX, Service, find_server_url, forbear, serving
from forbear.bootstrap import set_up
from forbear.config import read_settings
from forbear.domain.address import CANON_VERSION, Address, parse_intake
from forbear.domain.fingerprint import Kind
from forbear.domain.keys import Keyring, Use
from forbear.domain.suppression import Reason, Source, is_wide
from forbear.local.credentials import DATABASE
from forbear.local.lock import open_database
from forbear.services.key_file import read_key_file
from tests.folders import remove_home
from tests.processes import ROOT

PIECE_ROWS = 100_000
_ENTRY_COLUMNS = (
    *("fingerprint", "wide_fingerprint", "kind", "channel", "scope"),
    *("reason", "source", "canon_version", "since", "asserted_at"),
)
# Like an import, whose entries stand since the moment of the import.
_EVENTS = """
    INSERT INTO events (at, action, entry_id, fingerprint, channel, scope, reason, source, actor)
    SELECT since, 'asserted', id, fingerprint, channel, scope, reason, source, 'operator:bench' FROM entries
"""


def prepare_home(options: Options, lists: Lists) -> Path:
    """The data folder, filled now where it was not yet, or where the schema has changed since."""
    home, stamp = options.stage / "home", options.stage / "home.json"
    migrations = _digest_migrations()
    made = json.loads(stamp.read_text()) if stamp.exists() else {"migrations": {"none": ""}}
    # Migrations that have come since are applied by the start; one that is another now cannot be taken back.
    if not made["migrations"].items() <= migrations.items():
        stamp.unlink(missing_ok=True)
        remove_home(home)
        home.mkdir(parents=True, mode=0o711)
        _say(f"filling {home} with {options.entries:,} entries by {options.load}, this once")
        started = perf_counter()
        asyncio.run(_fill(home, lists, options))
        seconds = perf_counter() - started
        stamp.write_text(json.dumps({"migrations": migrations, "by": options.load, "seconds": seconds}))
        _say(f"filled in {seconds:.0f} s")
    return home


@contextmanager
def serving_list(options: Options, lists: Lists) -> Iterator[Service]:
    """Run the service with the list of a stage, ready and warm: one address was checked."""
    with serving(prepare_home(options, lists)) as service:
        hit, miss = lists.sample(1, are_hits=True)[0], lists.sample(1, are_hits=False)[0]
        found = service.web.check([hit, miss])
        assert found == ["suppress", "deliver"], f"the list is not the one that was filled: {found}"
        wait_for_index(service.home / "index")
        yield service


def wait_for_index(folder: Path) -> Path:
    """Wait until an index file has its name, and return it."""
    limit = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < limit:
        for path in folder.glob("*.index"):
            return path
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"no index file has appeared in {folder} within {READY_SECONDS_MAX:.0f} s")


async def _fill(home: Path, lists: Lists, options: Options) -> None:
    """Fill the list with nothing but its PostgreSQL running: nobody has to follow the changes."""
    async with open_database(read_settings(data=home)) as opened:
        await set_up(opened)
        assert opened.database_url
        if options.load == "import":
            await asyncio.to_thread(_import_all, home, lists)
        else:
            await _copy_all(opened.database_url, read_key_file(opened.keys_path), lists)
        await _vacuum(home)


def _import_all(home: Path, lists: Lists) -> None:
    for reason in REASONS:
        given = ("--reason", reason, "--scope", "*", "--yes", "--data", home)
        ended = run_process(forbear("import", lists.entries_of(reason), *given))
        _say(f"{reason}: {ended.seconds:.0f} s")


async def _copy_all(url: str, ring: Keyring, lists: Lists) -> None:
    connection = await asyncpg.connect(url)
    try:
        for reason in REASONS:
            addresses, fingerprints, order = await asyncio.to_thread(_fingerprint_file, ring, lists.entries_of(reason))
            for start in range(0, len(order), PIECE_ROWS):
                piece = order[start : start + PIECE_ROWS]
                rows = [(addresses[place].decode(), fingerprints[place].tobytes()) for place in piece]
                await _copy_piece(connection, ring, Reason(reason), rows)
            _say(f"{reason}: {len(order):,} entries are in")
        await connection.execute(_EVENTS)
    finally:
        await connection.close()


def _fingerprint_file(ring: Keyring, path: Path) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Addresses as they stand in a file, their fingerprints, and the order of the fingerprints."""
    lines = path.read_bytes().split(b"\n")[1:-1]
    fingerprinter = ring.fingerprints.email
    made = b"".join(fingerprinter.make(Kind.MATCH, (line.decode().lower() for line in lines)))
    fingerprints = np.frombuffer(made, dtype=np.uint8).reshape(-1, 16)
    halves = np.frombuffer(made, dtype=">u8").reshape(-1, 2)
    return np.array(lines), fingerprints, np.lexsort((halves[:, 1], halves[:, 0]))


async def _copy_piece(
    connection: asyncpg.Connection, ring: Keyring, reason: Reason, rows: list[tuple[str, bytes]]
) -> None:
    now, has_wide = datetime.now(UTC), is_wide(reason, Source.IMPORT)
    wides = _make_wides(ring, [address for address, _ in rows]) if has_wide else [None] * len(rows)
    entries = [
        (fingerprint, wide, "match", "email", "*", reason.value, "import", CANON_VERSION, now, now)
        for (_, fingerprint), wide in zip(rows, wides, strict=True)
    ]
    sealed = [(print_, ring.seal(Use.ADDRESS, address.encode(), print_)) for address, print_ in rows]
    async with connection.transaction():
        await connection.copy_records_to_table("entries", records=entries, columns=_ENTRY_COLUMNS)
        await connection.copy_records_to_table("addresses", records=sealed, columns=["fingerprint", "sealed"])


def _make_wides(ring: Keyring, addresses: list[str]) -> list[bytes | None]:
    targets = [parse_intake(address) for address in addresses]
    forms = [target.wide if isinstance(target, Address) else None for target in targets]
    made = iter(ring.fingerprints.email.make(Kind.WIDE, [form for form in forms if form is not None]))
    return [None if form is None else next(made) for form in forms]


async def _vacuum(home: Path) -> None:
    """Do what autovacuum would do in the first minutes, so that no benchmark meets it."""
    connection = await asyncpg.connect(find_server_url(home, DATABASE))
    try:
        await connection.execute("VACUUM (ANALYZE) entries, events, addresses")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _digest_migrations() -> dict[str, str]:
    paths = (ROOT / "sql" / "migrations").glob("*.sql")
    return {path.name: sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
