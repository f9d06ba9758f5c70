"""Why an address is, or is not, let through: the rule, the entries, their history and evidence (P8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from forbear.domain.contact_point import ContactPoint
from forbear.domain.errors import BrokenToken, KeyNotAtHand
from forbear.domain.keys import Use
from forbear.domain.suppression import NO_BASIS, Channel, Entry, Grant, Purpose, Verdict, decide
from forbear.services.context import Context
from forbear.services.decision import Question, require_question
from forbear.services.suppression import lookup_keys
from forbear.store import suppression as suppression_store
from forbear.store.suppression import EntryState, EventRow, GrantState


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One event, with what evidence is left of it."""

    event: EventRow
    evidence: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ExplainedEntry:
    """An entry with its history."""

    state: EntryState
    history: Sequence[HistoryLine]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict and everything it rests on."""

    verdict: Verdict
    rule: str
    entries: Sequence[ExplainedEntry]
    grants: Sequence[GrantState]


async def explain(context: Context, address: ContactPoint, question: Question) -> Explanation:
    """Explain the verdict about an address."""
    await require_question(context, question)
    exact, wide = lookup_keys(context, address)
    # One transaction is not one snapshot here, and need not be: each statement sees all that was answered before.
    async with context.database.connection() as connection:
        entries = await suppression_store.list_entries_for(connection, exact, wide, question.channel)
        grants = await suppression_store.list_grants_for(connection, exact[0], question.channel)
        events = await suppression_store.list_events_of(connection, [entry.id for entry in entries])
    verdict, decider = _decide(context, entries, grants, question)
    history: dict[int, list[HistoryLine]] = defaultdict(list)
    for event in events:
        history[event.entry_id].append(HistoryLine(event, _open_evidence(context, event.sealed_evidence)))
    explained = [ExplainedEntry(entry, history[entry.id]) for entry in entries]
    return Explanation(verdict, _describe(verdict, decider, question), explained, grants)


def _decide(
    context: Context, entries: Sequence[EntryState], grants: Sequence[GrantState], question: Question
) -> tuple[Verdict, EntryState | None]:
    standing: list[EntryState | GrantState] = [
        *(entry for entry in entries if entry.lifted_at is None),
        *(opt_in for opt_in in grants if opt_in.lifted_at is None),
    ]
    standing.sort(key=_order)
    rules = [Entry(item.reason, item.scope) if isinstance(item, EntryState) else Grant(item.scope) for item in standing]
    verdict = decide(rules, question.purpose, question.scope, context.options.policy, question.party)
    decider = standing[verdict.rule] if verdict.rule is not None else None
    return verdict, decider if isinstance(decider, EntryState) else None


def _order(item: EntryState | GrantState) -> tuple[Any, bool]:
    """The same order as `order_rules`: oldest first, of equals the grant before the entry."""
    if isinstance(item, EntryState):
        return item.asserted_at, True
    return item.granted_at, False


def _describe(verdict: Verdict, decider: EntryState | None, question: Question) -> str:
    asked = f"{question.purpose} for the scope {question.scope}"
    if question.party is not None:
        asked = f"{question.purpose} with the party {question.party.name} for the scope {question.scope}"
    if verdict.reason == NO_BASIS and question.party is not None:
        needed = " or ".join(sorted(question.party.basis_scopes, reverse=True))
        return f"no opt-in stands that {asked} needs: a grant in {needed}"
    if decider is None:
        return f"nothing that stands blocks {asked}"
    by = {
        "domain": "its whole domain",
        "match": "another spelling of the mailbox" if decider.by_wide else "this address",
    }
    return f"entry {decider.id}: {verdict.reason} of {decider.scope} for {by[decider.kind.value]} blocks {asked}"


def _open_evidence(context: Context, sealed: bytes | None) -> Mapping[str, Any] | None:
    if sealed is None:
        return None
    try:
        opened: Mapping[str, Any] = orjson.loads(context.keyring.open(Use.EVIDENCE, sealed))
    except (BrokenToken, KeyNotAtHand):
        return {"unreadable": "sealed under a key that is not at hand"}
    return opened


__all__ = ["Channel", "Explanation", "Purpose", "explain"]
