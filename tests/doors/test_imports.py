"""Imports, and taking them back, on a real list."""

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forbear.domain.address import parse_address, parse_intake
from forbear.domain.errors import Busy, InvalidImport, InvalidInput, NotFound, NothingToUndo, UnknownScope
from forbear.domain.export_form import COLUMNS, name_keys
from forbear.domain.suppression import Purpose, Reason, Source
from forbear.services import batches, decision, imports, suppression
from forbear.services.decision import Question
from forbear.services.explain import explain
from forbear.services.imports import ImportOptions
from forbear.services.suppression import Assertion
from forbear.store import batch as batch_store
from forbear.store import suppression as suppression_store
from forbear.store.batch import BatchStatus
from forbear.store.suppression import EntryFilter
from tests.imports import SAMPLES, wait_for_lock

ANN, BOB = "ann@example.com", "bob@example.org"
EVERYTHING = Question(Purpose.MARKETING, "*")
OPERATOR = "operator:test"


class Rejects:
    """Collects rows that are not taken."""

    def __init__(self):
        self.header = b""
        self.rows = []

    def begin(self, header):
        self.header = header

    def add(self, row):
        self.rows.append(row)


async def stage(context, data, *, reason=Reason.UNSUBSCRIBE, scope="*", name="list.csv", rejects=None):
    data = data.encode() if isinstance(data, str) else data
    options = ImportOptions(name, reason, scope, OPERATOR)
    return await imports.stage_import(context, io.BytesIO(data), options, rejects=rejects)


async def run_import(context, data, **how):
    batch = await stage(context, data, **how)
    return await imports.apply_import(context, batch.id)


async def click(context, address, reason=Reason.UNSUBSCRIBE, scope="*"):
    assertion = Assertion(parse_address(address), reason, scope, Source.ONE_CLICK)
    (done,) = await suppression.suppress(context, [assertion], actor="recipient")
    return done


async def verdict(context, address, question=EVERYTHING):
    (found,) = (await decision.check(context, [address], question)).verdicts
    return found.reason or found.outcome.value


async def entries(context, address=None, **wanted):
    target = None if address is None else parse_intake(address)
    return await suppression.search(context, EntryFilter(with_lifted=True, **wanted), target=target, limit=100)


async def history(context, address):
    explained = await explain(context, parse_address(address), EVERYTHING)
    return [(line.event.action, line.event.batch_id) for entry in explained.entries for line in entry.history]


def count_all(batch):
    return sum(batch.count(name) for name in ("added", "revived", "already", "duplicates", "rejected"))


# The main thing


async def test_an_imported_address_is_suppressed_from_then_on(context):
    batch = await stage(context, f"email\n{ANN}\n")
    assert await verdict(context, ANN) == "deliver"
    await imports.apply_import(context, batch.id)
    assert await verdict(context, ANN) == "unsubscribe"
    assert await verdict(context, "Ann@EXAMPLE.com") == "unsubscribe"


async def test_an_import_is_one_batch_in_the_history_with_who_made_it(context):
    batch = await run_import(context, f"{ANN}\n")
    explained = await explain(context, parse_address(ANN), EVERYTHING)
    (line,) = explained.entries[0].history
    assert (line.event.action, line.event.source, line.event.actor) == ("asserted", Source.IMPORT, OPERATOR)
    assert line.event.batch_id == explained.entries[0].state.batch_id == batch.id


async def test_an_imported_address_can_be_read_again(context):
    await run_import(context, f'"Ann Lee" <{ANN}>\n@example.net\n')
    assert {found.address for found in await entries(context)} == {ANN, "@example.net"}


async def test_a_domain_entry_suppresses_everybody_there(context):
    await run_import(context, "@example.net\n")
    assert await verdict(context, "anyone@example.net") == "unsubscribe"
    assert await verdict(context, "anyone@sub.example.net") == "deliver"


