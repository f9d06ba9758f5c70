"""import, batches and export as commands."""

import asyncio
import os
import pty
import re
import signal
import stat

import pytest

from forbear.services import batches
from forbear.store.batch import BatchStatus
from tests.commands import command_line, list_environment, run_command
from tests.imports import SAMPLES
from tests.processes import running

ANN = "ann@example.com"


async def check(settings, address):
    return (await run_command(settings, "check", address)).out.split()[:2]


async def test_import_without_yes_shows_what_it_would_do_and_does_nothing(settings):
    done = await run_command(settings, "import", SAMPLES / "postmark.csv", "--scope", "*")
    assert done.code == 0
    assert "Postmark suppressions" in done.out
    assert re.search(r"hard_bounce +\* +new +1\n", done.out)
    assert "rows 4 = taken 4 + duplicates 0 + rejected 0" in done.out
    assert "--yes" in done.err
    assert await check(settings, ANN) == ["deliver", "-"]


async def test_import_with_yes_applies_and_can_be_undone(settings):
    done = await run_command(settings, "import", SAMPLES / "postmark.csv", "--scope", "*", "--yes")
    assert done.code == 0
    assert "batch 1 is applied" in done.out
    assert await check(settings, ANN) == ["suppress", "unsubscribe"]
    undone = await run_command(settings, "batches", "undo", "1")
    assert (undone.code, undone.err) == (0, "batch 1 is undone: 4 lifted, 0 kept because others asserted them too\n")
    assert await check(settings, ANN) == ["deliver", "-"]
    listed = await run_command(settings, "batches", "list")
    assert re.search(r"^ *1 .*undone .*postmark\.csv$", listed.out, re.MULTILINE)


async def test_import_reads_stdin(settings):
    done = await run_command(
        settings, "import", "-", "--reason", "unsubscribe", "--scope", "*", "--yes", stdin=f"{ANN}\n".encode()
    )
    assert done.code == 0
    assert await check(settings, ANN) == ["suppress", "unsubscribe"]


async def test_rows_that_were_not_taken_are_named_and_written_to_a_file(settings, tmp_path):
    source, rejected = tmp_path / "list.csv", tmp_path / "rejected.csv"
    source.write_bytes(b"email,since\nann@example.com,\nnonsense,2024-01-01\nz\xe9@example.com,\n")
    how = ("--reason", "manual", "--scope", "*", "--yes", "--rejected", rejected)
    done = await run_command(settings, "import", source, *how)
    assert done.code == 0
    assert "rows 3 = taken 1 + duplicates 0 + rejected 2" in done.out
    assert re.search(r"3 +invalid_address: there is no @", done.err)
    assert re.search(r"4 +not_utf8", done.err)
    assert "nonsense" not in done.out + done.err
    assert rejected.read_bytes() == b"email,since\nnonsense,2024-01-01\nz\xe9@example.com,\n"
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600


async def test_strict_applies_nothing_when_a_row_cannot_be_taken(settings, tmp_path):
    source = tmp_path / "list.csv"
    source.write_text("ann@example.com\nnonsense\n")
    done = await run_command(settings, "import", source, "--reason", "manual", "--scope", "*", "--yes", "--strict")
    assert done.code == 1
    assert await check(settings, ANN) == ["deliver", "-"]


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        (("--scope", "*"), 1, "give one for all"),
        (("--reason", "erased", "--scope", "*"), 1, "--reason is one of"),
        (("--reason", "manual", "--scope", "nowhere"), 1, "forbear scopes add nowhere"),
        (("--nonsense",), 2, "No such option"),
    ],
)
async def test_what_cannot_be_imported_says_why(settings, tmp_path, how, code, says):
    source = tmp_path / "list.csv"
    source.write_text("ann@example.com\n")
    done = await run_command(settings, "import", source, *how)
    assert done.code == code
    assert says in done.err


async def test_a_missing_file_is_bad_input(settings, tmp_path):
    assert (await run_command(settings, "import", tmp_path / "none.csv", "--yes")).code == 1


async def test_p3_a_list_that_cannot_be_asked_is_75(settings, tmp_path):
    away = settings.model_copy(update={"database_url": f"postgresql://nobody:x@/none?host={tmp_path}"})
    assert (await run_command(away, "import", SAMPLES / "ses.csv", "--scope", "*")).code == 75
    out = tmp_path / "export.csv"
    assert (await run_command(away, "export", "-o", out)).code == 75
    assert list(tmp_path.glob("*export*")) == []


