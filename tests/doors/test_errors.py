"""Refusals: problem documents everywhere (RFC 9457), whoever refuses, and nothing in them that was sent."""

import asyncio
import gzip
import inspect
import json
import re
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from forbear.domain import errors
from forbear.services.context import ScopeBook
from forbear.services.standings import Standings
from forbear.store.database import open_database
from forbear.web.errors import OTHER_PROBLEMS, STATUS, from_error, word_of
from forbear.web.server import LINE_BYTES_MAX
from tests.doors.callers import Answer, Client, assert_problem, fresh, open_client

JSON = {"Content-Type": "application/json"}
SECRET = "camille@example.com"
CHECK = {"purpose": "marketing", "scope": "*", "addresses": [SECRET]}
ITEM = {"address": SECRET, "reason": "unsubscribe", "scope": "*"}
# Each call with a body that it would take.
CALLS = [
    ("POST", "/v1/check", CHECK),
    ("POST", "/v1/explain", {"purpose": "marketing", "scope": "*", "address": SECRET}),
    ("POST", "/v1/suppressions", {"suppressions": [ITEM]}),
    ("POST", "/v1/suppressions/search", {}),
    ("POST", "/v1/suppressions/1/lift", {"why": "asked"}),
    ("POST", "/v1/erasures", {"address": SECRET}),
    ("POST", "/v1/links", {"scope": "*", "addresses": [SECRET]}),
    ("GET", "/v1/scrubs/00000000-0000-4000-8000-000000000000", None),
]


