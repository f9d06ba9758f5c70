"""The whole schema as PostgreSQL tells it, in one form: what the migrations add up to.

python -m tests.schema      writes sql/schema.sql anew
"""

import asyncio
import re
import subprocess
from pathlib import Path

from forbear import bootstrap
from forbear.config import Settings
from forbear.local.binaries import find_binaries
from forbear.local.cluster import open_cluster
from forbear.local.credentials import OWNER, SERVICE
from forbear.store.queries import sql_folder
from tests.folders import make_home

SCHEMA = sql_folder() / "schema.sql"
HEAD = "-- What sql/migrations add up to. Made by scripts/schema and compared by a test; nothing reads it.\n"
# Settings of the dump's own session, and a number that pg_dump draws anew each time.
_OF_THE_DUMP = re.compile(r"^(?:--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(?:un)?restrict.*)\n", re.MULTILINE)


async def dump(url: str, *options: str) -> str:
    """Write out a database by pg_dump."""
    binaries = await find_binaries(None)
    command = [binaries.path("pg_dump"), *options, "--dbname", url]
    return (await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)).stdout


async def dump_schema(url: str) -> str:
    """Write out the schema of a database, without what differs from one dump to the next."""
    dumped = await dump(url, "--schema-only", "--no-owner", "--no-privileges")
    body = _OF_THE_DUMP.sub("", dumped).replace("public.", "")
    return HEAD + "\n" + re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


async def write_schema(path: Path) -> None:
    """Migrate a new database and write its schema down."""
    with make_home(is_fast=True) as home:
        home.mkdir()
        home.chmod(0o711)
        cluster = await open_cluster(home)
        await cluster.start()
        try:
            settings = Settings(
                database_url=cluster.url(SERVICE), migrate_url=cluster.url(OWNER), keys=home / "keys.json"
            )
            await bootstrap.set_up(settings)
            path.write_text(await dump_schema(cluster.url(OWNER)))
        finally:
            await cluster.stop()


if __name__ == "__main__":
    asyncio.run(write_schema(SCHEMA))
