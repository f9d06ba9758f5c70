"""Scrubs as streams: any client, any pace, any list, and every way in which one can break off."""

import asyncio
import gzip
import http.client
import inspect
import io
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import aiohttp
import httpx
import pytest
import requests

from tests.conftest import make_list
from tests.doors.callers import Client, assert_problem, fresh, open_client
from tests.processes import wait_for
from tests.webs import Web, running_web

MEGABYTE = 1024 * 1024
GONE = "gone@example.com"
QUERY = "purpose=marketing&scope=*"
HEADERS = {"Content-Type": "text/csv"}
PATIENCE_SECONDS = 120


def make_rows(megabytes: float, width: int = 100) -> tuple[bytes, bytes]:
    """A list of that size, every hundredth of whose rows is of somebody who has left; and what must come out."""
    count = int(megabytes * MEGABYTE / width)
    rows = [f"{n}@example.com,".encode().ljust(width - 1, b"x") + b"\n" for n in range(count)]
    kept = b"email,filler\n" + b"".join(rows)
    for n in range(0, count, 100):
        rows.insert(n, (GONE + ",x\n").encode())
    return b"email,filler\n" + b"".join(rows), kept


@pytest.fixture(scope="module")
async def web_list(template, tmp_path_factory):
    """A list with one entry, its folder, and an administrator's view of it."""
    folder = tmp_path_factory.mktemp("streams")
    async with make_list(template, folder) as settings, open_client(settings) as client:
        await client.suppress(GONE)
        yield settings, folder, client


@pytest.fixture(scope="module")
async def web(web_list) -> AsyncIterator[Web]:
    """A real web process, so that its memory is its own; it has filtered before."""
    settings, folder, administrator = web_list
    async with running_web(settings, folder) as process:
        url, rows = f"{process.url}/v1/scrubs?{QUERY}", make_rows(16)[0]
        await asyncio.to_thread(requests.post, url, data=rows, headers=administrator.authorization, timeout=60)
        yield process


@pytest.fixture(scope="module")
def administrator(web_list) -> Client:
    return web_list[2]


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[Path, bytes]:
    """A list of 32 MiB as a file, and what must come out of it."""
    path = tmp_path_factory.mktemp("large") / "list.csv"
    rows, kept = make_rows(32)
    path.write_bytes(rows)
    return path, kept


@asynccontextmanager
async def connected(port: int, receive_buffer: int = 0):
    """A connection whose receive buffer may be small."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=MEGABYTE)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def make_head(client: Client, length: int | None, query: str = QUERY) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST /v1/scrubs?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: text/csv\r\n{framing}\r\n\r\n"
    ).encode()


async def read_head(reader) -> dict[str, str]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)).decode()
    assert head.startswith("HTTP/1.1 200 "), head
    return dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)


async def read_until_complete(reader) -> bytes:
    """What still comes of an answer on a connection that stays."""
    found = b""
    while not is_complete(found[-16:]):
        data = await asyncio.wait_for(reader.read(MEGABYTE), PATIENCE_SECONDS)
        assert data, "it broke off"
        found = found[-16:] + data
    return found


async def read_rest(reader) -> bytes:
    """What still comes, until the connection ends in whatever way."""
    found = bytearray()
    try:
        while data := await asyncio.wait_for(reader.read(MEGABYTE), PATIENCE_SECONDS):
            found += data
    except ConnectionError:
        pass
    return bytes(found)


def is_complete(rest: bytes) -> bool:
    return rest.endswith(b"0\r\n\r\n")


async def wait_for_end(client: Client, scrub_id: str) -> dict:
    """The record of a scrub once it no longer runs."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        record = await client.ask("GET", f"/v1/scrubs/{scrub_id}")
        assert record.status == 200
        if record.json["status"] != "running":
            return record.json
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)


# Every client gets its list through, and all of it