async def test_on_a_terminal_it_asks(settings, tmp_path):
    for answer, verdict in (b"n\n", "deliver"), (b"y\n", "suppress"):
        code, shown = await run_on_terminal(settings, answer, "import", SAMPLES / "ses.csv", "--scope", "*")
        assert code == 0
        assert "Apply it?" in shown
        assert (await check(settings, ANN))[0] == verdict


async def run_on_terminal(settings, answer, *arguments):
    """Run a command whose three files are a terminal, and type an answer."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": "src", **list_environment(settings)}
    process = await asyncio.create_subprocess_exec(
        *map(str, command_line(*arguments)), stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    while piece := await asyncio.to_thread(read_terminal, ours):
        shown += piece
    os.close(ours)
    return await process.wait(), shown.decode()


def read_terminal(handle):
    try:
        return os.read(handle, 4096)
    except OSError:  # the other side has closed it
        return b""


async def test_an_import_survives_kill_9_in_the_middle(settings, context, tmp_path):
    source = tmp_path / "list.csv"
    people = 60_000
    source.write_text("".join(f"p{number}@example.com\n" for number in range(people)))
    arguments = command_line("import", source, "--reason", "manual", "--scope", "*", "--yes")
    async with running(arguments, environment=list_environment(settings)) as process:
        await wait_for_batch(context, lambda batch: batch.count("added"))
        process.kill()
        await process.wait()
    batch = await wait_for_batch(context, lambda batch: not batch.is_running)
    assert batch.is_interrupted
    assert 0 < batch.count("added") < people
    assert "(stopped)" in (await run_command(settings, "batches", "list")).out
    resumed = await run_command(settings, "batches", "resume", "1")
    assert resumed.code == 0
    batch = await find_batch(context)
    assert (batch.status, batch.count("added"), batch.count("duplicates")) == (BatchStatus.APPLIED, people, 0)
    async with context.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM entries WHERE lifted_at IS NULL") == people
        assert await connection.fetchval("SELECT count(*) FROM events") == people
        assert await connection.fetchval("SELECT count(*) FROM addresses") == people
        assert await connection.fetchval("SELECT count(*) FROM import_rows") == 0


async def test_an_import_that_is_interrupted_while_it_reads_leaves_nothing_behind(settings, context):
    arguments = command_line("import", "-", "--reason", "manual", "--scope", "*", "--yes")
    async with running(arguments, environment=list_environment(settings)) as process:
        process.stdin.write(b"ann@example.com\n" * 30_000)
        await process.stdin.drain()
        await wait_for_batch(context, lambda batch: batch.is_running)
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert await process.wait() == 130
    batch = await find_batch(context)
    assert (batch.status, batch.is_running) == (BatchStatus.DISCARDED, False)
    assert (await run_command(settings, "batches", "resume", "1")).code == 1


async def find_batch(context):
    found = await batches.list_batches(context)
    return found[0] if found else None


async def wait_for_batch(context, holds):
    """Wait until there is a batch of which something holds."""
    async with asyncio.timeout(60):
        while (batch := await find_batch(context)) is None or not holds(batch):  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.02)
    return batch


async def test_export_writes_a_private_file_that_imports_again(settings, tmp_path):
    await run_command(settings, "suppress", ANN, "@example.org")
    out = tmp_path / "export.csv"
    done = await run_command(settings, "export", "-o", out)
    assert (done.code, done.err) == (0, "2 entries and 0 grants exported\n")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    again = await run_command(settings, "import", out, "--yes")
    assert again.code == 0
    assert "rows 2 = taken 2 + duplicates 0 + rejected 0" in again.out


async def test_export_to_stdout(settings):
    await run_command(settings, "suppress", ANN)
    done = await run_command(settings, "export", "-o", "-", "--form", "keyed")
    header, row = done.out.splitlines()
    assert header.startswith("address,kind,channel,scope,reason,source,since,wide,fingerprint")
    assert row.startswith(",match,email,*,unsubscribe,operator,")


async def test_export_of_another_form_is_refused(settings):
    done = await run_command(settings, "export", "-o", "-", "--form", "xml")
    assert (done.code, done.out) == (1, "")
