"""Every client gets its list through a real process, all of it or visibly not, whatever it does first."""

import asyncio
import gzip

import pytest
import requests

from tests.doors.callers import Client
from tests.doors.clients import CLIENTS, INCOMPLETE, send
from tests.doors.streams import (
    MEGABYTE,
    PATIENCE_SECONDS,
    QUERY,
    connected,
    make_head,
    make_rows,
    read_head,
    read_rest_of_answer,
    wait_for_end,
)
from tests.processes import wait_for
from tests.webs import Web


@pytest.mark.parametrize("name", CLIENTS)
async def test_every_client_gets_a_large_list_through(web: Web, administrator: Client, large, name):
    path, kept = large
    body = await send(name, f"{web.url}/v1/scrubs?{QUERY}", path, administrator.authorization)
    assert len(body) == len(kept)
    assert body == kept


@pytest.mark.parametrize("name", ["urllib", "requests", "httpx", "aiohttp", "curl --data-binary", "curl -T"])
async def test_p11_no_client_takes_a_part_for_the_whole(web: Web, administrator: Client, tmp_path, name):
    path = tmp_path / "list.csv"
    path.write_bytes(make_rows(6)[0] + b'late@example.com,"never closed\n')
    with pytest.raises(INCOMPLETE):
        await send(name, f"{web.url}/v1/scrubs?{QUERY}", path, administrator.authorization)


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
