"""What a user would pick instead of `forbear scrub`, each as a process of its own: a list in, the rows kept out.

    python -m benchmarks.common.rivals duckdb-hash|duckdb-md5|postgresql|python-set SEND KEPT LIST

LIST is a DuckDB file, a PostgreSQL URL or a file of lower-case addresses, prepared beforehand and not measured. All
of them compare lower-case addresses with a plain hash or none: none could be given to others without giving the
addresses away. Where it helps, options are set that a user with a book at hand would set.
"""

import argparse
import asyncio
from pathlib import Path

import asyncpg
import duckdb

from benchmarks.common.data import COLUMNS, Lists

_HASHES = {"duckdb-hash": "hash(lower(trim(send.email)))", "duckdb-md5": "md5_number(lower(trim(send.email)))"}
_DUCKDB_COLUMNS = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
_DUCKDB_LINK = ", 'https://list.example/u/' || sha256('secret' || lower(trim(send.email))) AS unsubscribe_url"
_POSTGRESQL_SEND = ", ".join(f"{name} text" for name in COLUMNS)
_POSTGRESQL_KEPT = """
    SELECT send.* FROM send
    WHERE NOT EXISTS (SELECT FROM listed WHERE listed.hash = md5(lower(trim(send.email)))::uuid)
"""


def prepare_duckdb(lists: Lists) -> Path:
    """Put the hashes of the entries into a DuckDB file, both kinds of them."""
    path = lists.folder / "rival.duckdb"
    if not path.exists():
        aside = path.with_suffix(".aside")
        aside.unlink(missing_ok=True)
        with duckdb.connect(aside) as connection:
            lines = f"read_csv('{lists.plain}', header = false, columns = {{'email': 'VARCHAR'}})"
            connection.execute(
                f"CREATE TABLE listed AS SELECT hash(email) AS hash, md5_number(email) AS md5 FROM {lines}"  # noqa: S608 - ours
            )
        aside.rename(path)
    return path


async def make_rival_database(server_url: str) -> str:
    """Make a database beside ours, where it is not there yet; return its URL."""
    administrator = await asyncpg.connect(server_url)
    try:
        if await administrator.fetchval("SELECT count(*) FROM pg_database WHERE datname = 'rival'") == 0:
            await administrator.execute("CREATE DATABASE rival")
    finally:
        await administrator.close()
    return server_url.replace("/postgres?", "/rival?")


async def prepare_postgresql(server_url: str, lists: Lists) -> str:
    """Put the hashes of the entries into a table with a primary key; return its database's URL."""
    url = await make_rival_database(server_url)
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass('listed')") is None:
            async with connection.transaction():
                await connection.execute("CREATE TEMPORARY TABLE line (email text) ON COMMIT DROP")
                await connection.copy_to_table("line", source=lists.plain, format="text")
                await connection.execute("SET LOCAL work_mem = '1GB'")
                await connection.execute("CREATE TABLE listed AS SELECT md5(email)::uuid AS hash FROM line ORDER BY 1")
                await connection.execute("ALTER TABLE listed ADD PRIMARY KEY (hash)")
            await connection.execute("VACUUM ANALYZE listed")
    finally:
        await connection.close()
    return url


def filter_with_duckdb(kind: str, send: Path, kept: Path, listed: Path, threads: int, *, with_links: bool) -> None:
    """CSV to CSV by an anti-join; the order of the rows is given up, which is faster."""
    with duckdb.connect(listed, read_only=True) as connection:
        connection.execute(f"SET threads = {threads}; SET preserve_insertion_order = false")
        column = kind.removeprefix("duckdb-")
        connection.execute(
            f"""COPY (
                SELECT send.* {_DUCKDB_LINK if with_links else ""}
                FROM read_csv('{send}', header = true, columns = {{{_DUCKDB_COLUMNS}}}) AS send
                ANTI JOIN listed ON listed.{column} = {_HASHES[kind]}
            ) TO '{kept}' (HEADER)"""  # noqa: S608 - ours
        )


async def filter_with_postgresql(send: Path, kept: Path, url: str) -> None:
    """COPY in, anti-join, COPY out, with memory enough for a hash join."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET work_mem = '2GB'")
        await connection.execute(f"DROP TABLE IF EXISTS send; CREATE UNLOGGED TABLE send ({_POSTGRESQL_SEND})")
        await connection.copy_to_table("send", source=send, format="csv", header=True)
        await connection.copy_from_query(_POSTGRESQL_KEPT, output=kept, format="csv", header=True)
        await connection.execute("DROP TABLE send")
    finally:
        await connection.close()


def filter_with_set(send: Path, kept: Path, listed: Path) -> None:
    """Read the whole list into a set of byte strings; then look up every row's first column."""
    with listed.open("rb") as lines:
        addresses = set(lines.read().splitlines())
    with send.open("rb") as source, kept.open("wb") as out:
        out.write(next(source))
        out.writelines(line for line in source if line.split(b",", 1)[0].strip().lower() not in addresses)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.common.rivals")
    parser.add_argument("kind", choices=[*_HASHES, "postgresql", "python-set"])
    parser.add_argument("send", type=Path)
    parser.add_argument("kept", type=Path)
    parser.add_argument("listed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--links", action="store_true")
    chosen = parser.parse_args()
    if chosen.kind == "postgresql":
        asyncio.run(filter_with_postgresql(chosen.send, chosen.kept, chosen.listed))
    elif chosen.kind == "python-set":
        filter_with_set(chosen.send, chosen.kept, Path(chosen.listed))
    else:
        listed = Path(chosen.listed)
        filter_with_duckdb(chosen.kind, chosen.send, chosen.kept, listed, chosen.threads, with_links=chosen.links)


if __name__ == "__main__":
    main()
