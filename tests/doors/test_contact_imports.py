"""forbear contacts import: existing customers, of any number, once or again."""

import csv
import io
import json

import pytest

from forbear.domain.errors import InvalidImport
from forbear.services import batches, contact_imports, imports
from forbear.services.contacts import get_contact
from tests.commands import Finished, run_command

HEADER = (
    *("external_id", "name", "email", "phone", "line1", "line2", "postcode", "country", "language", "opt_outs"),
    *("consents", "consent_wording", "consent_given_at", "consent_origin"),
)
ANNA = {
    "external_id": "1",
    "name": "Anna Müller",
    "email": "anna@example.com",
    "phone": "06 12 34 56 78",
    "line1": "1 rue de la Paix",
    "line2": "Paris",
    "postcode": "75002",
    "country": "FR",
    "language": "fr",
}
AGREED = {"consents": "maison/newsletter", "consent_wording": "v3", "consent_given_at": "2025-02-03"}


def write(*rows: dict) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


async def run_import(settings, *rows: dict, options=("--yes",)) -> Finished:
    return await run_command(settings, "contacts", "import", "-", *options, stdin=write(*rows))


async def stage(context, content: bytes, rejects=None):
    source = io.BytesIO(content)
    return await contact_imports.stage_contacts(context, source, name="a.csv", actor="test", rejects=rejects)


async def apply(context, *rows: dict):
    return await imports.apply_import(context, (await stage(context, write(*rows))).id)


class Sink:
    """Takes the rows that are not taken."""

    def __init__(self):
        self.header, self.rows = b"", []

    def begin(self, header: bytes) -> None:
        self.header = header

    def add(self, row) -> None:
        self.rows.append(row)


async def check(settings, address, *options):
    return (await run_command(settings, "check", address, *options)).out.split()[:2]


async def test_customers_come_in_with_what_they_said(settings):
    hugo = {"external_id": "2", "email": "hugo@example.com", "opt_outs": "email:maison/events sharing/third-party"}
    done = await run_import(settings, {**ANNA, "opt_outs": "phone:*", **AGREED}, hugo)
    assert done.code == 0, done.err
    assert "2 contacts added, 0 changed" in done.out
    assert "opt-outs: 3 new, 0 new again, 0 on the list already; consents recorded: 1" in done.out
    assert "rows 2 = taken 2 + rejected 0" in done.out
    assert await check(settings, "hugo@example.com", "--scope", "maison/events") == ["suppress", "unsubscribe"]
    assert await check(settings, "hugo@example.com", "--purpose", "sharing") == ["suppress", "no_sharing"]
    assert await check(settings, "+33612345678", "--channel", "phone") == ["suppress", "unsubscribe"]
    assert await check(settings, "anna@example.com") == ["deliver", "-"]
    shown = await run_command(settings, "contacts", "show", "1", "--json")
    assert [point["channel"] for point in json.loads(shown.out)["points"]] == ["email", "phone", "post"]
    assert "unsubscribe of *" in (await run_command(settings, "contacts", "show", "1")).out


async def test_without_yes_it_shows_what_it_would_do_and_does_nothing(settings):
    done = await run_import(settings, {**ANNA, "opt_outs": "*"}, options=())
    assert done.code == 0
    assert "stdin: 1 new contacts, 0 known ones" in done.out
    assert "nothing was applied" in done.err
    assert (await run_command(settings, "contacts", "show", "1")).code == 1
    assert await check(settings, "anna@example.com") == ["deliver", "-"]


async def test_again_it_changes_nothing(context):
    for _ in range(2):
        batch = await apply(context, {**ANNA, "opt_outs": "*", **AGREED})
    counts = {
        name: batch.count(name) for name in ("contacts_added", "contacts_changed", "added", "already", "consents")
    }
    assert counts == {"contacts_added": 0, "contacts_changed": 1, "added": 0, "already": 3, "consents": 0}
    contact = await get_contact(context, "1")
    assert [held.plain for held in contact.points[:2]] == ["anna@example.com", "+33612345678"]


async def test_rows_of_one_customer_add_up_and_take_nothing_away(context):
    await apply(context, ANNA)
    await apply(
        context,
        {"external_id": "1", "email": "second@example.com", "language": "it"},
        {"external_id": "1", "email": "third@example.com"},
    )
    contact = await get_contact(context, "1")
    assert (contact.name, contact.language, contact.country) == ("Anna Müller", "it", "FR")
    plain = [held.plain for held in contact.points if held.channel == "email"]
    assert plain == ["second@example.com", "third@example.com", "anna@example.com"]


async def test_p5_who_had_left_everywhere_has_left_at_an_imported_address_too(settings, context):
    await apply(context, {**ANNA, "opt_outs": "email:*"})
    await apply(context, {"external_id": "1", "email": "new@example.com"})
    assert await check(settings, "new@example.com") == ["suppress", "unsubscribe"]


