"""Exports, and moving a list with one."""

import csv
import io
from contextlib import aclosing
from dataclasses import replace

import asyncpg
import pytest

from forbear import bootstrap
from forbear.domain.address import parse_address, parse_intake
from forbear.domain.contact_point import parse_target
from forbear.domain.errors import ListUnavailable
from forbear.domain.export_form import COLUMNS, ExportForm
from forbear.domain.suppression import Channel, Purpose, Reason, Source
from forbear.local.credentials import SUPERUSER
from forbear.services import decision, imports, scopes, suppression
from forbear.services.decision import Question
from forbear.services.exports import Export
from forbear.services.imports import ImportOptions
from forbear.services.key_file import make_keyring
from forbear.services.suppression import Assertion
from forbear.store import suppression as suppression_store
from forbear.store.suppression import EntryFilter
from tests.conftest import make_list

OPERATOR = "operator:test"
ENTRIES = [
    ("ann@example.com", Reason.UNSUBSCRIBE, "maison/newsletter", Source.ONE_CLICK),
    ("Bob+tag@gmail.com", Reason.COMPLAINT, "*", Source.COMPLAINT),
    ("c.arl@gmail.com", Reason.UNSUBSCRIBE, "maison", Source.LETTER),
    ("dora@example.net", Reason.HARD_BOUNCE, "*", Source.BOUNCE),
    ('"e, v"@example.net', Reason.OBJECTION, "*", Source.PAGE),
    ("=frida@example.net", Reason.MANUAL, "atelier", Source.OPERATOR),
    ("josé@bücher.example", Reason.UNSUBSCRIBE, "*", Source.PAGE),
    ("@example.org", Reason.MANUAL, "*", Source.OPERATOR),
    ("+greg@example.net", Reason.NO_SHARING, "*", Source.LETTER),
    ("hugo@example.net", Reason.SOFT_BOUNCE, "maison/events", Source.BOUNCE),
]
ERASED = "zoe@example.net"
ASKED = [
    *(address for address, *_ in ENTRIES if not address.startswith("@")),
    ERASED, "bob@gmail.com", "carl@googlemail.com", "c.a.r.l+x@gmail.com", "kim@example.org", "lee@example.net",
]  # fmt: skip


async def fill(context):
    """A list with everything there is: entries of many kinds, a lifted one, an erasure, a grant."""
    await scopes.add_scope(context, "club/events", {})
    assertions = [Assertion(parse_intake(text), *rest) for text, *rest in ENTRIES]
    extra = Assertion(parse_address("lee@example.net"), Reason.MANUAL, "*", Source.OPERATOR)
    club = Assertion(parse_address("max@example.net"), Reason.UNSUBSCRIBE, "club/events", Source.PAGE)
    done = await suppression.suppress(context, [*assertions, extra, club], actor=OPERATOR)
    await suppression.lift(context, done[-2].entry_id, actor=OPERATOR, why="test")
    await suppression.erase(context, parse_address(ERASED), actor=OPERATOR)


async def add_grant(context, address, scope):
    key = suppression.fingerprint_keys(context, parse_address(address)).match
    async with context.database.connection() as connection:
        await suppression_store.add_grant(connection, key, Channel.EMAIL, scope, Source.PAGE, OPERATOR)


async def read_export(context, form=ExportForm.PLAIN, *, with_lifted=False):
    export = Export(context, form, with_lifted)
    data = b"".join([piece async for piece in export.read()])
    return export, data


def read_rows(data):
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


async def verdicts(context):
    """Every verdict that the entries bear on."""
    found = {}
    for scope in ("*", "maison", "maison/newsletter", "maison/events", "atelier", "club/events"):
        for purpose in Purpose:
            checked = await decision.check(context, [*ASKED, "max@example.net"], Question(purpose, scope))
            found[scope, purpose] = [(line.outcome, line.reason) for line in checked.verdicts]
    return found


async def import_into(context, data, **how):
    options = ImportOptions("export.csv", how.get("reason"), how.get("scope"), OPERATOR)
    batch = await imports.stage_import(context, io.BytesIO(data), options)
    return await imports.apply_import(context, batch.id)