async def test_since_is_the_files_date(context):
    await run_import(context, f"email,since\n{ANN},2024-05-06\n{BOB},2999-01-01\n")
    (ann,), (bob,) = await entries(context, ANN), await entries(context, BOB)
    assert ann.row.since == datetime(2024, 5, 6, tzinfo=UTC)
    assert abs(bob.row.since - context.now()) < timedelta(minutes=5)


async def test_each_row_keeps_its_own_reason_where_none_is_given(context):
    await run_import(context, (SAMPLES / "postmark.csv").read_bytes(), reason=None)
    reasons = {found.address: found.row.reason.value for found in await entries(context)}
    assert reasons == {
        ANN: "unsubscribe",
        BOB: "hard_bounce",
        "carl@example.net": "complaint",
        "dora@example.net": "manual",
    }


async def test_rejected_rows_are_reported_with_line_and_reason(context):
    rejects = Rejects()
    batch = await stage(context, f"email\n{ANN}\nnonsense\n\nx\xff".encode("latin-1"), rejects=rejects)
    assert [(row.line, row.why.value, row.raw) for row in rejects.rows] == [
        (3, "invalid_address", b"nonsense\n"),
        (5, "not_utf8", b"x\xff"),
    ]
    assert rejects.header == b"email\n"
    assert batch.facts["rejected_by"] == {"invalid_address": 1, "not_utf8": 1}


async def test_the_preview_counts_what_applying_then_does(context):
    await run_import(context, f"{ANN}\n")
    (ann,) = await entries(context, ANN)
    await click(context, BOB)
    await suppression.lift(context, ann.row.id, actor=OPERATOR, why="test")
    batch = await stage(context, f"{ANN}\n{BOB}\nnew@example.com\nNEW@example.com\nnonsense\n")
    preview = await imports.preview_import(context, batch.id)
    assert {count.state: count.entries for count in preview.counts} == {"revived": 1, "already": 1, "added": 1}
    assert (preview.taken, preview.duplicates, batch.count("rejected")) == (3, 1, 1)
    applied = await imports.apply_import(context, batch.id)
    assert [applied.count(name) for name in ("revived", "already", "added", "duplicates")] == [1, 1, 1, 1]
    assert count_all(applied) == applied.count("rows") == 5


async def test_duplicates_are_found_across_chunks_and_pages(context):
    people = [f"p{number}@example.com" for number in range(12_000)]
    lines = [*people, *reversed(people)]
    batch = await stage(context, "\n".join(lines))
    preview = await imports.preview_import(context, batch.id)
    applied = await imports.apply_import(context, batch.id)
    assert (preview.taken, preview.duplicates) == (12_000, 12_000)
    assert (applied.count("added"), applied.count("duplicates"), applied.count("rows")) == (12_000, 12_000, 24_000)


FRAGMENTS = ["ann@example.com", "BOB@example.org", "@example.net", "nonsense", "", '"', ",", "\n", "\r\n", "\xff"]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(FRAGMENTS), max_size=40))
async def test_rows_are_taken_duplicates_or_rejected(context, parts):
    batch = await stage(context, ("email,more\n" + "".join(parts)).encode("latin-1"))
    preview = await imports.preview_import(context, batch.id)
    assert batch.count("rows") == preview.taken + preview.duplicates + batch.count("rejected")
    applied = await imports.apply_import(context, batch.id)
    assert count_all(applied) == batch.count("rows")


# P5: nothing weakens an opt-out by accident


async def test_p5_undoing_an_import_keeps_what_somebody_clicked(context):
    batch = await run_import(context, f"{ANN}\n{BOB}\n")
    await click(context, ANN)
    undone = await batches.undo_batch(context, batch.id, actor=OPERATOR)
    assert (undone.lifted, undone.kept) == (1, 1)
    assert await verdict(context, ANN) == "unsubscribe"
    assert await verdict(context, BOB) == "deliver"


