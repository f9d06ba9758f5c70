"""The query files: each statement has one user, fits the schema, is permitted to the service and keeps its index."""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import forbear.store
from forbear.domain.address import CANON_VERSION
from forbear.store.database import open_owner_connection
from forbear.store.queries import load_queries, sql_folder

NOUNS = sorted(path.stem for path in (sql_folder() / "queries").glob("*.sql"))
QUERIES = [(noun, name) for noun in NOUNS for name in load_queries(noun)]
# What only the owner's role does, when it migrates.
MIGRATION = {"create_migrations_table", "add_migration"}
LARGE_TABLES = {"entries", "events", "grants", "evidence", "addresses"}


def list_uses() -> Iterator[tuple[str, str, str]]:
    """Noun, name and function of every query that a function of the store names."""
    for path in Path(forbear.store.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        nouns = [
            call.args[0].value
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "load_queries"
        ]
        for function in tree.body:
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                words = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
                for noun in nouns:
                    for name in words & load_queries(noun).keys():
                        yield noun, name, f"{path.stem}.{function.name}"


def test_every_query_is_used_by_exactly_one_function():
    users = defaultdict(set)
    for noun, name, function in list_uses():
        users[noun, name].add(function)
    assert {query: functions for query, functions in users.items() if len(functions) > 1} == {}
    assert set(users) == set(QUERIES)


@pytest.mark.parametrize(("noun", "name"), QUERIES)
async def test_every_query_fits_the_schema(owner, noun, name):
    await owner.prepare(load_queries(noun)[name])


@pytest.mark.parametrize(("noun", "name"), [query for query in QUERIES if query[1] not in MIGRATION])
async def test_the_service_may_run_every_query(connection, noun, name):
    # Explaining checks the permissions that running would need. Sent as text, because its $1 stands for nothing here.
    await connection.execute(f"EXPLAIN (GENERIC_PLAN) {load_queries(noun)[name]}")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;",
        "-- name: a\nSELECT 1;\n",
        "-- name: a\n-- Says what.\nSELECT 1\n",
        "-- name: a\n-- Says what.\nSELECT 1;\n-- name: a\n-- Again.\nSELECT 2;\n",
    ],
)
def test_a_query_file_that_is_not_well_formed_stops_the_program(tmp_path, monkeypatch, text):
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "noun.sql").write_text(text)
    monkeypatch.setattr("forbear.store.queries.sql_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="not well formed"):
        load_queries.__wrapped__("noun")


# Plans


@pytest.fixture(scope="module")
async def large_list(template, tmp_path_factory):
    """A list of a hundred thousand entries, each with an event, evidence and an address, and some grants."""
    from tests.conftest import make_list  # noqa: PLC0415 - beside its one use

    async with make_list(template, tmp_path_factory.mktemp("large")) as settings:
        async with open_owner_connection(settings.migrate_url) as owner:
            await owner.execute(
                """
                INSERT INTO entries (fingerprint, wide_fingerprint, kind, channel, scope, reason, source, canon_version,
                    since, asserted_at)
                SELECT substr(sha256(n::text::bytea), 1, 16), substr(sha256((n / 3)::text::bytea), 1, 16), 'match',
                    'email', '*', 'unsubscribe', 'import', 1, now(), now()
                FROM generate_series(1, 100000) AS n;
                INSERT INTO events (action, entry_id, fingerprint, channel, scope, reason, source, actor)
                SELECT 'asserted', id, fingerprint, channel, scope, reason, source, 'test' FROM entries;
                INSERT INTO evidence (event_id, fingerprint, sealed)
                SELECT id, fingerprint, '' FROM events WHERE id % 2 = 0;
                INSERT INTO addresses (fingerprint, sealed) SELECT fingerprint, '' FROM entries;
                INSERT INTO grants (fingerprint, channel, scope, source, canon_version, granted_at)
                SELECT fingerprint, channel, scope, source, 1, now() FROM entries WHERE id % 2 = 0;
                ANALYZE;
                """
            )
        yield settings


@pytest.fixture
async def large(large_list):
    async with open_owner_connection(large_list.database_url) as opened:
        yield opened


def list_scans(plan: dict) -> Iterator[str]:
    """The large tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE_TABLES:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from list_scans(part)


async def find_scans(connection, noun: str, name: str, *arguments) -> set[str]:
    """The same of a query: planned for these arguments, and once for all."""
    sql = load_queries(noun)[name]
    chosen = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *arguments)
    generic = await connection.fetchval(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}", *arguments)
    plans = [json.loads(text)[0]["Plan"] for text in (chosen, generic)]
    return {table for plan in plans for table in list_scans(plan)}


async def find_fingerprints(connection, count: int) -> list[bytes]:
    rows = await connection.fetch("SELECT fingerprint FROM entries ORDER BY fingerprint LIMIT $1", count)
    return [row["fingerprint"] for row in rows]


@pytest.mark.parametrize("count", [1, 300])
async def test_finding_rules_reads_no_table_from_end_to_end(large, count):
    keys = await find_fingerprints(large, count)
    assert await find_scans(large, "suppression", "find_rules", keys, keys, "email") == set()


@pytest.mark.parametrize("count", [1, 300])
async def test_adding_entries_reads_no_table_from_end_to_end(large, count):
    keys = await find_fingerprints(large, count)
    same = [[value] * count for value in ("match", "email", "*", "unsubscribe", "api")]
    columns = (keys, keys, *same, *([None] * count for _ in range(4)))
    assert await find_scans(large, "suppression", "add_entries", *columns, None, CANON_VERSION, "test") == set()


@pytest.mark.parametrize("name", ["search_entries_of", "list_entries_for", "list_grants_for", "erase_address"])
async def test_asking_about_one_address_reads_no_table_from_end_to_end(large, name):
    (key,) = await find_fingerprints(large, 1)
    anything = (2**63 - 1, None, None, None, None, None, False, 100, None)
    arguments = {
        "search_entries_of": (*anything, [key, key], [key]),
        "list_entries_for": ([key, key], [key], "email"),
        "list_grants_for": (key, "email"),
        "erase_address": (key,),
    }
    assert await find_scans(large, "suppression", name, *arguments[name]) == set()


async def test_a_page_of_all_entries_reads_no_table_from_end_to_end(large):
    anything = (2**63 - 1, None, None, None, None, None, True, 100, None)
    assert await find_scans(large, "suppression", "search_entries", *anything) == set()


@pytest.mark.parametrize("count", [1, 100])
async def test_a_history_reads_no_table_from_end_to_end(large, count):
    assert await find_scans(large, "suppression", "list_events_of", list(range(1, count + 1))) == set()


@pytest.mark.parametrize("name", ["lock_entries", "undo_events"])
async def test_an_undo_reads_no_table_from_end_to_end(large, name):
    arguments = {"lock_entries": ([1],), "undo_events": ([1], "test")}
    assert await find_scans(large, "suppression", name, *arguments[name]) == set()


async def test_lifting_reads_no_table_from_end_to_end(large):
    assert await find_scans(large, "suppression", "lift_entry", 1, "operator", "test", b"", ["maison"]) == set()


@pytest.mark.parametrize("count", [1, 300])
async def test_writing_contacts_reads_no_table_from_end_to_end(large, count):
    keys = await find_fingerprints(large, count)
    owners, channels, places = list(range(count)), ["email"] * count, [0] * count
    assert await find_scans(large, "contact", "list_inherited", owners, channels, keys) == set()
    given = (owners, channels, keys, places, places, [b""] * count)
    assert await find_scans(large, "contact", "put_points", *given) == set()
