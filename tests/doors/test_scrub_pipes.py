"""`forbear scrub - -o -`: between other programs, which may be slow or fall silent."""

import asyncio
import signal

from tests.commands import command_line, list_environment, run_command
from tests.processes import running

ANN, BOB = "ann@example.com", "bob@example.com"


async def read_status(context) -> str | None:
    async with context.database.connection() as connection:
        return await connection.fetchval("SELECT status::text FROM scrubs")


async def wait_until_under_way(context) -> None:
    """Wait for what a scrub writes down now and then while it runs."""
    async with asyncio.timeout(60), context.database.connection() as connection:
        while not await connection.fetchval("SELECT as_of IS NOT NULL FROM scrubs"):  # noqa: ASYNC110 - elsewhere
            await asyncio.sleep(0.02)


async def test_a_list_passes_from_pipe_to_pipe(settings):
    await run_command(settings, "suppress", ANN)
    rows = b"".join(b"person%d@example.com,%s\n" % (number, b"x" * 100) for number in range(50_000))
    arguments = command_line("scrub", "-", "-o", "-", "--column", "email")
    async with running(arguments, environment=list_environment(settings)) as process:
        kept, words = await process.communicate(b"email,note\n" + f"{ANN},first\n".encode() + rows)
    assert process.returncode == 0, words.decode()
    assert kept == b"email,note\n" + rows


async def test_ctrl_c_ends_it_though_the_list_has_fallen_silent(settings, context):
    arguments = command_line("scrub", "-", "-o", "-", "--column", "email")
    async with running(arguments, environment=list_environment(settings)) as process:
        process.stdin.write(f"email\n{BOB}\n".encode())
        await process.stdin.drain()
        await wait_until_under_way(context)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 130
        assert b"Fatal" not in await process.stderr.read()
    assert await read_status(context) == "failed"