def send_by_urllib(url: str, path: Path, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, path.read_bytes(), headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
        return answer.read()


def send_by_urllib_from_a_file(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        length = {"Content-Length": str(path.stat().st_size)}
        request = urllib.request.Request(url, file, headers | length, method="PUT")  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
            return answer.read()


def send_by_requests(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        answer = requests.post(url, data=file, headers=headers, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    return answer.content


def send_by_requests_in_chunks(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        parts = iter(lambda: file.read(100_000), b"")
        return requests.post(url, data=parts, headers=headers, timeout=PATIENCE_SECONDS).content


def send_by_httpx(url: str, path: Path, headers: dict[str, str]) -> bytes:
    answer = httpx.post(url, content=path.read_bytes(), headers=headers, timeout=PATIENCE_SECONDS)
    return answer.raise_for_status().content


async def send_by_aiohttp(url: str, path: Path, headers: dict[str, str]) -> bytes:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        with path.open("rb") as file:
            async with session.post(url, data=file, headers=headers) as answer:
                return await answer.read()


def send_by_curl(*how: str):
    def send(url: str, path: Path, headers: dict[str, str]) -> bytes:
        options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
        last = f"@{path}" if how[-1] == "--data-binary" else str(path)
        command = ["curl", "-sSf", *options, *how, last, url]
        return subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS).stdout

    return send


CLIENTS = {
    "urllib": send_by_urllib,
    "urllib from a file": send_by_urllib_from_a_file,
    "requests": send_by_requests,
    "requests in chunks": send_by_requests_in_chunks,
    "httpx": send_by_httpx,
    "aiohttp": send_by_aiohttp,
    "curl --data-binary": send_by_curl("--data-binary"),
    "curl -T": send_by_curl("-T"),
    "curl -X POST -T": send_by_curl("-X", "POST", "-T"),
}

# How each of them says that an answer is refused, or not whole.
INCOMPLETE = (
    http.client.HTTPException,
    OSError,
    requests.RequestException,
    httpx.HTTPError,
    aiohttp.ClientError,
    subprocess.CalledProcessError,
)


async def send(name: str, url: str, path: Path, headers: dict[str, str]) -> bytes:
    """Send a list by one of the clients; the body of the answer."""
    if inspect.iscoroutinefunction(CLIENTS[name]):
        return await CLIENTS[name](url, path, headers)
    return await asyncio.to_thread(CLIENTS[name], url, path, headers)


@pytest.mark.parametrize("name", CLIENTS)
async def test_every_client_gets_a_large_list_through(web: Web, administrator: Client, large, name):
    path, kept = large
    body = await send(name, f"{web.url}/v1/scrubs?{QUERY}", path, administrator.authorization)
    assert len(body) == len(kept)
    assert body == kept


async def test_whoever_reads_nothing_before_all_is_sent_gets_it_from_a_file(web: Web, administrator: Client, large):
    path, kept = large
    rows = path.read_bytes()
    port = int(web.url.rpartition(":")[2])
    web.memory.forget_peak()
    before = web.memory.read_peak_bytes()
    async with connected(port, receive_buffer=4096) as (reader, writer):
        writer.write(make_head(administrator, len(rows)) + rows)
        await asyncio.wait_for(writer.drain(), PATIENCE_SECONDS)
        spilled = await wait_for(lambda: sum(web.list_spill_bytes()) > len(kept) * 3 // 4, "the rows to be spilled")
        assert spilled
        grown = web.memory.read_peak_bytes() - before
        assert grown < 64 * MEGABYTE, f"{grown / MEGABYTE:.0f} MiB for a client that does not read"
        headers = await read_head(reader)
        rest = await read_rest_of_answer(reader)
    assert rest == kept
    assert (await wait_for_end(administrator, headers["Scrub-Id"]))["status"] == "done"
    assert await wait_for(lambda: not web.list_spill_bytes(), "the file to go")


async def read_rest_of_answer(reader) -> bytes:
    """A chunked body, to its last chunk."""
    found = []
    while size := int(await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS), 16):
        found.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(found)


async def test_rows_come_out_while_the_list_still_comes_in(client: Client):
    rows, _ = make_rows(8)
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(rows) * 2) + rows)
        await read_head(reader)
        assert b"email,filler" in await asyncio.wait_for(reader.readuntil(b"\n0@example.com"), PATIENCE_SECONDS)
        # Only now comes the rest.
        writer.write(rows)
        assert is_complete(await read_until_complete(reader))


async def test_a_client_that_stops_sending_once_it_is_answered_is_answered_at_the_end(client: Client):
    rows, kept = make_rows(4)
    async with connected(client.port) as (reader, writer):
        head = make_head(client, len(rows)).replace(b"Host: x", b"Host: x\r\nUser-Agent: Python/3.11 aiohttp/3.14.5")
        half = len(rows) // 2
        writer.write(head + rows[:half])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.5)
        writer.write(rows[half:])
        await read_head(reader)
        # Nobody has left this list, so that who stands in it again and again comes out once.
        assert len(await read_rest_of_answer(reader)) == len(kept) + len(f"{GONE},x\n")


async def test_a_list_in_crumbs_passes(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    rows = f'email,n\r\n{kept},"1\r\n2"\r\n{gone},3\r\n'.encode()
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, None))
        for place in range(len(rows)):
            writer.write(b"1\r\n" + rows[place : place + 1] + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await read_head(reader)
        assert await read_rest_of_answer(reader) == rows[: rows.index(gone.encode())]


async def test_a_slow_sender_is_not_taken_for_a_dead_process(client: Client, monkeypatch):
    monkeypatch.setattr("forbear.services.scrub._RECORD_EVERY_SECONDS", 0.02)
    rows, _ = make_rows(2)
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(rows) * 2) + rows)
        scrub_id = (await read_head(reader))["Scrub-Id"]
        # As if it had been silent for long; it is heard of again though its sender sends nothing.
        async with client.context.database.connection() as connection:
            sql = "UPDATE scrubs SET seen_at = seen_at - interval '1 hour' WHERE id = $1"
            await connection.execute(sql, UUID(scrub_id))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await client.ask("GET", f"/v1/scrubs/{scrub_id}")).json["status"] != "running":  # noqa: ASYNC110 - as it says
                await asyncio.sleep(0.02)


