"""POST /v1/links."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPMethod

from forbear.domain.errors import TooLarge
from forbear.services.api_keys import Permission, require_reach
from forbear.services.decision import INVALID, read_address
from forbear.services.links import LinkMaker, make_links, open_link_maker
from forbear.web.api import Call, Operation
from forbear.web.models import LinksRequest, LinksResponse


async def links(call: Call, body: LinksRequest) -> Mapping[str, object]:
    """Make personal links for up to `addresses_max` addresses."""
    require_reach(call.key, body.scope, body.purpose)
    if len(body.addresses) > call.options.addresses_max:
        raise TooLarge(f"one call takes {call.options.addresses_max} addresses at most; scrubs make links too")
    maker = await open_link_maker(call.context, body.scope, body.campaign)
    return {"results": await asyncio.to_thread(_make_results, maker, body.addresses)}


def _make_results(maker: LinkMaker, addresses: list[str]) -> list[Mapping[str, object]]:
    made = make_links(maker, [read_address(address) for address in addresses])
    return [
        {"address": address, "error": INVALID.reason}
        if own is None
        else {
            "address": address,
            "unsubscribe_url": own.unsubscribe_url,
            "preferences_url": own.preferences_url,
            "list_unsubscribe": own.list_unsubscribe,
            "list_unsubscribe_post": own.list_unsubscribe_post,
            "return_path": own.return_path or None,
        }
        for address, own in zip(addresses, made, strict=True)
    ]


OPERATIONS = (
    Operation(
        HTTPMethod.POST,
        "/v1/links",
        "links",
        "Make unsubscribe links and the List-Unsubscribe pair for up to 10,000 addresses",
        Permission.LINKS,
        links,
        LinksRequest,
        LinksResponse,
        description="Links carry everything in a sealed token: no address stands in them and they never expire.",
    ),
)
