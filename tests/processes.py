"""Real processes, and waiting for what they do."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).parents[1]


async def wait_for(condition: Callable[[], object], what: str, seconds: float = 60):
    """Wait until a condition holds, and return what it gave."""
    limit = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < limit, f"waited {seconds} s in vain for: {what}"
        await asyncio.sleep(0.02)
    return result


def list_marked(mark: str) -> list[int]:
    """Live processes whose environment holds a mark: everything that somebody with that mark has started."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _is_marked(entry, mark)]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not asked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@asynccontextmanager
async def running(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] = {},
    stderr_file: Path | None = None,
    folder: Path = ROOT,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program of which we read stdout, and stderr unless a file takes it; it is killed if it still runs."""
    with stderr_file.open("wb") if stderr_file else nullcontext(asyncio.subprocess.PIPE) as stderr:
        process = await asyncio.create_subprocess_exec(
            # Whoever runs the tests in the background of a script has SIGINT ignored, and programs inherit that.
            *("env", "--default-signal=INT"),
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
            cwd=folder,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _is_marked(process: Path, mark: str) -> bool:
    try:
        return mark.encode() in (process / "environ").read_bytes() and is_alive(int(process.name))
    except OSError:
        return False