@pytest.fixture
async def empty(template, tmp_path_factory):
    """Another list, with the same keys and nothing in it."""
    async with (
        make_list(template, tmp_path_factory.mktemp("other")) as settings,
        bootstrap.open_context(settings) as context,
    ):
        yield context


@pytest.mark.parametrize("form", ExportForm)
async def test_an_empty_installation_with_the_same_keys_gives_the_same_verdicts(context, empty, form):
    await fill(context)
    _, data = await read_export(context, form)
    batch = await import_into(empty, data)
    assert batch.count("added") == batch.count("rows") == len(ENTRIES) + 2
    assert await verdicts(empty) == await verdicts(context)


async def test_an_empty_installation_with_other_keys_gives_the_same_verdicts_but_for_the_erased(context, empty):
    await fill(context)
    _, data = await read_export(context)
    other = replace(empty, keyring=make_keyring(empty.now()))
    batch = await import_into(other, data)
    assert batch.facts["rejected_by"] == {"other_keys": 1}
    theirs, ours = await verdicts(other), await verdicts(context)
    place = ASKED.index(ERASED)
    assert {key: found[:place] + found[place + 1 :] for key, found in theirs.items()} == {
        key: found[:place] + found[place + 1 :] for key, found in ours.items()
    }


@pytest.mark.parametrize("with_same_keys", [True, False])
async def test_numbers_and_postal_addresses_come_through_with_any_keys(context, empty, with_same_keys):
    post = "Zoë O'Hara | =1 rue de l'Été | Paris | 75002 | FR"
    given = {Channel.PHONE: "+33612345678", Channel.POST: post}
    for channel, text in given.items():
        target = parse_target(channel, text)
        await suppression.suppress(
            context, [Assertion(target, Reason.OBJECTION, "maison", Source.LETTER)], actor=OPERATOR
        )
    _, data = await read_export(context)
    assert {row["channel"]: row["address"] for row in read_rows(data)} == given | {Channel.PHONE: "'+33612345678"}
    other = empty if with_same_keys else replace(empty, keyring=make_keyring(empty.now()))
    assert (await import_into(other, data)).count("added") == len(given)
    for channel, text in given.items():
        checked = await decision.check(other, [text], Question(Purpose.MARKETING, "*", channel))
        assert [line.reason for line in checked.verdicts] == ["objection"]
        found = await suppression.search(other, EntryFilter(), target=parse_target(channel, text), limit=10)
        assert [entry.address for entry in found] == [text]


async def test_fingerprints_of_other_keys_are_refused_row_by_row(context, empty):
    await fill(context)
    _, data = await read_export(context, ExportForm.KEYED)
    batch = await import_into(replace(empty, keyring=make_keyring(empty.now())), data)
    assert batch.facts["rejected_by"] == {"other_keys": len(ENTRIES) + 2}
    assert batch.count("added") == 0


async def test_an_export_can_be_exported_again_without_a_difference(context, empty):
    await fill(context)
    _, data = await read_export(context)
    await import_into(empty, data)
    _, again = await read_export(empty)
    assert sorted(again.splitlines()) == sorted(data.splitlines())


async def test_importing_an_export_into_its_own_list_changes_nothing(context):
    await fill(context)
    before = await verdicts(context)
    _, data = await read_export(context)
    batch = await import_into(context, data)
    assert (batch.count("already"), batch.count("added")) == (len(ENTRIES) + 2, 0)
    assert await verdicts(context) == before


async def test_scopes_of_an_export_are_registered_with_it(context, empty):
    await fill(context)
    _, data = await read_export(context)
    batch = await import_into(empty, data)
    assert batch.facts["new_scopes"] == ["club/events"]
    assert {"club", "club/events"} <= {scope.name for scope in await scopes.list_scopes(empty)}


