"""Unsubscribing by typing an address: anybody may, nobody is asked for more, and it holds at once.

The law allows no further step (16 CFR 316.5), so somebody may type an address that is not theirs. What limits the
harm: caps per network and hour (`services.limits`), entries that say `typed`, one batch an hour that can be undone as a
whole, and that a confirmed opt-in overrides them. Whether an address is known is neither asked nor told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from forbear.domain.address import Address, parse_intake
from forbear.domain.errors import InvalidAddress
from forbear.domain.suppression import EVERYTHING, Reason, Source
from forbear.services import limits, suppression
from forbear.services.context import Context
from forbear.services.suppression import Assertion
from forbear.store import batch as batch_store

ACTOR: Final = "anybody"


async def unsubscribe_typed(context: Context, text: str, *, ip: str | None, evidence: Mapping[str, object]) -> None:
    """Opt an address out of everything, committed when this returns; the same for every address.

    Raises `InvalidAddress`, `LimitReached` or `ListUnavailable`.
    """
    target = parse_intake(text)
    if not isinstance(target, Address):
        raise InvalidAddress
    await limits.count_typed_unsubscribe(context, ip)
    keep = context.options.click_evidence
    assertion = Assertion(target, Reason.UNSUBSCRIBE, EVERYTHING, Source.TYPED, evidence=evidence, keep_evidence=keep)
    draft = suppression.make_draft(context, assertion)
    async with context.database.connection() as connection:
        batch_id = await batch_store.take_batch(connection, f"typed {context.now():%Y-%m-%d %H}h", ACTOR)
    await suppression.write_drafts(context, [draft], actor=ACTOR, batch_id=batch_id)
