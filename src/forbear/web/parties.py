"""/v1/parties: whom data may be disclosed to."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod

from forbear.domain.suppression import EVERYTHING
from forbear.services import parties
from forbear.services.api_keys import Permission, require_reach
from forbear.services.parties import PartyDraft
from forbear.store.party import PartyRow
from forbear.web.api import Call, Operation
from forbear.web.contact_models import PartiesResponse, PartyRequest, PartyResponse


async def list_parties(call: Call) -> Mapping[str, object]:
    """List every party, ended ones too."""
    return {"parties": [_party(row) for row in await parties.list_parties(call.context)]}


async def put_party(call: Call, body: PartyRequest) -> Mapping[str, object]:
    """Register a party, or change what is told about it."""
    require_reach(call.key, EVERYTHING)
    draft = PartyDraft(body.name, body.kind, body.title, body.postal_address, body.products)
    row, is_new = await parties.put_party(call.context, draft)
    return {"status": "added" if is_new else "changed", "party": _party(row)}


async def end_party(call: Call) -> Mapping[str, object]:
    """End a party."""
    require_reach(call.key, EVERYTHING)
    name = call.request.match_info["name"]
    await parties.end_party(call.context, name)
    return {"status": "ended", "party": _party(await parties.get_party(call.context, name))}


def _party(row: PartyRow) -> Mapping[str, object]:
    return {
        "name": row.name,
        "kind": row.kind.value,
        "title": row.title,
        "postal_address": row.postal_address,
        "products": row.products,
        "created_at": row.created_at,
        **({"ended_at": row.ended_at} if row.ended_at else {}),
    }


OPERATIONS = (
    Operation(
        HTTPMethod.GET,
        "/v1/parties",
        "list_parties",
        "List whom data may be disclosed to",
        Permission.SHARE,
        list_parties,
        response=PartiesResponse,
        description="Parties that have ended are listed too, with `ended_at`: what was disclosed to them stays so.",
    ),
    Operation(
        HTTPMethod.PUT,
        "/v1/parties",
        "put_party",
        "Register a party, or change what is told about it",
        Permission.ADMIN,
        put_party,
        PartyRequest,
        PartyResponse,
        description="A party has a postal address, which whoever asks is told. Its kind cannot change. "
        "With it exists the scope `sharing/NAME`.",
    ),
    Operation(
        HTTPMethod.POST,
        "/v1/parties/{name:[a-z0-9-]+}/end",
        "end_party",
        "End a party: nothing is disclosed to it any more",
        Permission.ADMIN,
        end_party,
        response=PartyResponse,
        description="It stays on record, and its name is not given again.",
    ),
)