async def test_grants_are_exported_and_never_imported(context, empty):
    await fill(context)
    await add_grant(context, "ann@example.com", "maison")
    export, data = await read_export(context)
    assert export.grants == 1
    assert [row["address"] for row in read_rows(data) if row["kind"] == "grant"] == ["ann@example.com"]
    batch = await import_into(empty, data)
    assert batch.facts["rejected_by"] == {"grant": 1}
    newsletter = Question(Purpose.MARKETING, "maison/newsletter")
    checked = await decision.check(empty, ["ann@example.com"], newsletter)
    assert checked.verdicts[0].reason == "unsubscribe"


async def test_what_was_lifted_is_exported_only_where_asked_and_never_imported(context, empty):
    await fill(context)
    _, data = await read_export(context)
    assert "lee@example.net" not in data.decode()
    _, data = await read_export(context, with_lifted=True)
    (lee,) = [row for row in read_rows(data) if row["address"] == "lee@example.net"]
    assert lee["lifted_at"]
    batch = await import_into(empty, data)
    assert batch.facts["rejected_by"] == {"lifted": 1}


async def test_the_columns_are_those_that_were_promised(context):
    await fill(context)
    _, data = await read_export(context)
    rows = read_rows(data)
    assert list(rows[0]) == list(COLUMNS)
    bob = next(row for row in rows if row["address"] == "Bob+tag@gmail.com")
    assert (bob["kind"], bob["channel"], bob["scope"], bob["reason"]) == ("match", "email", "*", "complaint")
    assert (bob["source"], bob["wide"], len(bob["fingerprint"])) == ("complaint", "yes", 32)
    domain = next(row for row in rows if row["kind"] == "domain")
    assert (domain["address"], domain["wide"]) == ("example.org", "no")


async def test_p6_an_erased_address_is_exported_by_its_fingerprint(context):
    await fill(context)
    _, data = await read_export(context)
    (row,) = [row for row in read_rows(data) if row["reason"] == "erased"]
    assert (row["address"], len(row["fingerprint"])) == ("", 32)
    assert ERASED not in data.decode()


async def test_a_keyed_export_holds_no_address(context):
    await fill(context)
    _, data = await read_export(context, ExportForm.KEYED)
    assert "@" not in data.decode()
    assert "example" not in data.decode()


async def test_no_cell_of_an_export_is_a_formula(context):
    await fill(context)
    _, data = await read_export(context)
    cells = [cell for row in csv.reader(io.StringIO(data.decode(), newline="")) for cell in row]
    assert "'=frida@example.net" in cells
    assert "'+greg@example.net" in cells
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"}]


async def test_an_export_shows_the_list_of_one_moment(context):
    await fill(context)
    export = Export(context)
    pieces = export.read()
    header = await anext(pieces)
    rest = [await anext(pieces)]
    await suppression.suppress(
        context, [Assertion(parse_address("late@example.net"), Reason.MANUAL, "*", Source.OPERATOR)], actor=OPERATOR
    )
    rest += [piece async for piece in pieces]
    assert header.startswith(b"address,")
    assert b"late@example.net" not in b"".join(rest)


async def test_a_broken_seal_keeps_nothing_else_from_coming_out(context, settings):
    await fill(context)
    key = suppression.fingerprint_keys(context, parse_address("ann@example.com")).match
    async with context.database.connection() as connection:
        await connection.execute("UPDATE addresses SET sealed = sealed || '\\x00' WHERE fingerprint = $1", key)
    export, data = await read_export(context)
    assert (export.unopened, export.entries) == (1, len(ENTRIES) + 2)
    assert key.hex() in data.decode()


async def test_p3_an_export_that_cannot_be_completed_says_so(context, cluster):
    await fill(context)
    async with aclosing(Export(context).read()) as pieces:
        await anext(pieces)
        await anext(pieces)
        await cut_off(context, cluster)
        with pytest.raises(ListUnavailable):
            await anext(pieces)


async def cut_off(context, cluster):
    """End every connection to the list, as a server that goes down does."""
    async with context.database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
    administrator = await asyncpg.connect(cluster.url(SUPERUSER, "postgres"))
    await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    await administrator.close()