async def test_a_packed_list_passes(client: Client):
    rows, kept = make_rows(4)
    headers = {**client.authorization, "Content-Encoding": "gzip"}
    query = {"purpose": "marketing", "scope": "*"}
    data = io.BytesIO(gzip.compress(rows))
    async with client.session.post("/v1/scrubs", data=data, headers=headers, params=query) as answer:
        assert (answer.status, len(await answer.read())) == (200, len(kept) + len(f"{GONE},x\n"))


async def test_a_packed_list_takes_no_more_memory_than_another(web: Web, administrator: Client):
    row = b"ann@example.com," + b"x" * 100_000 + b"\n"
    rows = b"email,filler\n" + row * 320
    packed = gzip.compress(rows + row * 4800, 1)
    assert len(packed) < 4 * MEGABYTE
    url, headers = f"{web.url}/v1/scrubs?{QUERY}", administrator.authorization
    plain = await asyncio.to_thread(requests.post, url, data=rows, headers=headers, timeout=PATIENCE_SECONDS)
    web.memory.forget_peak()
    before = web.memory.read_peak_bytes()
    headers = headers | {"Content-Encoding": "gzip"}
    answer = await asyncio.to_thread(requests.post, url, data=packed, headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.content == plain.content == b"email,filler\n" + row
    assert web.memory.read_peak_bytes() - before < 64 * MEGABYTE, "of 512 that were packed"


# What breaks off is visibly incomplete, and its record says so


async def test_p11_trouble_late_in_a_list_ends_the_answer_without_its_last_chunk(client: Client):
    rows, _ = make_rows(6)
    count = rows.count(b"\n")
    rows += b'late@example.com,"never closed\n'
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(rows)) + rows)
        scrub_id = (await read_head(reader))["Scrub-Id"]
        assert not is_complete(await read_rest(reader))
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert record["error"]["row"] == count + 1
    assert record["error"]["column"] == "filler"
    assert "never closed" in record["error"]["detail"]


