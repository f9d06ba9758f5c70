"""The command line as a real process on a list of a test's own."""

import sys
from dataclasses import dataclass
from pathlib import Path

from forbear.config import Settings
from tests.processes import running


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


def list_environment(settings: Settings) -> dict[str, str]:
    """The variables under which a process works with this list."""
    return {"DATABASE_URL": settings.database_url, "FORBEAR_KEYS": str(settings.keys), "COLUMNS": "200"}


def command_line(*arguments: str | Path) -> list[str | Path]:
    """The words that start a subcommand."""
    return [sys.executable, "-m", "forbear", *arguments]


async def run_command(settings: Settings, *arguments: str | Path, stdin: bytes = b"") -> Finished:
    """Run one subcommand to its end; stdin is no terminal."""
    async with running(command_line(*arguments), environment=list_environment(settings)) as process:
        out, err = await process.communicate(stdin)
    return Finished(process.returncode, out.decode(), err.decode())