async def test_p5_undoing_an_import_keeps_what_stood_before(context):
    await click(context, ANN)
    batch = await run_import(context, f"{ANN}\n")
    undone = await batches.undo_batch(context, batch.id, actor=OPERATOR)
    assert (undone.lifted, undone.kept) == (0, 1)
    assert await verdict(context, ANN) == "unsubscribe"


async def test_p5_undoing_one_of_two_imports_keeps_what_the_other_says(context):
    first = await run_import(context, f"{ANN}\n")
    second = await run_import(context, f"{ANN}\n")
    await batches.undo_batch(context, first.id, actor=OPERATOR)
    assert await verdict(context, ANN) == "unsubscribe"
    await batches.undo_batch(context, second.id, actor=OPERATOR)
    assert await verdict(context, ANN) == "unsubscribe"


async def test_p5_an_older_date_does_not_weaken_an_entry(context):
    await run_import(context, f"email,since\n{ANN},2024-01-01\n")
    await run_import(context, f"email,since\n{ANN},2001-01-01\n")
    explained = await explain(context, parse_address(ANN), EVERYTHING)
    assert explained.entries[0].state.asserted_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert await verdict(context, ANN) == "unsubscribe"


async def test_p5_an_import_revives_what_was_lifted_and_lifts_nothing(context):
    await click(context, ANN)
    await click(context, BOB)
    (ann,) = await entries(context, ANN)
    await suppression.lift(context, ann.row.id, actor=OPERATOR, why="test")
    await run_import(context, f"{ANN}\n", reason=Reason.UNSUBSCRIBE)
    assert await verdict(context, ANN) == "unsubscribe"
    assert await verdict(context, BOB) == "unsubscribe"


async def test_p5_an_import_for_a_topic_does_not_narrow_an_entry_for_everything(context):
    await click(context, ANN)
    await run_import(context, f"{ANN}\n", scope="maison/newsletter")
    assert await verdict(context, ANN, Question(Purpose.MARKETING, "atelier")) == "unsubscribe"


async def test_p5_a_newer_grant_is_not_overridden_by_an_older_row_but_by_a_newer_one(context):
    key = suppression.fingerprint_keys(context, parse_address(ANN)).match
    async with context.database.connection() as connection:
        await suppression_store.add_grant(connection, key, decision.Channel.EMAIL, "maison", Source.PAGE, OPERATOR)
    maison = Question(Purpose.MARKETING, "maison")
    await run_import(context, f"email,since\n{ANN},2024-01-01\n")
    assert await verdict(context, ANN, maison) == "deliver"
    await run_import(context, f"{ANN}\n")
    assert await verdict(context, ANN, maison) == "unsubscribe"


async def test_p5_what_an_import_erased_stays_erased_when_it_is_undone(context, own_rows):
    batch = await run_import(context, own_rows(address="", reason="erased"), reason=None, scope=None)
    undone = await batches.undo_batch(context, batch.id, actor=OPERATOR)
    assert undone.lifted == 0
    assert await verdict(context, ANN) == "erased"


async def test_p5_a_click_while_an_undo_waits_is_never_undone(context):
    batch = await run_import(context, f"{ANN}\n")
    async with context.database.transaction() as connection:
        draft = suppression.make_draft(
            context, Assertion(parse_address(ANN), Reason.UNSUBSCRIBE, "*", Source.ONE_CLICK)
        )
        await suppression_store.add_entries(connection, [draft], actor="recipient")
        undo = asyncio.create_task(batches.undo_batch(context, batch.id, actor=OPERATOR))
        await wait_for_lock(context)
    undone = await undo
    assert (undone.lifted, undone.kept) == (0, 1)
    assert await verdict(context, ANN) == "unsubscribe"


async def test_p5_a_click_that_waits_for_an_undo_stands_afterwards(context):
    batch = await run_import(context, f"{ANN}\n")
    (ann,) = await entries(context, ANN)
    async with context.database.transaction() as connection:
        assert await batch_store.undo_entries(connection, batch.id, [ann.row.id], actor=OPERATOR) == 1
        clicked = asyncio.create_task(click(context, ANN))
        await wait_for_lock(context)
    await clicked
    assert await verdict(context, ANN) == "unsubscribe"


