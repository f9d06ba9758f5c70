"""Retention: what may not be kept is deleted, a page at a time. No opt-out ever ends here (X-06)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forbear.services.batches import discard_stale
from forbear.services.context import Context
from forbear.store import scrub as scrub_store
from forbear.store import suppression as suppression_store

PAGE_ROWS: Final = 5000


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much was deleted."""

    evidence: int
    scrubs: int
    addresses: int
    imports: int
    """Imports that were staged and never applied."""


async def delete_expired(context: Context) -> Deleted:
    """Delete evidence and counts whose time is over, and what was written beside an erasure under way."""
    evidence = scrubs = 0
    before = context.now() - context.options.scrub_retention
    async with context.database.connection() as connection:
        while page := await suppression_store.delete_expired_evidence(connection, PAGE_ROWS):
            evidence += page
        while page := await scrub_store.delete_old_scrubs(connection, before, PAGE_ROWS):
            scrubs += page
        addresses = await suppression_store.delete_erased_addresses(connection)
        evidence += await suppression_store.delete_erased_evidence(connection)
    return Deleted(evidence, scrubs, addresses, await discard_stale(context))
