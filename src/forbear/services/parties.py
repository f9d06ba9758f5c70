"""Parties: whom data may be disclosed to. Each has a postal address, because who asks is told it (SL-02).

A party that has ended stays, since what was disclosed to it stays disclosed. It cannot come back under its name: what
people said about the old one must not speak for a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forbear.domain.errors import InvalidInput, NotFound
from forbear.domain.party import Party, PartyKind, check_party_name
from forbear.services.context import Context
from forbear.store import party as party_store
from forbear.store.party import PartyRow

TEXT_CHARACTERS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class PartyDraft:
    """What is told about a party. `postal_address` has lines; `products` are examples of what it sells."""

    name: str
    kind: PartyKind
    title: str
    postal_address: str
    products: str = ""


async def put_party(context: Context, draft: PartyDraft) -> tuple[PartyRow, bool]:
    """Register a party or change what is told about it, and whether it is new.

    Raises `InvalidInput`: without a title or a postal address, for another kind than before (a third party that
    became an affiliate would no longer need an opt-in), or when it has ended.
    """
    check_party_name(draft.name)
    title, postal_address = _read_text("title", draft.title), _read_text("postal address", draft.postal_address)
    products = draft.products.strip()
    if len(products) > TEXT_CHARACTERS_MAX:
        raise InvalidInput(f"the examples of what a party sells have {TEXT_CHARACTERS_MAX} characters at most")
    async with context.database.connection() as connection:
        done = await party_store.put_party(
            connection,
            draft.name,
            draft.kind,
            title=title,
            postal_address=postal_address,
            products=products,
        )
        if done is not None:
            context.scope_book.read_at = None
            return done
        known = await party_store.find_party(connection, draft.name)
    if known is not None and known.ended_at is None:
        raise InvalidInput(
            f"the party {draft.name!r} is of the kind {known.kind.value!r}, which cannot change: "
            "end it, and register another"
        )
    raise InvalidInput(f"the party {draft.name!r} has ended, and stays for the record: take another name")


async def list_parties(context: Context) -> list[PartyRow]:
    """Every party by name, ended ones too."""
    async with context.database.connection() as connection:
        return await party_store.list_parties(connection)


async def get_party(context: Context, name: str) -> PartyRow:
    """A party, ended or not. Raises `NotFound`."""
    check_party_name(name)
    async with context.database.connection() as connection:
        found = await party_store.find_party(connection, name)
    if found is None:
        raise NotFound(f"there is no party {name!r}")
    return found


async def require_party(context: Context, name: str) -> Party:
    """A party that may be asked about, as a decision takes it. Raises `InvalidInput` for one unknown or ended."""
    check_party_name(name)
    async with context.database.connection() as connection:
        found = await party_store.find_party(connection, name)
    if found is None:
        raise InvalidInput(f"there is no party {name!r}; add it with: forbear parties add {name}")
    if found.ended_at is not None:
        raise InvalidInput(f"the party {name!r} has ended: nothing is disclosed to it any more")
    return Party(found.name, found.kind)


async def end_party(context: Context, name: str) -> None:
    """End a party. Raises `NotFound` when there is none that has not ended."""
    check_party_name(name)
    async with context.database.connection() as connection:
        if not await party_store.end_party(connection, name):
            raise NotFound(f"there is no party {name!r}, or it has ended already")


def _read_text(what: str, text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise InvalidInput(f"a party has a {what}: whoever asks what was disclosed to it is told")
    if len(stripped) > TEXT_CHARACTERS_MAX:
        raise InvalidInput(f"a party's {what} has {TEXT_CHARACTERS_MAX} characters at most")
    return stripped
