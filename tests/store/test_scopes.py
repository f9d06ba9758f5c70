"""Scopes: what people read about them, in which order, and how they look."""

import pytest

from forbear.domain.errors import InvalidInput, NotFound, UnknownScope
from forbear.domain.look import Look
from forbear.services.scopes import (
    ScopeChange,
    description_of,
    find_scopes,
    get_logo,
    list_scopes,
    put_logo,
    put_scope,
    title_of,
)

LOOK = Look("#80581f", "#d9b477")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="1"/></svg>'


async def test_what_is_not_said_stays(context):
    await put_scope(
        context, "maison", ScopeChange({"en": "The House", "fr": "La Maison"}, {"en": "News"}, 3, look=LOOK)
    )
    await put_scope(context, "maison", ScopeChange({"fr": ""}, is_offered=False))
    scope = (await find_scopes(context))["maison"]
    assert (scope.titles, scope.descriptions) == ({"en": "The House"}, {"en": "News"})
    assert (scope.position, scope.is_offered, scope.look) == (3, False, LOOK)


async def test_words_are_in_the_language_or_in_english(context):
    await put_scope(context, "maison", ScopeChange({"en": "The House", "fr": "La Maison"}, {"en": "News"}))
    scope = (await find_scopes(context))["maison"]
    assert [title_of(scope, language) for language in ("fr", "fr-CH", "de")] == ["La Maison", "La Maison", "The House"]
    assert description_of(scope, "fr") == "News"
    assert description_of((await find_scopes(context))["atelier"]) == ""


async def test_brands_and_their_topics_stand_in_their_order(context):
    for place, name in enumerate(["maison", "maison/newsletter", "maison/events"]):
        await put_scope(context, name, ScopeChange(position=place))
    await put_scope(context, "atelier", ScopeChange(position=7))
    names = [scope.name for scope in await list_scopes(context)]
    assert names == ["*", "maison", "maison/newsletter", "maison/events", "atelier"]


async def test_a_topic_registers_its_brand_and_leaves_it_as_it_was(context):
    await put_scope(context, "boutique/openings", ScopeChange({"en": "Openings"}))
    await put_scope(context, "maison", ScopeChange({"en": "The House"}, look=LOOK))
    await put_scope(context, "maison/events", ScopeChange({"en": "Events"}))
    known = await find_scopes(context)
    assert "boutique" in known
    assert known["maison"].look == LOOK


@pytest.mark.parametrize("name", ["sharing", "sharing/third-party", "sharing/acme"])
async def test_the_brand_sharing_is_reserved(context, name):
    with pytest.raises(InvalidInput, match="reserved"):
        await put_scope(context, name, ScopeChange())


@pytest.mark.parametrize(
    "change",
    [
        ScopeChange({"English": "A"}),
        ScopeChange({"en": "A\nB"}),
        ScopeChange({"en": "A" * 501}),
        ScopeChange(position=-1),
        ScopeChange(position=40_000),
        ScopeChange(look=LOOK),
    ],
)
async def test_what_does_not_fit_is_refused(context, change):
    with pytest.raises(InvalidInput):
        await put_scope(context, "maison/events", change)


async def test_a_logo_is_kept_apart_and_named_by_what_it_is(context):
    await put_logo(context, "maison", SVG)
    logo, digest = await get_logo(context, "maison")
    assert logo.media_type == "image/svg+xml"
    assert (await find_scopes(context))["maison"].logo_digest == digest
    await put_logo(context, "maison", None)
    with pytest.raises(NotFound):
        await get_logo(context, "maison")


@pytest.mark.parametrize(("name", "error"), [("maison/events", InvalidInput), ("unknown", UnknownScope)])
async def test_only_a_registered_brand_has_a_logo(context, name, error):
    with pytest.raises(error):
        await put_logo(context, name, SVG)