async def test_p5_clicks_racing_with_an_undo_all_stand(context):
    people = [f"p{number}@example.com" for number in range(300)]
    batch = await run_import(context, "\n".join(people))
    clickers = people[::10]
    undo = asyncio.create_task(batches.undo_batch(context, batch.id, actor=OPERATOR))
    await asyncio.gather(*(click(context, person) for person in clickers))
    await undo
    for person in clickers:
        assert await verdict(context, person) == "unsubscribe"


# P6: erased, yet suppressed


async def test_p6_an_import_over_an_erasure_keeps_the_fingerprint_only(context):
    await suppression.erase(context, parse_address(ANN), actor=OPERATOR)
    await run_import(context, f"{ANN}\n{BOB}\n")
    assert {found.address for found in await entries(context, ANN)} == {None}
    assert {found.address for found in await entries(context, BOB)} == {BOB}
    assert await verdict(context, ANN) == "erased"


async def test_p6_an_imported_erasure_erases(context, own_rows):
    await click(context, ANN)
    await run_import(context, own_rows(address="", reason="erased"), reason=None, scope=None)
    assert {found.address for found in await entries(context, ANN)} == {None}
    assert await verdict(context, ANN) == "erased"


async def test_p6_an_erasure_beside_other_rows_of_the_same_person_lets_no_address_in(context, own_rows):
    data = own_rows({"address": ANN}, {"address": ANN, "reason": "erased"}, {"address": ANN, "reason": "complaint"})
    await run_import(context, data, reason=None, scope=None)
    assert {found.address for found in await entries(context, ANN)} == {None}


@pytest.fixture
def own_rows(context):
    """Makes an export of this very list, of rows about Ann that differ from the usual in some cells."""
    key = suppression.fingerprint_keys(context, parse_address(ANN)).match

    def make(*rows, **cells):
        usual = {
            "kind": "match", "channel": "email", "scope": "*", "reason": "unsubscribe", "source": "page",
            "since": "2024-01-01T00:00:00Z", "wide": "no", "fingerprint": key.hex(),
            "asserted_at": "2024-01-01T00:00:00Z", "key": name_keys(context.keyring, 1),
        }  # fmt: skip
        lines = [",".join({**usual, **row}.get(name, "") for name in COLUMNS) for row in rows or [cells]]
        return "\n".join([",".join(COLUMNS), *lines])

    return make


# Stopped in the middle


async def test_a_file_that_breaks_off_leaves_nothing_behind(context):
    class Broken(io.BytesIO):
        def readinto(self, buffer):
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    source = io.BufferedReader(Broken(b"ann@example.com\n" * 50_000))
    with pytest.raises(InvalidImport, match="Input/output"):
        await imports.stage_import(context, source, ImportOptions("x", Reason.UNSUBSCRIBE, "*", OPERATOR))
    (batch,) = await batches.list_batches(context)
    assert batch.status is BatchStatus.DISCARDED
    assert await count_staged(context) == 0


async def test_what_was_not_read_to_its_end_cannot_be_applied(context):
    async with context.database.connection() as connection:
        batch_id = await batch_store.add_batch(connection, "half", OPERATOR)
    with pytest.raises(InvalidInput, match="import it again"):
        await imports.apply_import(context, batch_id)
    with pytest.raises(InvalidInput, match="import it again"):
        await imports.preview_import(context, batch_id)


async def test_an_import_that_was_applied_halfway_can_be_undone(context):
    batch = await apply_half(context)
    undone = await batches.undo_batch(context, batch.id, actor=OPERATOR)
    assert undone.lifted > 0
    assert [found.row.lifted_at for found in await entries(context) if found.row.lifted_at is None] == []
    assert await count_staged(context) == 0
    with pytest.raises(InvalidInput, match="undone"):
        await imports.apply_import(context, batch.id)