async def send_raw(client: Client, request: bytes) -> Answer:
    """Send bytes over a connection of their own and read what comes until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    text = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), headers, body)


# What is asked wrongly


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/check/", "/v1/nothing", f"/v1/{SECRET}", "/v1/scrubs/" + SECRET]
)
async def test_a_path_that_is_none(client: Client, path):
    assert_problem(await client.ask("GET", path), 404, "not_found")


@pytest.mark.parametrize(("method", "path", "_body"), CALLS)
async def test_a_method_that_the_path_does_not_take(client: Client, method, path, _body):
    other = "DELETE" if method == "POST" else "POST"
    answer = await client.ask(other, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert method in answer.headers["Allow"].split(",")


@pytest.mark.parametrize("method", ["PURGE", "OPTIONS", "TRACE"])
async def test_methods_that_nothing_takes(client: Client, method):
    assert_problem(await client.ask(method, "/v1/check"), 405, "method_not_allowed")


JSON_CALLS = [(path, body) for method, path, body in CALLS if body is not None]


@pytest.mark.parametrize(("path", "_body"), JSON_CALLS)
@pytest.mark.parametrize("text", [b"", b"{", b"nonsense", b'{"a":}', b"\xff\xfe{}", b'"\\ud800"', b"\xef\xbb\xbf{}"])
async def test_a_body_that_is_no_json(client: Client, path, _body, text):
    assert_problem(await client.ask("POST", path, data=text, headers=JSON), 400, "invalid_json")


@pytest.mark.parametrize(("path", "_body"), JSON_CALLS)
@pytest.mark.parametrize("text", [b"null", b"[]", b"17", b'"text"', b'{"nothing": "that is known"}'])
async def test_a_body_that_is_something_else(client: Client, path, _body, text):
    assert_problem(await client.ask("POST", path, data=text, headers=JSON), 422, "invalid_body")


@pytest.mark.parametrize(("path", "body"), JSON_CALLS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json5", "text/json"])
async def test_a_body_of_another_type(client: Client, path, body, kind):
    answer = await client.ask("POST", path, data=json.dumps(body), headers={"Content-Type": kind})
    assert_problem(answer, 415, "unsupported_media_type")


async def test_json_with_a_charset_is_json(client: Client):
    body = json.dumps(CHECK | {"addresses": [fresh()]})
    answer = await client.ask(
        "POST", "/v1/check", data=body, headers={"Content-Type": "Application/JSON; charset=UTF-8"}
    )
    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["plain", "gzip"])
async def test_a_body_that_is_too_large_packed_or_not(settings, encoding):
    text = json.dumps(CHECK | {"addresses": ["x" * 200_000]}).encode()
    packed = gzip.compress(text) if encoding == "gzip" else text
    async with open_client(settings, json_body_bytes_max=100_000) as client:
        headers = JSON | ({"Content-Encoding": "gzip"} if encoding == "gzip" else {})
        answer = await client.ask("POST", "/v1/check", data=packed, headers=headers)
        assert_problem(answer, 413, "too_large")
        body = json.dumps(CHECK | {"addresses": ["x" * 20_000]}).encode()
        assert (await client.ask("POST", "/v1/check", data=body, headers=JSON)).status == 200


async def test_a_packed_body_is_read(client: Client):
    packed = gzip.compress(json.dumps(CHECK | {"addresses": [fresh()]}).encode())
    answer = await client.ask("POST", "/v1/check", data=packed, headers=JSON | {"Content-Encoding": "gzip"})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "kind", "status", "word"),
    [
        ("/v1/check", "application/json", 400, "bad_request"),
        ("/v1/scrubs?purpose=marketing&scope=*", "text/csv", 422, "invalid_input"),
    ],
)
async def test_a_body_that_says_it_is_packed_and_is_not(client: Client, path, kind, status, word):
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    with capture_logs() as logs:
        answer = await client.ask("POST", path, data=b"email\n" + SECRET.encode(), headers=headers)
    assert_problem(answer, status, word)
    assert "unexpected_error" not in {line["event"] for line in logs}


# Who asks


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer wrong",
        "bearer forbear_" + "A" * 43,
        "Bearer \xe9",
        "x" * 9000,
    ],
)
async def test_without_a_valid_key_nobody_gets_anywhere(client: Client, method, path, body, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    async with client.session.request(method, path, json=body, headers=headers) as response:
        answer = Answer(response.status, response.headers, await response.read())
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_in_another_case_of_bearer_is_a_key(client: Client):
    headers = {"Authorization": f"bEARER   {client.key} "}
    async with client.session.post("/v1/check", json=CHECK | {"addresses": [fresh()]}, headers=headers) as answer:
        assert answer.status == 200


# What is no HTTP


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"G\xe9T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + SECRET.encode() + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Mail: \0" + SECRET.encode() + b"\r\n\r\n",
        b"GET /livez?" + b"x" * LINE_BYTES_MAX + SECRET.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * LINE_BYTES_MAX + SECRET.encode() + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_too_and_its_bytes_are_not_logged(client: Client, request_bytes):
    with capture_logs() as logs:
        answer = await send_raw(client, request_bytes)
    assert_problem(answer, 400, "bad_request")
    assert SECRET not in repr(logs)


async def test_aiohttps_own_log_says_nothing(client: Client, caplog):
    await send_raw(client, b"GET /livez HTTP/1.1\r\nHost: x\r\n" + SECRET.encode() + b"\r\n\r\n")
    assert caplog.records == []


async def test_an_expectation_that_cannot_be_met(client: Client):
    answer = await client.ask("POST", "/v1/check", json=CHECK, headers={"Expect": SECRET})
    assert_problem(answer, 417, "expectation_failed")


async def test_who_expects_100_continue_gets_it(client: Client):
    body = json.dumps(CHECK | {"addresses": [fresh()]}).encode()
    head = (
        f"POST /v1/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head.encode())
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


@pytest.mark.parametrize("path", ["/v1/check", "/v1/scrubs?purpose=marketing&scope=*"])
async def test_a_body_that_breaks_off_changes_nothing_and_breaks_nothing(client: Client, path):
    kind = "text/csv" if "scrubs" in path else "application/json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\nContent-Type: {kind}\r\n"
        "Content-Length: 1000\r\n\r\n{"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head.encode())
    await writer.drain()
    writer.transport.abort()
    assert await client.check(fresh()) == ["deliver"]


# When the list is away


@pytest.fixture(scope="module")
async def client_without_postgresql(shared_client: Client):
    """The same service, whose PostgreSQL has gone away; its keys are remembered from a moment ago."""
    from forbear import bootstrap  # noqa: PLC0415 - beside its one use
    from forbear.config import Settings  # noqa: PLC0415 - likewise
    from tests.doors.callers import serve_client  # noqa: PLC0415 - likewise

    url = "postgresql://x@127.0.0.1:1/x"
    async with open_database(url, connections_max=2, statement_timeout_seconds=1) as away:
        known = shared_client.context
        standings = Standings(away, known.keyring, known.standings.folder.path)
        context = replace(known, database=away, scope_book=ScopeBook(), standings=standings)
        async with serve_client(context, bootstrap._make_web_options(Settings()), shared_client.key) as client:
            yield client


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_p3_while_the_list_is_away_every_call_says_so_and_when_to_come_again(
    client_without_postgresql: Client, method, path, body
):
    answer = await client_without_postgresql.ask(method, path, json=body)
    assert_problem(answer, 503, "list_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_p3_a_scrub_says_so_before_its_first_row(client_without_postgresql: Client):
    answer = await client_without_postgresql.scrub("email\n" + SECRET)
    assert_problem(answer, 503, "list_unavailable")


async def test_p3_readyz_says_so_and_livez_does_not(client_without_postgresql: Client):
    assert_problem(await client_without_postgresql.ask("GET", "/readyz"), 503, "list_unavailable")
    assert (await client_without_postgresql.ask("GET", "/livez")).status == 200


# The tree and its words


LEAVES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind not in {errors.ForbearError, errors.Permanent, errors.TryAgain}
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_has_a_status(kind):
    answer = from_error(kind())
    assert answer.status == STATUS[kind]
    assert (answer.status in {429, 503}) == issubclass(kind, errors.TryAgain)
    assert json.loads(answer.body)["detail"] == inspect.getdoc(kind).split("\n")[0]


async def test_every_type_of_problem_leads_to_its_explanation(client: Client):
    page = (await client.ask("GET", "/docs")).body.decode()
    anchors = set(re.findall(r'id="([^"]+)"', page))
    words = {word_of(kind()) for kind in STATUS} | set(OTHER_PROBLEMS)
    assert words <= anchors


async def test_an_unexpected_error_is_a_500_without_its_text(client: Client, monkeypatch):
    async def fail(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("forbear.services.decision.check", fail)
    with capture_logs() as logs:
        answer = await client.post("/v1/check", **CHECK)
    problem = assert_problem(answer, 500, "internal_server_error")
    assert "written down" in problem["detail"]
    (line,) = [line for line in logs if line["event"] == "unexpected_error"]
    assert line["error"] == "RuntimeError"
    assert line["places"][-1].startswith("test_errors.py:")
    assert SECRET not in repr(logs)


async def test_every_answer_carries_the_id_of_its_log_line(client: Client):
    with capture_logs() as logs:
        answer = await client.ask("GET", "/v1/nothing")
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["Request-Id"])
    assert {line["event"] for line in logs} == {"request"}


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("query", [SECRET, "scope=maison", "cursor=1&cursor=2"])
async def test_a_parameter_that_a_call_does_not_know_is_refused(client: Client, method, path, body, query):
    answer = await client.ask(method, f"{path}?{query}", json=body)
    assert_problem(answer, 422, "invalid_input")
