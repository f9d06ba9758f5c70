"""How a brand looks: its colours and its logo, from paths of our own."""

import re

import pytest

from forbear.domain.look import make_look
from forbear.services.scopes import ScopeChange, put_logo, put_scope
from tests.doors.recipients import Door, open_door

LOOK = make_look("#7a1f2b", "#e0a0a8")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>'


@pytest.fixture
async def door(context):
    await put_scope(context, "maison", ScopeChange({"en": "Maison & Fils"}, look=LOOK))
    await put_logo(context, "maison", SVG)
    async with open_door(context) as opened:
        yield opened


def find(page, pattern: str) -> str:
    return re.search(pattern, page.text)[1]


async def test_a_brands_pages_have_its_colours_and_logo(door: Door):
    page = await door.get(f"/u/{door.token()}")
    colours = await door.get(find(page, r'rel="stylesheet" href="(/looks/[^"]+)"'))
    assert (colours.status, colours.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "--accent: #7a1f2b" in colours.text
    assert "--accent: #e0a0a8" in colours.text
    path, name = re.search(r'<img class="logo" src="(/logos/maison/[0-9a-f]+)" alt="([^"]+)"', page.text).groups()
    assert name == "Maison &amp; Fils"
    logo = await door.get(path)
    assert (logo.status, logo.headers["Content-Type"]) == (200, "image/svg+xml")
    assert "sandbox" in logo.headers["Content-Security-Policy"]


async def test_another_brand_takes_the_houses_colours_and_no_other_logo(door: Door):
    assert "/looks/" not in (await door.get(f"/u/{door.token(scope='atelier')}")).text
    await put_scope(door.context, "*", ScopeChange(look=LOOK))
    page = await door.get(f"/u/{door.token(scope='atelier')}")
    assert "/looks/7a1f2b-e0a0a8.css" in page.text
    assert "/logos/" not in page.text


@pytest.mark.parametrize(
    "path",
    ["/looks/ffffff-e0a0a8.css", "/looks/7a1f2b-000000.css", "/logos/maison/00", "/logos/atelier/0123", "/logos/x/0"],
)
async def test_colours_that_cannot_be_read_and_logos_that_are_not_there_are_404(door: Door, path):
    assert (await door.get(path)).status == 404


async def test_pages_below_a_path_have_their_look_there(context):
    await put_scope(context, "maison", ScopeChange(look=LOOK))
    async with open_door(context, public_url="https://example.com/mail") as door:
        assert 'href="/mail/looks/' in (await door.get(f"/u/{door.token()}")).text
