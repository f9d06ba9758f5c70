"""What surrounds the recipients' pages: headers, failures, and nothing that gives anybody away."""

import re
from dataclasses import replace
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY

from forbear.domain.errors import KeyNotAtHand
from forbear.domain.keys import Key, Keyring, KeyRole
from forbear.domain.tokens import read_link_token, write_confirm_token
from forbear.store.database import open_owner_connection
from tests.doors.recipients import ADDRESS, CONTACT, FORM, ONE_CLICK, Door, open_door, without_postgresql

PAGE = {"via": "page"}
STRICT_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture
async def door(context):
    async with open_door(context) as opened:
        yield opened


async def ask_for_every_page(door: Door):
    """Each page in each of its states."""
    token = door.token()
    yield await door.get(f"/u/{token}")
    yield await door.get(f"/p/{token}")
    yield await door.post(f"/p/{token}")
    yield await door.post(f"/u/{token}", PAGE)
    yield await door.post(f"/u/{token}", ONE_CLICK, headers=FORM)
    yield await door.post(f"/p/{token}", {"choice": "everything"})
    yield await door.post(f"/u/{token}/undo", {"undo": "x"})
    yield await door.get(f"/u/{token}/undo")
    yield await door.get("/u/broken")
    yield await door.post("/u/broken", PAGE)
    yield await door.get(f"/p/{token}", headers={"Sec-GPC": "1"})
    yield await door.post(f"/p/{token}", {"choice": "save", "on": "email:maison/newsletter", "off": ""})
    yield await door.post(f"/p/{token}", {"choice": "save", "on": "", "off": "email:atelier", "email:atelier": "on"})
    yield await door.post(f"/p/{token}", {"choice": "rest"})
    yield await door.get("/c/broken")
    yield await door.post("/c/broken", PAGE)
    for path in ("/subscribe", "/subscribe/maison", "/unsubscribe"):
        yield await door.get(path)
        yield await door.post(path, {"email": "nobody"})
        yield await door.post(path, {"email": "somebody@example.org", "email:maison/newsletter": "on"})
        yield await door.ask("PUT", path)


async def test_sec04_every_page_carries_the_strict_headers_and_no_cookie(door: Door):
    async for answer in ask_for_every_page(door):
        headers = answer.headers
        assert headers["Content-Security-Policy"] == STRICT_CSP
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in headers


async def test_sec04_pages_load_and_link_nothing_from_elsewhere(door: Door):
    async for answer in ask_for_every_page(door):
        links = re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
        assert all(link.startswith("/") or link == f"mailto:{CONTACT}" for link in links)
        assert not re.search(r"<script|<style|\bstyle=|\bon\w+=|http-equiv", answer.text)


async def test_sec05_no_host_header_reaches_a_page(door: Door):
    token = door.token()
    plain = await door.get(f"/u/{token}")
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    evil = await door.get(f"/u/{token}", headers=headers)
    assert (evil.status, evil.body) == (200, plain.body)


async def test_sec05_links_begin_with_the_path_of_the_public_url(context):
    async with open_door(context, public_url="https://example.com/mail") as door:
        token = door.token()
        answer = await door.get(f"/u/{token}")
    links = re.findall(r'(?:href|action)="([^"]*)"', answer.text)
    assert f"/mail/u/{token}" in links
    assert all(link.startswith("/mail/") for link in links)


@pytest.mark.parametrize("target", ["//evil.example", "\\\\evil.example", "https:evil.example"])
async def test_sec08_no_parameter_leads_anywhere(door: Door, target):
    query = {"next": target, "return": target, "url": target}
    answer = await door.get(f"/u/{door.token()}", params=query)
    assert "evil" not in answer.text
    answer = await door.post(f"/u/{door.token()}", {**PAGE, **query})
    assert (answer.status, "Location" in answer.headers, "evil" in answer.text) == (200, False, False)


