"""Parties: none without a postal address, and what has ended stays (SL-02)."""

import asyncpg
import pytest

from forbear.domain.errors import InvalidInput, NotFound, UnknownScope
from forbear.domain.party import Party, PartyKind
from forbear.services.parties import PartyDraft, end_party, get_party, list_parties, put_party, require_party
from forbear.services.scopes import require_scopes

SALON = PartyDraft("salon-lyon", PartyKind.AFFILIATE, "Salon Lyon", "1 rue de la Paix\n69001 Lyon\nFrance")


async def test_a_party_is_registered_and_changed(context):
    made, is_new = await put_party(context, SALON)
    again, is_new_again = await put_party(context, PartyDraft("salon-lyon", PartyKind.AFFILIATE, "Lyon", "2 rue"))
    assert (is_new, is_new_again) == (True, False)
    assert (made.id, made.title) == (again.id, "Salon Lyon")
    assert await list_parties(context) == [again]
    assert await require_party(context, "salon-lyon") == Party("salon-lyon", PartyKind.AFFILIATE)


@pytest.mark.parametrize("empty", ["", "  \n "])
async def test_sl02_a_party_without_a_postal_address_cannot_be_saved(context, connection, empty):
    with pytest.raises(InvalidInput, match="postal address"):
        await put_party(context, PartyDraft("salon-lyon", PartyKind.AFFILIATE, "Salon", empty))
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "INSERT INTO parties (name, kind, title, postal_address) VALUES ('a', 'affiliate', 'A', $1)", empty
        )


async def test_a_party_that_has_ended_stays_and_does_not_come_back(context):
    await put_party(context, SALON)
    await end_party(context, "salon-lyon")
    assert (await get_party(context, "salon-lyon")).ended_at is not None
    with pytest.raises(InvalidInput, match="has ended"):
        await put_party(context, SALON)
    with pytest.raises(InvalidInput, match="has ended"):
        await require_party(context, "salon-lyon")
    with pytest.raises(NotFound):
        await end_party(context, "salon-lyon")


async def test_p5_a_third_party_does_not_become_an_affiliate(context):
    await put_party(context, PartyDraft("acme", PartyKind.THIRD_PARTY, "Acme", "1 Road"))
    with pytest.raises(InvalidInput, match="kind"):
        await put_party(context, PartyDraft("acme", PartyKind.AFFILIATE, "Acme", "1 Road"))


@pytest.mark.parametrize("name", ["third-party", "affiliate", "A", "a@example.com", "", "a/b", "é"])
async def test_a_party_is_not_called_like_that(context, name):
    with pytest.raises(InvalidInput):
        await put_party(context, PartyDraft(name, PartyKind.AFFILIATE, "A", "1 Road"))


async def test_the_scopes_about_sharing_exist_with_their_parties(context):
    await require_scopes(context, {"sharing", "sharing/third-party", "sharing/cosponsor"})
    with pytest.raises(UnknownScope, match="no party"):
        await require_scopes(context, {"sharing/salon-lyon"})
    await put_party(context, SALON)
    known = await require_scopes(context, {"sharing/salon-lyon", "maison"})
    assert known.keys() == {"maison"}
