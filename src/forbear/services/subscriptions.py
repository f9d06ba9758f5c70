"""Signing up: what is offered, and asking an address whether it wants it.

Whoever types an address is not believed: the address is asked (`confirmations`), and only its answer makes a grant.
The same happens, and the same is said, whether or not the address is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forbear.domain.address import Address
from forbear.domain.errors import InvalidInput
from forbear.domain.party import is_sharing_scope
from forbear.domain.suppression import EVERYTHING, Source
from forbear.language import ENGLISH
from forbear.services import limits, scopes
from forbear.services.confirmations import request_confirmation
from forbear.services.context import Context
from forbear.services.scopes import Scope
from forbear.services.sealed_confirmation import WORDING_VERSION, Confirmation, list_opt_ins
from forbear.store.confirmation import ConfirmationKind

SCOPES_MAX = 50
"""How many topics one request may name; it comes from anybody."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What somebody wants to receive: topics or brands, where they said so, and by which wording."""

    address: Address
    scopes: Sequence[str]
    language: str = ENGLISH
    source: Source = Source.PAGE
    origin: str = ""
    wording_version: str = WORDING_VERSION
    evidence: Mapping[str, object] = field(default_factory=dict)


def list_offers(known: Mapping[str, Scope], brand: str = EVERYTHING) -> list[tuple[Scope, list[Scope]]]:
    """Brands with what is offered of each: its topics, or itself where it has none. All of them, or of one."""
    offers = []
    for scope in known.values():
        if scope.name == EVERYTHING or "/" in scope.name or brand not in {EVERYTHING, scope.name}:
            continue
        topics = [topic for topic in known.values() if topic.name.startswith(scope.name + "/") and topic.is_offered]
        if topics or scope.is_offered:
            offers.append((scope, topics or [scope]))
    return offers


async def subscribe(context: Context, wanted: Subscription) -> None:
    """Ask an address to confirm what is wanted there; nothing else happens yet.

    Raises `InvalidInput` for no scope, too many, or one that is not about messages; `UnknownScope`.
    """
    names = list(dict.fromkeys(wanted.scopes))
    if not 1 <= len(names) <= SCOPES_MAX:
        raise InvalidInput(f"from 1 to {SCOPES_MAX} scopes are named")
    if EVERYTHING in names or any(is_sharing_scope(name) for name in names):
        raise InvalidInput("brands and topics are subscribed to, by their names")
    brands = {name.partition("/")[0] for name in names}
    asked = Confirmation(
        ConfirmationKind.SUBSCRIBE,
        wanted.address,
        wanted.language,
        brands.pop() if len(brands) == 1 else EVERYTHING,
        opt_ins=list_opt_ins(names),
        source=wanted.source,
        origin=wanted.origin,
        wording_version=wanted.wording_version,
        evidence=wanted.evidence,
    )
    await request_confirmation(context, asked)


async def subscribe_publicly(context: Context, wanted: Subscription, *, ip: str | None) -> None:
    """The same for anybody who fills in a form, within the limits of their network. Raises `LimitReached` as well."""
    known = await scopes.find_scopes(context)
    offered = {scope.name for _, own in list_offers(known) for scope in own}
    if not set(wanted.scopes) <= offered:
        raise InvalidInput("only what is offered can be subscribed to")
    await limits.count_subscription(context, ip)
    await subscribe(context, wanted)