async def test_p3_nothing_is_called_done_while_postgresql_is_away(door: Door):
    asked = write_confirm_token(door.context.keyring, uuid4())
    async with without_postgresql(door) as cut_off:
        token = door.token()
        answers = [
            await cut_off.post(f"/u/{token}", ONE_CLICK, headers=FORM),
            await cut_off.post(f"/u/{token}/", PAGE),
            await cut_off.post(f"/u/{token}"),
            await cut_off.post(f"/p/{token}", {"choice": "everything"}),
            await cut_off.post(f"/u/{token}/undo", {"undo": "x"}),
            await cut_off.get(f"/u/{token}"),
            await cut_off.get(f"/p/{token}"),
            await cut_off.get(f"/p/{token}", headers={"Sec-GPC": "1"}),
            await cut_off.post(f"/p/{token}", {"choice": "save", "on": "email:atelier", "off": ""}),
            await cut_off.get(f"/c/{asked}"),
            await cut_off.post(f"/c/{asked}", PAGE),
            await cut_off.post(f"/p/{token}", {"choice": "rest"}),
            await cut_off.post("/unsubscribe", {"email": ADDRESS}),
            await cut_off.post("/subscribe", {"email": ADDRESS, "email:atelier": "on"}),
        ]
    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
        assert CONTACT in answer.text
        assert "Please try again in a few minutes." in answer.text
    assert await door.list_entries() == []
    assert (await door.post(f"/u/{token}", ONE_CLICK, headers=FORM)).status == 200
    assert await door.verdict() == "suppress"


async def test_a_broken_link_is_called_broken_even_while_postgresql_is_away(door: Door):
    async with without_postgresql(door) as cut_off:
        assert (await cut_off.get("/u/broken")).status == 404
        assert (await cut_off.post("/u/broken", ONE_CLICK, headers=FORM)).status == 200


async def test_whatever_else_fails_is_503_and_not_an_opt_out(door: Door, settings):
    async with open_owner_connection(settings.migrate_url) as owner:
        await owner.execute("REVOKE INSERT ON events FROM PUBLIC, forbear_service")
        with structlog.testing.capture_logs() as lines:
            answer = await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
        await owner.execute("GRANT INSERT ON events TO forbear_service")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
    assert await door.list_entries() == []
    assert any(line["event"] == "unexpected_error" and line["places"] for line in lines)
    assert "example.com" not in repr(lines)


async def test_a_link_under_a_key_that_is_not_at_hand_is_503(door: Door):
    other = Keyring((*door.context.keyring.keys, Key(KeyRole.SEALING, 200, b"k" * 32, "2026-01-01")))
    token = Door(replace(door.context, keyring=other), door.session, door.port).token()
    with pytest.raises(KeyNotAtHand):
        read_link_token(door.context.keyring, token)
    alarms = REGISTRY.get_sample_value("forbear_unknown_keys_total")
    answers = [
        await door.post(f"/u/{token}", ONE_CLICK, headers=FORM),
        await door.post(f"/p/{token}", {"choice": "list"}),
        await door.get(f"/u/{token}"),
        await door.get(f"/p/{token}"),
    ]
    assert {(answer.status, answer.headers["Retry-After"]) for answer in answers} == {(503, "120")}
    assert CONTACT in answers[0].text
    assert REGISTRY.get_sample_value("forbear_unknown_keys_total") == alarms + 4


async def test_p9_log_lines_name_the_route_and_nobody(door: Door):
    with structlog.testing.capture_logs() as lines:
        async for answer in ask_for_every_page(door):
            assert answer.body
        async with without_postgresql(door) as cut_off:
            await cut_off.post(f"/u/{door.token()}", PAGE)
    logged = repr(lines)
    assert {line.get("route") for line in lines if line["event"] == "request"} == {
        "unsubscribe",
        "undo",
        "preferences",
        "confirm",
        "subscribe",
        "subscribe_brand",
        "typed_unsubscribe",
    }
    assert ADDRESS not in logged
    assert not re.search(r"example\.(com|org)|/[upc]/|[\w-]{50}", logged)


async def test_pages_load_one_stylesheet_that_may_be_kept(door: Door):
    page = (await door.get("/u/broken")).text
    path = re.search(r'rel="stylesheet" href="(/static/pages\.[0-9a-f]+\.css)"', page)[1]
    answer = await door.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert not re.search(r"url\(|@import|http", answer.text)
    icon = await door.get(re.search(r'rel="icon" type="image/svg\+xml" href="([^"]+)"', page)[1])
    assert (icon.status, icon.headers["Content-Type"].partition(";")[0]) == (200, "image/svg+xml")


@pytest.mark.parametrize(
    "name", ["pages.css", "..%2Fpages.py", "%2e%2e/pages.py", "..%5cpages.py", "/etc/passwd", "%00", "x/../pages.css"]
)
async def test_nothing_else_is_to_be_had_from_static(door: Door, name):
    answer = await door.get(f"/static/{name}")
    assert answer.status == 404
    assert b"import" not in answer.body


async def test_crawlers_are_asked_to_stay_away(door: Door):
    answer = await door.get("/robots.txt")
    assert (answer.status, answer.body) == (200, b"User-agent: *\nDisallow: /\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
