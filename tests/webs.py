"""`forbear web` as a real process on a list of the test's own, and what the kernel knows about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from forbear import bootstrap
from forbear.config import Settings
from forbear.local.cluster import Cluster, open_cluster
from forbear.local.credentials import OWNER, SERVICE
from tests.processes import running, wait_for

_PYTHON = Path(__file__).parents[1] / ".venv" / "bin" / "python"


@dataclass(frozen=True)
class Memory:
    """What a process holds, by proc(5)."""

    pid: int

    def read_peak_bytes(self) -> int:
        """The most memory it ever held at once (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has gone")

    def forget_peak(self) -> None:
        """Let the peak begin anew at what it holds now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@dataclass(frozen=True)
class Web:
    """One web process."""

    process: asyncio.subprocess.Process
    url: str
    stderr_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def memory(self) -> Memory:
        return Memory(self.pid)

    @property
    def logs(self) -> list[dict]:
        """What it has logged."""
        lines = self.stderr_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def list_spill_bytes(self) -> list[int]:
        """The sizes of the unlinked files that it holds open."""
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                if link.readlink().name.endswith(" (deleted)") and link.stat().st_mode & 0o170000 == 0o100000:
                    found.append(link.stat().st_size)
            except OSError:
                continue
        return found


@asynccontextmanager
async def running_web(settings: Settings, folder: Path, **environment: str) -> AsyncIterator[Web]:
    """Run a web process, ready; its log goes to a file in the folder."""
    stderr_file = folder / f"web-{len(list(folder.glob('web-*')))}.log"
    chosen = {
        "DATABASE_URL": settings.database_url,
        "FORBEAR_KEYS": str(settings.keys_path),
        "FORBEAR_HTTP": "127.0.0.1:0",
        **environment,
    }
    async with running([_PYTHON, "-m", "forbear", "web"], environment=chosen, stderr_file=stderr_file) as process:

        def find_url() -> str | None:
            assert process.returncode is None, stderr_file.read_text()
            return next((line["http"] for line in web.logs if line["event"] == "listening"), None)

        web = Web(process, "", stderr_file)
        url = await wait_for(find_url, "the web process to listen")
        yield Web(process, url, stderr_file)


@asynccontextmanager
async def running_cluster(home: Path) -> AsyncIterator[tuple[Cluster, Settings]]:
    """Run a PostgreSQL that a test may kill, with a list on it."""
    home.mkdir()
    home.chmod(0o711)
    cluster = await open_cluster(home)
    await cluster.start()
    try:
        settings = Settings(database_url=cluster.url(SERVICE), migrate_url=cluster.url(OWNER), keys=home / "keys.json")
        await bootstrap.set_up(settings)
        yield cluster, settings
    finally:
        await cluster.stop()
