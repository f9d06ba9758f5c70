"""Scrubs as streams: any pace, and every way in which one can break off."""

import asyncio
import gzip
import io
import os
import re
import signal
from uuid import UUID

import pytest

from forbear.web.scrub_stream import SCRUBS_UNDER_WAY
from tests.doors.callers import Client, assert_problem, fresh, open_client
from tests.doors.streams import (
    GONE,
    MEGABYTE,
    PATIENCE_SECONDS,
    connected,
    is_complete,
    make_head,
    make_rows,
    read_head,
    read_rest,
    read_rest_of_answer,
    read_until_complete,
    wait_for_end,
)
from tests.processes import wait_for
from tests.webs import running_web


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


async def test_a_client_that_goes_away_while_sending_stops_the_work(client: Client):
    rows, _ = make_rows(8)
    async with connected(client.port) as (reader, writer):
        writer.write(make_head(client, len(rows) * 2) + rows)
        scrub_id = (await read_head(reader))["Scrub-Id"]
    record = await wait_for_end(client, scrub_id)
    assert record["status"] == "failed"
    assert "broken off" in record["error"]["detail"]


async def test_a_client_that_goes_away_while_reading_holds_no_place_any_longer(client: Client):
    rows, _ = make_rows(16)
    async with connected(client.port, receive_buffer=4096) as (reader, writer):
        writer.write(make_head(client, len(rows)) + rows)
        await writer.drain()
        scrub_id = (await read_head(reader))["Scrub-Id"]
        assert client.app[SCRUBS_UNDER_WAY].running > 0
    # It may have been decided to its end before anybody found out.
    assert (await wait_for_end(client, scrub_id))["status"] in {"failed", "done"}
    await wait_for(lambda: client.app[SCRUBS_UNDER_WAY].running == 0, "the scrub to end")


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