@pytest.mark.parametrize("name", ["urllib", "requests", "httpx", "aiohttp", "curl --data-binary", "curl -T"])
async def test_p11_no_client_takes_a_part_for_the_whole(web: Web, administrator: Client, tmp_path, name):
    path = tmp_path / "list.csv"
    path.write_bytes(make_rows(6)[0] + b'late@example.com,"never closed\n')
    with pytest.raises(INCOMPLETE):
        await send(name, f"{web.url}/v1/scrubs?{QUERY}", path, administrator.authorization)


async def test_a_client_that_goes_away_while_sending_stops_the_work(client: Client):
    rows, _ = make_rows(8)
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(rows) * 2) + rows)
        scrub_id = (await read_head(reader))["Scrub-Id"]
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert "broken off" in record["error"]["detail"]


async def test_a_client_that_goes_away_while_reading_stops_the_work(client: Client):
    rows, _ = make_rows(16)
    async with connected(client.port, receive_buffer=4096) as (reader, writer):
        writer.write(make_head(client, len(rows)) + rows)
        await writer.drain()
        scrub_id = (await read_head(reader))["Scrub-Id"]
    assert (await wait_for_end(client, scrub_id))["status"] in {"failed", "done"}


async def test_a_chunked_list_that_ends_without_its_last_chunk_is_not_the_whole_list(client: Client):
    rows, _ = make_rows(4)
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, None) + f"{len(rows):x}\r\n".encode() + rows + b"\r\n")
        scrub_id = (await read_head(reader))["Scrub-Id"]
        writer.write_eof()
        assert not is_complete(await read_rest(reader))
    assert (await wait_for_end(client, scrub_id))["status"] == "failed"


@pytest.mark.parametrize("does", ["sends nothing", "reads nothing"])
async def test_a_client_that_falls_silent_is_let_go(settings, does):
    rows, _ = make_rows(16)
    async with open_client(settings, scrub_idle_seconds=1.0) as client:
        async with connected(client.port, receive_buffer=4096) as (reader, writer):
            length = len(rows) * (2 if does == "sends nothing" else 1)
            writer.write(make_head(client, length) + rows)
            await writer.drain()
            scrub_id = (await read_head(reader))["Scrub-Id"]
            if does == "sends nothing":
                assert not is_complete(await read_rest(reader))
            record = await wait_for_end(client, scrub_id)
            if does == "sends nothing":
                assert record["status"] == "failed"
                assert "no more of the list came" in record["error"]["detail"]
        # Its place is free again.
        assert (await client.scrub(f"email\n{fresh()}\n")).status == 200


async def test_no_more_is_kept_for_a_client_than_the_limit_allows(settings):
    rows, _ = make_rows(24)
    async with (
        open_client(settings, scrub_spill_bytes_max=2 * MEGABYTE) as client,
        connected(client.port, receive_buffer=4096) as (reader, writer),
    ):
        writer.write(make_head(client, len(rows)) + rows)
        await asyncio.wait_for(writer.drain(), PATIENCE_SECONDS)
        scrub_id = (await read_head(reader))["Scrub-Id"]
        record = await wait_for_end(client, scrub_id)
        assert record["status"] == "failed"
        assert "does not take its rows" in record["error"]["detail"]
        assert not is_complete(await read_rest(reader))


