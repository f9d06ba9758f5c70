"""The schema: what the migrations add up to, who may do what, and the words it shares with Python."""

import re

import asyncpg
import pytest

from forbear.domain.fingerprint import Kind
from forbear.domain.party import PartyKind
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services.suppression import suppress
from forbear.store.queries import load_queries, sql_folder
from tests.schema import SCHEMA, dump_schema
from tests.store.test_add_entries import say

NOUNS = sorted(path.stem for path in (sql_folder() / "queries").glob("*.sql"))


async def test_the_migrations_add_up_to_the_schema(settings):
    assert await dump_schema(settings.migrate_url) == SCHEMA.read_text(), "run scripts/schema"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("channel", list(Channel)),
        ("reason", list(Reason)),
        ("source", list(Source)),
        ("entry_kind", [Kind.MATCH, Kind.DOMAIN]),
        ("party_kind", list(PartyKind)),
    ],
)
async def test_enums_are_the_same_in_sql_and_python(connection, name, words):
    sql = "SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = $1::text::regtype"
    assert await connection.fetchval(sql, name) == words


async def test_eu04_the_list_has_no_column_for_who_somebody_is(connection):
    sql = "SELECT column_name::text FROM information_schema.columns WHERE table_name = ANY ($1)"
    columns = {row[0] for row in await connection.fetch(sql, ["entries", "grants", "events"])}
    assert columns == {
        *("id", "fingerprint", "wide_fingerprint", "kind", "channel", "scope", "reason", "source", "batch_id"),
        *("canon_version", "since", "asserted_at", "lifted_at", "granted_at", "changed_xid"),
        *("at", "action", "entry_id", "grant_id", "actor"),
    }


async def test_x06_no_opt_out_ends_by_time(connection):
    sql = (
        "SELECT table_name::text FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name ~ 'expire|ttl|until'"
    )
    assert {row[0] for row in await connection.fetch(sql)} == {"evidence"}


# Who may do what


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET actor = 'nobody'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM grants",
        "DELETE FROM key_records",
        "UPDATE key_records SET check_value = ''",
        "DELETE FROM batches",
        "UPDATE migrations SET checksum = ''",
        "DELETE FROM scopes",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TABLE events",
        "CREATE TABLE mine (id integer)",
        "CREATE SCHEMA mine",
        "SET session_replication_role = replica",
    ],
)
async def test_the_service_may_not_rewrite_history(context, connection, sql):
    await suppress(context, [say()], actor="test")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(sql)


async def test_the_service_owns_nothing_and_is_nobody_special(connection):
    owned = await connection.fetchval(
        "SELECT count(*) FROM pg_shdepend WHERE refobjid = current_user::regrole AND deptype = 'o'"
    )
    assert owned == 0
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    special = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert not any(role[name] for name in special)
    assert await connection.fetchval("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole") == 0


# The change feed follows changed_xid


def list_updates() -> list[tuple[str, str, str]]:
    """Every part of a query that updates entries or grants, an ON CONFLICT's too."""
    found = []
    for noun in NOUNS:
        for name, sql in load_queries(noun).items():
            parts = re.findall(r"UPDATE (?:entries|grants)\b.*?SET.*?(?:WHERE|FROM|RETURNING|;)", sql, re.DOTALL)
            parts += re.findall(r"INTO (?:entries|grants)\b.*?DO UPDATE\s+SET.*?(?:WHERE|RETURNING|;)", sql, re.DOTALL)
            found += [(noun, name, part) for part in parts]
    return found


def test_updates_of_state_are_found():
    assert {"add_entries", "lift_entry", "undo_events", "add_grant"} <= {name for _, name, _ in list_updates()}


@pytest.mark.parametrize(("noun", "name", "part"), list_updates())
def test_every_update_of_state_says_which_transaction_made_it(noun, name, part):
    assert re.search(r"changed_xid\s*=\s*pg_current_xact_id\(\)", part)