async def test_an_import_that_was_applied_halfway_goes_on_where_it_stopped(context):
    batch = await apply_half(context)
    (listed,) = await batches.list_batches(context)
    assert listed.is_interrupted
    assert 0 < listed.count("added") < 15_000
    applied = await imports.apply_import(context, batch.id)
    assert (applied.status, applied.count("added"), applied.count("duplicates")) == (BatchStatus.APPLIED, 15_000, 1)


async def apply_half(context):
    """Apply pages until something breaks, as a crash would end it: between two transactions."""
    people = "\n".join(f"p{number}@example.com" for number in [*range(15_000), 0])
    batch = await stage(context, people)

    def stop(done):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await imports.apply_import(context, batch.id, on_progress=stop)
    return batch


async def test_two_processes_cannot_work_on_one_batch(context):
    batch = await stage(context, f"{ANN}\n")
    async with batches.hold_batch(context, batch.id):
        assert (await batches.get_batch(context, batch.id)).is_running
        for work in (imports.apply_import(context, batch.id), imports.discard_import(context, batch.id)):
            with pytest.raises(Busy):
                await work
    assert not (await batches.get_batch(context, batch.id)).is_running


async def test_an_import_nobody_applies_is_given_up_after_a_day(context):
    batch = await stage(context, f"{ANN}\n")
    assert await batches.discard_stale(context) == 0
    tomorrow = replace(context, now=lambda: context.now() + timedelta(days=1, minutes=1))
    assert await batches.discard_stale(tomorrow) == 1
    assert (await batches.get_batch(context, batch.id)).status is BatchStatus.DISCARDED
    assert await count_staged(context) == 0


async def count_staged(context):
    async with context.database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM import_rows")


async def test_imports_and_clicks_of_the_same_people_do_not_block_each_other(context):
    people = [f"p{number}@example.com" for number in range(400)]
    first, second = await stage(context, "\n".join(people)), await stage(context, "\n".join(reversed(people)))
    await asyncio.gather(
        imports.apply_import(context, first.id),
        imports.apply_import(context, second.id),
        *(click(context, person) for person in people[::10]),
    )
    done = [await batches.get_batch(context, batch.id) for batch in (first, second)]
    assert all(count_all(batch) == 400 for batch in done)
    assert len(await history(context, people[0])) == 3
    assert len(await history(context, people[1])) == 2


# What is refused


async def test_an_unregistered_scope_is_refused_before_anything_is_read(context):
    with pytest.raises(UnknownScope):
        await stage(context, f"{ANN}\n", scope="nowhere")
    assert await batches.list_batches(context) == []


async def test_a_plain_list_needs_a_reason_and_a_scope(context):
    with pytest.raises(InvalidImport, match="reason"):
        await stage(context, f"{ANN}\n", reason=None)
    with pytest.raises(InvalidImport, match="scope"):
        await stage(context, f"{ANN}\n", scope=None)


async def test_nobody_is_erased_by_a_list(context):
    with pytest.raises(InvalidInput, match="one by one"):
        await stage(context, f"{ANN}\n", reason=Reason.ERASED)


async def test_a_batch_is_undone_once(context):
    batch = await run_import(context, f"{ANN}\n")
    await batches.undo_batch(context, batch.id, actor=OPERATOR)
    with pytest.raises(NothingToUndo):
        await batches.undo_batch(context, batch.id, actor=OPERATOR)
    with pytest.raises(NotFound):
        await batches.undo_batch(context, 999, actor=OPERATOR)
    assert await history(context, ANN) == [("asserted", batch.id), ("undone", batch.id)]


async def test_an_import_that_was_undone_can_be_made_again(context):
    batch = await run_import(context, f"{ANN}\n")
    await batches.undo_batch(context, batch.id, actor=OPERATOR)
    again = await run_import(context, f"{ANN}\n")
    assert again.count("revived") == 1
    assert await verdict(context, ANN) == "unsubscribe"
    assert (await batches.undo_batch(context, again.id, actor=OPERATOR)).kept == 1
