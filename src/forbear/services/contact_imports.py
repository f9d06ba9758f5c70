"""Files of contacts: staged as one batch, looked at, applied page by page, and safe to repeat.

A file adds: what a row leaves empty stays as it is, and no point is taken from a contact. Its opt-outs are staged and
applied with those of suppression files; they come first, so that a crash leaves more suppressed, never less.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import BinaryIO, Final

from forbear.domain.suppression import Channel, Source
from forbear.services.batches import Held, Progress, discard_held, get_batch, hold_batch
from forbear.services.contact_file import CONTACTS, ContactFile, ContactMaker, StagedContacts
from forbear.services.contact_points import open_point
from forbear.services.contacts import assert_inherited
from forbear.services.context import Context
from forbear.services.import_file import RejectSink, count_refusals
from forbear.services.scopes import refresh_scopes
from forbear.store import Connection
from forbear.store import batch as batch_store
from forbear.store import consent as consent_store
from forbear.store import contact as contact_store
from forbear.store import contact_rows as rows_store
from forbear.store import import_rows as import_store
from forbear.store.batch import Batch, BatchStatus
from forbear.store.consent import ConsentDraft
from forbear.store.contact import HintRow, PointRow
from forbear.store.contact_rows import ContactPut, StagedContact

CHUNK_ROWS: Final = 5_000
PAGE_ROWS: Final = 2_000
"""Contacts written in one transaction."""


async def stage_contacts(
    context: Context,
    source: BinaryIO,
    *,
    name: str,
    actor: str,
    on_progress: Progress | None = None,
    rejects: RejectSink | None = None,
) -> Batch:
    """Read a file of any size and stage its rows, in constant memory; nothing is written to contacts yet.

    Raises `InvalidImport` where the file cannot be read at all; whatever was staged is then discarded.
    """
    file = await asyncio.to_thread(ContactFile, source, context.options.record_bytes_max)
    scopes = await refresh_scopes(context)
    async with context.database.connection() as connection:
        batch_id = await batch_store.add_batch(connection, name, actor)
    async with hold_batch(context, batch_id) as held:
        try:
            await _stage(held, file, ContactMaker(context, file, batch_id, scopes), on_progress, rejects)
        except BaseException:
            with suppress(Exception):
                await asyncio.shield(discard_held(held))
            raise
    return await get_batch(context, batch_id)


async def count_contacts(context: Context, batch_id: int) -> tuple[int, int]:
    """How many contacts of a staged batch are new, and how many are known."""
    async with context.database.connection() as connection:
        return await rows_store.count_contact_rows(connection, batch_id)


async def apply_contacts(context: Context, held: Held, on_progress: Progress | None = None) -> None:
    """Write the staged contacts of a held batch, page by page; after a crash the same call goes on."""
    last = await rows_store.find_last_place(held.connection, held.batch.id)
    for first in range(0, 0 if last is None else last + 1, PAGE_ROWS):
        async with held.connection.transaction():
            rows = await rows_store.take_contact_rows(held.connection, held.batch.id, first, first + PAGE_ROWS)
            if rows:
                counts = await _write_page(context, held, rows)
                await batch_store.add_batch_counts(held.connection, held.batch.id, counts)
        if on_progress:
            on_progress(first + len(rows))


async def _stage(
    held: Held, file: ContactFile, maker: ContactMaker, on_progress: Progress | None, rejects: RejectSink | None
) -> None:
    counts: Counter[str] = Counter(rows=0, staged=0, contact_rows=0, rejected=0)
    rejected_by: Counter[str] = Counter()
    if rejects is not None:
        rejects.begin(file.header)
    while (chunk := await asyncio.to_thread(_make_chunk, file, maker)).records:
        await import_store.add_rows(held.connection, chunk.entries)
        await rows_store.add_contact_rows(held.connection, chunk.rows)
        counts.update(
            rows=chunk.records, staged=len(chunk.entries), contact_rows=len(chunk.rows), rejected=len(chunk.rejected)
        )
        rejected_by += count_refusals(chunk.rejected)
        for row in chunk.rejected:
            if rejects is not None:
                rejects.add(row)
        if on_progress:
            on_progress(file.characters)
    facts = {"format": CONTACTS, "rejected_by": dict(rejected_by), "new_scopes": []}
    await batch_store.set_batch_facts(held.connection, held.batch.id, {**facts, **counts})
    await batch_store.set_batch_status(held.connection, held.batch.id, BatchStatus.STAGED)


def _make_chunk(file: ContactFile, maker: ContactMaker) -> StagedContacts:
    return maker.make(file.read(CHUNK_ROWS))


async def _write_page(context: Context, held: Held, rows: Sequence[StagedContact]) -> dict[str, int]:
    connection, batch = held.connection, held.batch
    ids, added = await rows_store.put_contacts(connection, _merge(rows))
    points = [
        PointRow(ids[row.external_id], Channel(channel), key, sealed)
        for row in rows
        for channel, key, sealed in zip(row.channels, row.fingerprints, row.sealed_points, strict=True)
    ]
    await _carry_over(context, connection, points, actor=batch.actor)
    await contact_store.put_points(connection, points)
    hints = [
        HintRow(ids[row.external_id], kind, key)
        for row in rows
        for kind, key in zip(row.hint_kinds, row.hints, strict=True)
    ]
    await contact_store.add_hints(connection, hints)
    consents = [draft for row in rows for draft in _list_consents(row)]
    done = await consent_store.add_consents(connection, consents, actor=batch.actor, batch_id=batch.id)
    return {
        "contacts_added": added,
        "contacts_changed": len(ids) - added,
        "consents": len({consent_id for consent_id, is_new in done if is_new}),
    }


def _merge(rows: Sequence[StagedContact]) -> list[ContactPut]:
    """One contact for all rows of an external id: of each column the last that says something."""
    merged: dict[str, ContactPut] = {}
    for row in rows:
        before = merged.get(row.external_id, ContactPut(row.external_id, None, None, None))
        merged[row.external_id] = ContactPut(
            row.external_id,
            row.language or before.language,
            row.country or before.country,
            row.sealed_name or before.sealed_name,
        )
    return list(merged.values())


async def _carry_over(context: Context, connection: Connection, points: Sequence[PointRow], *, actor: str) -> None:
    inherited = await contact_store.list_inherited(connection, points)
    wanted = {wish.fingerprint for wish in inherited}
    opened = {
        row.fingerprint: held.point
        for row in points
        if row.fingerprint in wanted
        and (held := open_point(context.keyring, row.channel, row.fingerprint, row.sealed)).point is not None
    }
    await assert_inherited(context, connection, opened, inherited, source=Source.IMPORT, actor=actor)


def _list_consents(row: StagedContact) -> list[ConsentDraft]:
    return [
        ConsentDraft(
            key,
            channel,
            agreed["scope"],
            agreed["wording_version"],
            datetime.fromisoformat(agreed["given_at"]),
            Source.IMPORT.value,
            agreed["origin"],
            None,
        )
        for agreed in json.loads(row.consents)
        for channel, key in zip(row.channels, row.fingerprints, strict=True)
        if channel == agreed["channel"]
    ]
