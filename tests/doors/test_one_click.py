"""The POST that a mailbox provider sends for its reader (RFC 8058), by requirement."""

import asyncio
import re

import pytest

from forbear.domain.suppression import Purpose
from forbear.web import clicks
from tests.doors.recipients import ADDRESS, FORM, ONE_CLICK, Door, open_door

BOUNDARIES = ("xyz", "----WebKitFormBoundary7MA4YWxk", "--", "=_part", "a'b+c_d,e-f.g/h:i=j?k")
SCANNERS = (
    "Mozilla/5.0 (compatible; Barracuda Sentinel)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks",
    "GoogleImageProxy",
    "Proofpoint URL Defense",
    "curl/8.5.0",
)


@pytest.fixture
async def door(context):
    async with open_door(context) as opened:
        yield opened


def make_multipart(boundary: str, line_end: str = "\r\n") -> bytes:
    lines = (
        f"--{boundary}",
        'Content-Disposition: form-data; name="List-Unsubscribe"',
        "",
        "One-Click",
        f"--{boundary}--",
        "",
    )
    return line_end.join(lines).encode()


async def test_oc07_a_raw_post_with_nothing_but_host_type_and_length_is_enough(door: Door):
    head = f"POST /u/{door.token()} HTTP/1.1\r\nHost: mail.example.com\r\nContent-Type: {FORM['Content-Type']}\r\n"
    answer = await door.send_raw(f"{head}Content-Length: 26\r\n\r\n".encode() + ONE_CLICK)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "one_click")]
    assert await door.verdict() == "suppress"


async def test_oc07_http_1_0_without_a_host_is_enough(door: Door):
    answer = await door.send_raw(f"POST /u/{door.token()} HTTP/1.0\r\nContent-Length: 26\r\n\r\n".encode() + ONE_CLICK)
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert await door.verdict() == "suppress"


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    "written", ['multipart/form-data; boundary="{}"', 'Multipart/Form-Data; charset=UTF-8; BOUNDARY="{}"']
)
async def test_oc08_multipart_is_read_whatever_its_boundary_and_case(door: Door, boundary, written):
    headers = {"Content-Type": written.format(boundary)}
    answer = await door.post(f"/u/{door.token()}", make_multipart(boundary), headers=headers)
    assert answer.status == 200
    assert (await door.read_evidence())["body"] == "one_click"


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; charset=x", ""]
)
@pytest.mark.parametrize(
    "body",
    [ONE_CLICK, b"list-unsubscribe=one-click", b"List-Unsubscribe=One-Click&x=", b"List-Unsubscribe=One-Click\r\n"],
)
async def test_oc08_urlencoded_is_read_as_it_comes(door: Door, media_type, body):
    answer = await door.post(f"/u/{door.token()}", body, headers={"Content-Type": media_type})
    assert answer.status == 200
    assert (await door.read_evidence())["body"] == "one_click"


@pytest.mark.parametrize("ending", ["", "/", "//", "?utm_source=spring", "/?x=1"])
async def test_oc09_the_answer_is_200_itself_with_and_without_a_trailing_slash(door: Door, ending):
    answer = await door.post(f"/u/{door.token()}{ending}", ONE_CLICK, headers=FORM)
    assert (answer.status, "Location" in answer.headers) == (200, False)
    assert await door.verdict() == "suppress"


async def test_oc09_the_answer_is_short_plain_and_holds_no_token(door: Door):
    answer = await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
    assert answer.body == b"You are unsubscribed.\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_oc10_a_link_with_one_changed_byte_changes_nothing(door: Door):
    token, before = door.token(), await door.photograph()
    for place, letter in enumerate(token):
        changed = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        answer = await door.post(f"/u/{changed}", ONE_CLICK, headers=FORM)
        assert (answer.status, b"damaged" in answer.body) == (200, True)
    assert await door.photograph() == before


async def test_oc12_no_cookie_is_set_and_one_that_is_sent_changes_nothing(door: Door):
    token = door.token()
    plain = await door.post(f"/u/{token}", ONE_CLICK, headers=FORM)
    hostile = {**FORM, "Cookie": "session=1", "Origin": "https://evil.example", "Referer": "https://evil.example/"}
    with_cookie = await door.post(f"/u/{token}", ONE_CLICK, headers=hostile)
    assert with_cookie.body == plain.body
    assert "Set-Cookie" not in plain.headers
    assert "Set-Cookie" not in with_cookie.headers


async def test_oc13_a_repeated_post_is_answered_alike_and_recorded_as_a_repeat(door: Door):
    token = door.token()
    answers = [await door.post(f"/u/{token}", ONE_CLICK, headers=FORM) for _ in range(3)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"You are unsubscribed.\n")}
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "one_click")]
    assert await door.list_actions() == ["asserted", "already", "already"]


