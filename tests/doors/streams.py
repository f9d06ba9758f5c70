"""Lists on their way through a connection, byte by byte, and what is seen of the answer."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager

from tests.doors.callers import Client

MEGABYTE = 1024 * 1024
GONE = "gone@example.com"
QUERY = "purpose=marketing&scope=*"
PATIENCE_SECONDS = 120


def make_rows(megabytes: float, width: int = 100) -> tuple[bytes, bytes]:
    """A list of that size, every hundredth of whose rows is of somebody who has left; and what must come out."""
    count = int(megabytes * MEGABYTE / width)
    rows = [f"{n}@example.com,".encode().ljust(width - 1, b"x") + b"\n" for n in range(count)]
    kept = b"email,filler\n" + b"".join(rows)
    for n in range(0, count, 100):
        rows.insert(n, (GONE + ",x\n").encode())
    return b"email,filler\n" + b"".join(rows), kept


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


async def read_rest_of_answer(reader) -> bytes:
    """A chunked body, to its last chunk."""
    found = []
    while size := int(await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS), 16):
        found.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(found)
