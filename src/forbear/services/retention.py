"""Retention: what may not be kept is deleted, a page at a time. No opt-out ever ends here (X-06)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from forbear.services.batches import discard_stale
from forbear.services.context import Context
from forbear.store import Connection
from forbear.store import confirmation as confirmation_store
from forbear.store import contact as contact_store
from forbear.store import counter as counter_store
from forbear.store import intake as intake_store
from forbear.store import outbox as outbox_store
from forbear.store import scrub as scrub_store
from forbear.store import suppression as suppression_store

PAGE_ROWS: Final = 5000
CONFIRMATIONS_KEPT_FOR: Final = timedelta(days=7)
"""How long a confirmation that has closed is kept, so that a late click is told what became of it."""
COUNTERS_KEPT_FOR: Final = timedelta(days=8)
"""Longer than the longest window that a counter may have."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much was deleted."""

    evidence: int
    scrubs: int
    addresses: int
    imports: int
    """Imports that were staged and never applied."""
    messages: int
    confirmations: int
    counters: int
    intakes: int


async def delete_expired(context: Context) -> Deleted:
    """Delete evidence and counts whose time is over, and what was written beside an erasure under way."""
    evidence = 0
    now, options = context.now(), context.options
    before = now - options.scrub_retention
    async with context.database.connection() as connection:
        while page := await suppression_store.delete_expired_evidence(connection, PAGE_ROWS):
            evidence += page
        scrubs = await _delete_pages(scrub_store.delete_old_scrubs, connection, before)
        messages = await _delete_pages(outbox_store.delete_old_messages, connection, now - options.mail.retention)
        confirmations = await _delete_pages(
            confirmation_store.delete_old_confirmations, connection, now - CONFIRMATIONS_KEPT_FOR
        )
        counters = await _delete_pages(counter_store.delete_old_counters, connection, now - COUNTERS_KEPT_FOR)
        intakes = await _delete_pages(intake_store.delete_old_intakes, connection, now - options.intake_retention)
        addresses = await suppression_store.delete_erased_addresses(connection)
        addresses += await contact_store.delete_erased_points(connection)
        evidence += await suppression_store.delete_erased_evidence(connection)
    imports = await discard_stale(context)
    return Deleted(evidence, scrubs, addresses, imports, messages, confirmations, counters, intakes)


async def _delete_pages(
    delete: Callable[[Connection, datetime, int], Awaitable[int]], connection: Connection, before: datetime
) -> int:
    deleted = 0
    while page := await delete(connection, before, PAGE_ROWS):
        deleted += page
    return deleted
