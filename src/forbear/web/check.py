"""POST /v1/check and POST /v1/explain."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPMethod

from forbear.domain.contact_point import check_reading_region, parse_contact_point
from forbear.domain.errors import TooLarge
from forbear.domain.party import is_sharing_scope
from forbear.domain.suppression import Outcome, Purpose, overlaps
from forbear.services import decision
from forbear.services.api_keys import Permission, has_permission, has_reach, require_reach
from forbear.services.decision import Checked, Question
from forbear.services.explain import ExplainedEntry, HistoryLine, explain
from forbear.services.parties import require_party
from forbear.store.api_key import ApiKey
from forbear.web.api import Call, Operation
from forbear.web.contact_points import echo_given, read_given
from forbear.web.models import CheckRequest, CheckResponse, ExplainRequest, ExplainResponse, GivenAddress

_THREAD_FROM = 500


async def check(call: Call, body: CheckRequest) -> Mapping[str, object]:
    """Decide about up to `addresses_max` addresses."""
    require_reach(call.key, body.scope, body.purpose)
    if len(body.addresses) > call.options.addresses_max:
        raise TooLarge(f"one call takes {call.options.addresses_max} addresses at most; longer lists are scrubs")
    question = await _read_question(call, body)
    given = [read_given(address) for address in body.addresses]
    checked = await decision.check(call.context, given, question, body.region)
    with_reasons = has_permission(call.key, Permission.REASONS)
    if len(body.addresses) < _THREAD_FROM:
        return _answer(body.addresses, checked, with_reasons=with_reasons)
    return await asyncio.to_thread(_answer, body.addresses, checked, with_reasons=with_reasons)


async def _read_question(call: Call, body: CheckRequest | ExplainRequest) -> Question:
    party = None if body.party is None else await require_party(call.context, body.party)
    return Question(body.purpose, body.scope, body.channel, party)


def _answer(addresses: Sequence[GivenAddress], checked: Checked, *, with_reasons: bool) -> Mapping[str, object]:
    results = []
    for address, verdict in zip(addresses, checked.verdicts, strict=True):
        result: dict[str, object] = {"address": echo_given(address), "verdict": verdict.outcome.value}
        # That an address is no address says nothing about the list, so anybody may be told.
        if verdict.reason and (with_reasons or verdict.outcome is Outcome.INVALID):
            result["reason"] = verdict.reason
        results.append(result)
    return {"as_of": checked.as_of, "results": results}


async def explain_address(call: Call, body: ExplainRequest) -> Mapping[str, object]:
    """Explain the verdict about one address, by the entries that the key may see or that speak about the question."""
    require_reach(call.key, body.scope, body.purpose)
    question = await _read_question(call, body)
    given, region = read_given(body.address), check_reading_region(question.channel, body.region)
    explanation = await explain(call.context, parse_contact_point(question.channel, given, region), question)
    verdict = explanation.verdict
    return {
        "verdict": verdict.outcome.value,
        **({"reason": verdict.reason} if verdict.reason else {}),
        "rule": explanation.rule,
        "entries": [
            explain_entry(entry) for entry in explanation.entries if _may_see(call.key, entry.state.scope, body)
        ],
        "grants": [
            {
                "id": opt_in.id,
                "scope": opt_in.scope,
                "source": opt_in.source.value,
                "granted_at": opt_in.granted_at,
                **({"lifted_at": opt_in.lifted_at} if opt_in.lifted_at else {}),
            }
            for opt_in in explanation.grants
            if _may_see(call.key, opt_in.scope, body)
        ],
    }


def _may_see(key: ApiKey, scope: str, asked: ExplainRequest) -> bool:
    """Whether something of this scope is the key's business; another brand's is not."""
    is_about_asked = overlaps(scope, asked.scope) or (asked.purpose is Purpose.SHARING and is_sharing_scope(scope))
    return is_about_asked or has_reach(key, scope)


def explain_entry(entry: ExplainedEntry) -> Mapping[str, object]:
    """An entry with its history as JSON; `by` and `evidence` are those of its latest assertion."""
    state = entry.state
    asserted = [line for line in entry.history if line.event.action in {"asserted", "already"}]
    latest = asserted[-1] if asserted else None
    return {
        "id": state.id,
        "reason": state.reason.value,
        "scope": state.scope,
        "source": state.source.value,
        "since": state.since,
        "kind": "wide" if state.by_wide else state.kind.value,
        **({"lifted_at": state.lifted_at} if state.lifted_at else {}),
        **({"by": latest.event.actor} if latest else {}),
        **({"batch": state.batch_id} if state.batch_id is not None else {}),
        **({"evidence": latest.evidence} if latest and latest.evidence is not None else {}),
        "history": [_history_line(line) for line in entry.history],
    }


def _history_line(line: HistoryLine) -> Mapping[str, object]:
    event = line.event
    return {
        "at": event.at,
        "action": event.action,
        "source": event.source.value,
        "by": event.actor,
        **({"batch": event.batch_id} if event.batch_id is not None else {}),
        **({"evidence": line.evidence} if line.evidence is not None else {}),
    }


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/check",
        "check",
        "Decide about up to 10,000 addresses",
        Permission.CHECK,
        check,
        CheckRequest,
        CheckResponse,
        description="A verdict for each address, in the order asked, true at `as_of` or later. "
        "Reasons are given to keys with the permission `reasons`.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/explain",
        "explain",
        "Say why an address is or is not let through",
        Permission.REASONS,
        explain_address,
        ExplainRequest,
        ExplainResponse,
        description="The verdict with the rule, every entry that speaks about the address (lifted ones too), "
        "their history and what evidence is still kept.",
    ),
)
