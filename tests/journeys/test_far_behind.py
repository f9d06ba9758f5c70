"""A service whose index file is missing or far behind: it listens, it decides right, and it says what it lacks."""

import fcntl
import json
import sys
from contextlib import asynccontextmanager

import asyncpg
from aiohttp import ClientSession

from forbear.local.credentials import OWNER, Credentials
from forbear.local.place import find_place
from forbear.services.api_keys import Permission, add_api_key
from forbear.services.index_build import build_index
from forbear.services.standings import ENTRIES_WITHOUT_FILE_MAX
from tests.doors.callers import Client
from tests.followers import write
from tests.processes import running, wait_for
from tests.service import started

# `forbear COMMAND` for which 20 changes are many.
IMPATIENT = """
from forbear.__main__ import main
from forbear.services import list_copy, standings
list_copy.FOLLOWED_MIN, list_copy.PAGE_ROWS, standings.ENTRIES_WITHOUT_FILE_MAX = 20, 10, 20
main()
"""
FILL = """
INSERT INTO entries (fingerprint, kind, channel, scope, reason, source, canon_version, since, asserted_at)
SELECT uuid_send(gen_random_uuid()), 'match', 'email', '*', 'unsubscribe', 'import', 1, now(), now()
FROM generate_series(1, $1::integer)
"""


@asynccontextmanager
async def impatient(settings, folder, command):
    """Run one process of the service; yields a way to find what it has logged."""
    environment = {
        "DATABASE_URL": settings.database_url,
        "FORBEAR_KEYS": str(settings.keys_path),
        "FORBEAR_HTTP": "127.0.0.1:0",
    }
    log = folder / f"{command}.log"

    def find_logged(event):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        return next((line for line in lines if line["event"] == event), None)

    async with running([sys.executable, "-c", IMPATIENT, command], environment=environment, stderr_file=log):
        yield find_logged


async def test_a_web_process_whose_file_is_far_behind_serves_at_once(settings, context, tmp_path):
    people = [f"person{number}@example.com" for number in range(50)]
    await build_index(context.database, context.standings.folder)
    async with context.database.connection() as connection:
        await write(context, connection, *people)
    _, key = await add_api_key(context, "a test's", permissions=[Permission.CHECK, Permission.REASONS])
    async with impatient(settings, tmp_path, "web") as find_logged:
        with context.standings.folder.lock() as is_ours:
            assert is_ours, "it may not build before we have looked"
            http = (await wait_for(lambda: find_logged("listening"), "it to listen"))["http"]
            async with ClientSession(http) as session:
                client = Client(context, session, 0, key)
                assert (await client.ask("GET", "/livez")).json == {"status": "alive"}
                assert (await client.ask("GET", "/readyz")).json == {"status": "ready", "engine": "missing"}
                assert find_logged("index_refused")["detail"] == "it lacks more than 20 changes"
                assert find_logged("engine_missing")
                assert await client.check(people[7], "nobody@example.com") == ["suppress:unsubscribe", "deliver"]
        await wait_for(lambda: find_logged("engine_ready"), "the new file to be built and taken")
        assert find_logged("index_built")["keys"] == len(people)
        async with ClientSession(http) as session:
            client = Client(context, session, 0, key)
            assert (await client.ask("GET", "/readyz")).json == {"status": "ready"}
            assert await client.check(people[7], "nobody@example.com") == ["suppress:unsubscribe", "deliver"]


async def test_start_does_not_wait_for_an_index_file(home):
    async with started(home) as first:
        await first.suppress("anna@example.com")
        connection = await asyncpg.connect(Credentials.find(home).url(OWNER, find_place(home).socket))
        await connection.execute(FILL, ENTRIES_WITHOUT_FILE_MAX)
        await connection.close()
    index = home / "index"
    for path in index.glob("*.index"):
        path.unlink()
    index.mkdir(exist_ok=True)
    with (index / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with started(home) as second:
            assert "until then PostgreSQL is asked" in second.stderr
            assert await second.check("anna@example.com") == "suppress"
            assert await second.check("bert@example.com") == "deliver"
            fcntl.flock(lock, fcntl.LOCK_UN)
            await wait_for(lambda: '"engine_ready"' in second.stderr, "the file to be built and taken")
            assert await second.check("anna@example.com") == "suppress"
            assert await second.check("bert@example.com") == "deliver"