async def test_p4_imported_consents_override_nothing(settings, context):
    await run_command(settings, "suppress", "anna@example.com")
    await apply(context, {**ANNA, **AGREED, "consent_given_at": "2026-01-01T10:00:00Z"})
    assert await check(settings, "anna@example.com", "--scope", "maison/newsletter") == ["suppress", "unsubscribe"]


async def test_p6_who_was_erased_comes_back_as_a_fingerprint(settings, context):
    await run_command(settings, "erase", "anna@example.com")
    await apply(context, ANNA)
    assert (await get_contact(context, "1")).points[0].plain is None
    assert await check(settings, "anna@example.com") == ["suppress", "erased"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"external_id": ""}, "external_id"),
        ({"external_id": "anna@example.com"}, "external_id"),
        ({"email": "anna@"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"phone": "06 12 34 56 78", "country": ""}, "phone"),
        ({"line1": "1 rue", "country": "France"}, "country"),
        ({"line1": "1 rue", "name": ""}, "line1"),
        ({"opt_outs": "unknown"}, "opt_outs"),
        ({"opt_outs": "fax:*"}, "opt_outs"),
        ({"opt_outs": "post:*"}, "opt_outs"),
        ({**AGREED, "consent_wording": ""}, "consent_wording"),
        ({**AGREED, "consent_given_at": "yesterday"}, "consent_given_at"),
        ({**AGREED, "consent_given_at": "2999-01-01"}, "consent_given_at"),
        ({**AGREED, "consents": "sharing"}, "consents"),
    ],
)
async def test_a_row_that_cannot_be_taken_is_reported_by_its_column_alone(context, row, why):
    anna = {name: ANNA[name] for name in ("external_id", "name", "email", "country")}
    rows, sink = ({**anna, **row}, {**anna, "external_id": "2"}), Sink()
    batch = await stage(context, write(*rows), rejects=sink)
    assert (batch.count("rows"), batch.count("contact_rows"), batch.count("rejected")) == (2, 1, 1)
    (rejected,) = sink.rows
    assert (rejected.line, rejected.why) == (2, "invalid_contact")
    assert rejected.detail.startswith(f"{why}: ")
    assert "anna@" not in rejected.detail
    assert sink.header + rejected.raw == write(rows[0])


async def test_rows_that_cannot_be_taken_are_written_to_a_file(settings, tmp_path):
    kept, rows = tmp_path / "rejected.csv", ({**ANNA, "phone": "12"}, {**ANNA, "external_id": "2"})
    done = await run_import(settings, *rows, options=("--yes", "--rejected", str(kept)))
    assert done.code == 0, done.err
    assert "rows 2 = taken 1 + rejected 1" in done.out
    assert "invalid_contact: phone: " in done.err
    assert kept.read_bytes() == write(rows[0])
    assert (await run_import(settings, {**ANNA, "phone": "12"}, options=("--yes", "--strict"))).code == 1


@pytest.mark.parametrize(
    "text", ["", "email\na@example.com\n", "external_id,emial\n1,a@example.com\n", "external_id,name,name\n1,a,b\n"]
)
async def test_a_file_with_an_unknown_column_is_refused_as_a_whole(context, text):
    with pytest.raises(InvalidImport, match="begins with a header") as caught:
        await stage(context, text.encode())
    assert "a@example.com" not in caught.value.detail


@pytest.mark.parametrize(
    ("line", "why"),
    [(b'3,"Anna', "unreadable"), (b"3", "missing_column"), (b"3,Ann\xff", "not_utf8"), (b"3,A,B", "missing_column")],
)
async def test_a_line_that_is_broken_costs_no_other(context, line, why):
    sink = Sink()
    batch = await stage(context, b"external_id,name\n1,Hugo\n" + line + b"\n2,Ines\n", rejects=sink)
    assert [(row.line, row.why) for row in sink.rows] == [(3, why)]
    assert batch.count("contact_rows") == 2


async def test_an_import_that_was_stopped_goes_on(settings, context, monkeypatch):
    monkeypatch.setattr(contact_imports, "PAGE_ROWS", 2)
    rows = [{"external_id": str(number), "email": f"a{number}@example.com"} for number in range(5)]
    batch = await stage(context, write(*rows))

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await imports.apply_import(context, batch.id, on_progress=stop)
    assert (await batches.get_batch(context, batch.id)).count("contacts_added") == 2
    done = await run_command(settings, "batches", "resume", str(batch.id))
    assert "5 contacts added, 0 changed" in done.out


async def test_undoing_takes_the_opt_outs_back_and_leaves_the_contacts(settings, context):
    batch = await apply(context, {**ANNA, "opt_outs": "email:*"})
    undone = await run_command(settings, "batches", "undo", str(batch.id))
    assert "1 lifted" in undone.err
    assert await check(settings, "anna@example.com") == ["deliver", "-"]
    assert (await get_contact(context, "1")).name == "Anna Müller"


async def test_discarding_leaves_nothing_staged(context, settings):
    batch = await stage(context, write(ANNA))
    await imports.discard_import(context, batch.id)
    async with context.database.connection() as connection:
        assert await connection.fetch("SELECT FROM contact_rows") == []