async def test_oc13_posts_at_the_same_moment_are_all_answered_200(door: Door):
    token = door.token()
    answers = await asyncio.gather(*(door.post(f"/u/{token}", ONE_CLICK, headers=FORM) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len(await door.list_entries()) == 1


async def test_oc20_it_leaves_the_list_of_the_link_and_no_other(door: Door):
    await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)
    assert await door.verdict("maison/newsletter") == "suppress"
    assert await door.verdict("maison/events") == "deliver"
    assert await door.verdict("maison/newsletter", Purpose.TRANSACTIONAL) == "deliver"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("", b""),
        (FORM["Content-Type"], b"unsubscribe=yes"),
        ("application/json", b'{"List-Unsubscribe": "One-Click"}'),
        (FORM["Content-Type"], b"\xff\xfe%zz&&&==;;"),
        (FORM["Content-Type"], b"&".join(b"a=1" for _ in range(100))),
        (FORM["Content-Type"], ONE_CLICK + b"&padding=" + b"x" * 1_000_000),
        ("multipart/form-data", make_multipart("xyz")),
        ("multipart/form-data; boundary=other", make_multipart("xyz")),
        ("multipart/form-data; boundary=xyz", b"--xyz\r\nContent-Disp"),
        ("multipart/form-data; boundary=\xff", b"--\xff\r\n\r\n"),
        ("multipart/mixed; boundary=a", b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 250),
    ],
)
async def test_sec07_an_odd_or_missing_body_is_honoured(door: Door, media_type, body):
    answer = await door.post(f"/u/{door.token()}", body, headers={"Content-Type": media_type} if media_type else {})
    assert answer.status == 200
    assert await door.list_entries() == [("unsubscribe", "maison/newsletter", "one_click")]
    assert (await door.read_evidence())["body"] == "missing"


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 26\r\n\r\nList-Unsub",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nList-\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 26\r\n\r\nList-Unsubscribe=One-Click",
    ],
)
async def test_sec07_a_body_that_breaks_off_does_not_lose_the_opt_out(door: Door, rest):
    await door.send_and_leave(f"POST /u/{door.token()} HTTP/1.1\r\nHost: x\r\n".encode() + rest)
    await door.wait_until_suppressed()


async def test_sec07_a_body_that_never_comes_does_not_lose_the_opt_out(door: Door, monkeypatch):
    monkeypatch.setattr(clicks, "BODY_SECONDS_MAX", 0.05)
    request = f"POST /u/{door.token()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 26\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(request.encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert await door.verdict() == "suppress"


async def test_evidence_of_a_click_is_kept_and_short(door: Door):
    headers = {**FORM, "User-Agent": "Mailer/1.0 " + "x" * 1000, "X-Forwarded-For": "203.0.113.9"}
    await door.post(f"/u/{door.token()}", ONE_CLICK, headers=headers)
    evidence = await door.read_evidence()
    assert evidence["ip"] == "127.0.0.1"
    assert evidence["user_agent"] == ("Mailer/1.0 " + "x" * 1000)[:300]
    assert (evidence["campaign"], evidence["link_made"]) == ("spring", "2026-03-01")


async def test_evidence_takes_the_forwarded_address_from_a_trusted_proxy(context):
    async with open_door(context, trusted_proxies="127.0.0.0/8, 10.0.0.0/8") as door:
        headers = [*FORM.items(), ("X-Forwarded-For", "192.0.2.1, 203.0.113.9"), ("X-Forwarded-For", "10.1.2.3")]
        await door.post(f"/u/{door.token()}", ONE_CLICK, headers=headers)
        assert (await door.read_evidence())["ip"] == "203.0.113.9"


async def test_evidence_survives_bytes_that_are_no_text(door: Door):
    head = f"POST /u/{door.token()} HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n".encode()
    answer = await door.send_raw(head + b"User-Agent: \xff\xfe agent\r\n\r\n" + ONE_CLICK)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert "agent" in str((await door.read_evidence())["user_agent"])


async def test_p10_oc11_reading_changes_nothing(door: Door):
    token = door.token()
    await door.post(f"/u/{door.token('other@example.com')}", ONE_CLICK, headers=FORM)
    before = await door.photograph()
    paths = (f"/u/{token}", f"/u/{token}/", f"/u/{token}/undo", f"/p/{token}", f"/p/{token}/", "/robots.txt")
    queries = ("", "?via=page", "?choice=everything", "?List-Unsubscribe=One-Click")
    for number in range(100):
        headers = {"User-Agent": SCANNERS[number % len(SCANNERS)]}
        for path in paths:
            await door.ask(("GET", "HEAD", "OPTIONS")[number % 3], path + queries[number % 4], headers=headers)
    assert await door.photograph() == before
    await door.post(f"/u/{token}", ONE_CLICK, headers=FORM)
    assert await door.verdict() == "suppress"


async def test_p10_a_get_that_carries_the_one_click_body_changes_nothing(door: Door):
    before = await door.photograph()
    await door.ask("GET", f"/u/{door.token()}", data=ONE_CLICK, headers=FORM)
    await door.ask("GET", f"/u/{door.token()}", headers={"X-HTTP-Method-Override": "POST"})
    await door.ask("PUT", f"/u/{door.token()}", data=ONE_CLICK, headers=FORM)
    assert await door.photograph() == before


async def test_sec05_a_doubled_host_is_refused_without_effect(door: Door):
    before = await door.photograph()
    head = f"POST /u/{door.token()} HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\nContent-Length: 26\r\n\r\n"
    answer = await door.send_raw(head.encode() + ONE_CLICK)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert await door.photograph() == before


async def test_p1_an_answered_click_is_seen_by_the_next_decision(door: Door):
    for number in range(20):
        address = f"reader{number}@example.com"
        assert (await door.post(f"/u/{door.token(address)}", ONE_CLICK, headers=FORM)).status == 200
        assert await door.verdict(address=address) == "suppress"


async def test_p9_no_answer_holds_the_address_in_any_form(door: Door):
    answers = [await door.get(f"/u/{door.token()}"), await door.post(f"/u/{door.token()}", ONE_CLICK, headers=FORM)]
    for answer in answers:
        assert ADDRESS not in answer.text
        assert not re.search(r"camille", answer.text + str(answer.headers), re.IGNORECASE)