@pytest.mark.parametrize("megabytes", [0.01, 24])
async def test_a_full_disk_is_told_or_ends_the_answer_visibly(client: Client, monkeypatch, megabytes):
    def fail(*_how, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("forbear.web.spool.MEMORY_BYTES", 0 if megabytes < 1 else MEGABYTE)
    monkeypatch.setattr("forbear.web.spool.tempfile.TemporaryFile", fail)
    rows, _ = make_rows(megabytes)
    async with connected(client.port, receive_buffer=4096) as (reader, writer):
        writer.write(make_head(client, len(rows)) + rows)
        await asyncio.wait_for(writer.drain(), PATIENCE_SECONDS)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
        rest = await read_rest(reader) if head.startswith(b"HTTP/1.1 200 ") else b""
    assert not is_complete(rest)
    scrub_id = re.search(rb"Scrub-Id: ([0-9a-f-]+)", head)[1].decode()
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert "no room on disk" in record["error"]["detail"]


async def test_a_process_that_is_ended_breaks_off_visibly_and_in_time(web_list):
    settings, folder, administrator = web_list
    rows, _ = make_rows(8)
    async with running_web(settings, folder, FORBEAR_SHUTDOWN_SECONDS="2") as web:
        async with connected(int(web.url.rpartition(":")[2])) as (reader, writer):
            writer.write(make_head(administrator, len(rows) * 2) + rows)
            scrub_id = (await read_head(reader))["Scrub-Id"]
            os.kill(web.pid, signal.SIGTERM)
            assert not is_complete(await read_rest(reader))
        assert await asyncio.wait_for(web.process.wait(), 20) == 0
    record = await wait_for_end(administrator, scrub_id)
    assert record["status"] == "failed"
    assert "broken off" in record["error"]["detail"]


# Limits and versions


async def test_no_more_scrubs_run_at_once_than_the_limit_allows(settings):
    async with open_client(settings, scrubs_at_once_max=1) as client:
        async with connected(client.port) as (reader, writer):
            writer.write(make_head(client, None) + b"6\r\nemail\n\r\n")
            await wait_until_running(client)
            refused = await client.scrub(make_rows(2)[0])
            assert_problem(refused, 503, "busy")
            writer.write(b"0\r\n\r\n")
            await read_head(reader)
        assert (await wait_until_free(client)).status == 200


async def wait_until_running(client: Client) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), client.context.database.connection() as connection:
        sql = "SELECT count(*) FROM scrubs WHERE status = 'running'"
        while not await connection.fetchval(sql):  # noqa: ASYNC110 - it is the server's state
            await asyncio.sleep(0.02)


async def wait_until_free(client: Client):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await client.scrub("email\n")).status != 200:  # noqa: ASYNC110 - it is the server's state
            await asyncio.sleep(0.02)
    return answer


@pytest.mark.parametrize("size", [0, 2 * MEGABYTE])
async def test_http_1_0_could_not_tell_a_part_from_the_whole(client: Client, size):
    async with connected(client.port) as (reader, writer):
        head = make_head(client, size).replace(b"HTTP/1.1", b"HTTP/1.0")
        writer.write(head + b"x" * size)
        answer = await read_rest(reader)
    assert answer.startswith(b"HTTP/1.0 505 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("query", "status"), [("purpose=spam&scope=*", 422), ("purpose=marketing&scope=unheard-of", 422)]
)
async def test_whoever_sends_first_gets_to_read_the_refusal(web: Web, administrator: Client, large, query, status):
    path, _ = large
    url = f"{web.url}/v1/scrubs?{query}"
    answer = await asyncio.to_thread(
        requests.post, url, data=path.read_bytes(), headers=administrator.authorization, timeout=PATIENCE_SECONDS
    )
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["wrong", ""])
async def test_whoever_has_no_key_gets_to_read_that_too(web: Web, large, key):
    path, _ = large
    url = f"{web.url}/v1/scrubs?{QUERY}"
    headers = {"Authorization": f"Bearer {key}"}
    answer = await asyncio.to_thread(
        requests.post, url, data=path.read_bytes(), headers=headers, timeout=PATIENCE_SECONDS
    )
    assert answer.status_code == 401
