"""A worker that is killed loses no message, and sends one twice only where nobody knows what became of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from forbear import bootstrap
from forbear.domain.address import parse_address
from forbear.services.outbox import Message, MessageKind, queue_message
from forbear.store.database import open_owner_connection
from tests.doors.callers import open_client
from tests.mail_server import MailServer, running_mail_server
from tests.processes import ROOT, running, wait_for

PYTHON = ROOT / ".venv" / "bin" / "python"
ADDRESS = "camille@example.com"
VALUES = {"link": "https://mail.example.com/c/token", "day": "27 November 2026", "choices": []}
MAIL = {"FORBEAR_MAIL_FROM": "Maison <news@maison.example>"}


@asynccontextmanager
async def running_worker(
    settings, folder, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, callable]]:
    """Run a worker; the second thing gives the lines that it has logged."""
    path = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
    chosen = {"DATABASE_URL": settings.database_url, "FORBEAR_KEYS": str(settings.keys_path), **environment}

    def read_log() -> list[dict]:
        lines = path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    async with running([PYTHON, "-m", "forbear", "worker"], environment=chosen, stderr_file=path) as process:
        yield process, read_log


async def queue(settings) -> None:
    async with bootstrap.open_context(settings) as context, context.database.transaction() as connection:
        message = Message(MessageKind.CONFIRM_SUBSCRIPTION, parse_address(ADDRESS), "en", "maison", VALUES)
        await queue_message(context, connection, message)


async def find_status(connection) -> str:
    return await connection.fetchval("SELECT status::text FROM outbox")


async def wait_for_status(connection, status: str) -> None:
    async with asyncio.timeout(60):
        while await find_status(connection) != status:  # noqa: ASYNC110 - the list gives no signal to wait for
            await asyncio.sleep(0.02)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as opened:
        yield opened


@pytest.fixture
async def owner(settings):
    async with open_owner_connection(settings.migrate_url) as opened:
        yield opened


@pytest.mark.parametrize(("step", "copies"), [("EHLO", 1), ("MAIL", 1), ("RCPT", 1), ("DATA", 2)])
async def test_a_worker_that_is_killed_loses_no_message(settings, owner, server, tmp_path, step, copies):
    server.hold = step
    await queue(settings)
    upstream = MAIL | {"FORBEAR_UPSTREAM": server.url}
    async with running_worker(settings, tmp_path, **upstream) as (first, _):
        await wait_for(server.held.is_set, f"the worker to come to {step}")
        first.kill()
        await first.wait()
    assert await find_status(owner) == "sending"
    server.hold = None
    async with running_worker(settings, tmp_path, **upstream) as (_, read_log):
        # Its hold would run out by itself some minutes later.
        await owner.execute("UPDATE outbox SET due_at = clock_timestamp()")
        await wait_for_status(owner, "delivered")
        logged = [line["event"] for line in read_log()]
    assert len(server.received) == copies
    assert len({received.message["Message-ID"] for received in server.received}) == 1
    assert ("message_sent_again" in logged) == (copies == 2)


async def test_a_worker_that_is_told_to_end_gives_up_what_hangs(settings, owner, server, tmp_path):
    server.hold = "RCPT"
    await queue(settings)
    async with running_worker(settings, tmp_path, **MAIL, FORBEAR_UPSTREAM=server.url) as (process, _):
        await wait_for(server.held.is_set, "the worker to send")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert await find_status(owner) == "sending"


async def test_without_an_upstream_messages_wait_and_it_is_said(settings, owner, tmp_path):
    await queue(settings)
    async with running_worker(settings, tmp_path) as (_, read_log):
        line = await wait_for(
            lambda: next((row for row in read_log() if row["event"] == "no_upstream"), None), "a word"
        )
        assert line["level"] == "warning"
        async with open_client(settings) as client:
            assert (await client.ask("GET", "/readyz")).status == 200
    assert await find_status(owner) == "waiting"


async def test_no_log_line_holds_an_address_or_what_the_server_said(settings, owner, server, tmp_path):
    server.answers["RCPT"] = f"550 5.1.1 <{ADDRESS}> is unknown here"
    await queue(settings)
    async with running_worker(settings, tmp_path, **MAIL, FORBEAR_UPSTREAM=server.url):
        await wait_for_status(owner, "refused")
    (log,) = tmp_path.glob("worker-*.log")
    assert "camille" not in log.read_text()
    assert "unknown here" not in log.read_text()
