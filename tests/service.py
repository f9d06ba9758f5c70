"""`forbear start` as a real process, and what it started."""

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from forbear.local.leftovers import list_servers
from forbear.local.place import find_place
from tests.processes import ROOT, list_marked, running, wait_for


@dataclass
class Service:
    """A service that was started on a data folder (or on somebody's database, when `home` is None)."""

    home: Path | None
    process: asyncio.subprocess.Process
    mark: str
    stderr_file: Path
    http: str = ""
    api_key: str = ""
    database_url: str = ""
    pid: int = 0

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self.stderr_file.read_text(errors="replace")

    def list_processes(self) -> list[int]:
        """Everything that it has started and that still runs, itself included."""
        place = find_place(self.home) if self.home else None
        servers = list_servers(place.data) if place else []
        return [*list_marked(self.mark), *servers]

    def find_child(self, command: str) -> int | None:
        """The process of one subcommand."""
        for pid in list_marked(self.mark):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if command.encode() in words and pid != self.process.pid and b"-c" not in words:
                return pid
        return None

    def find_postmaster(self) -> int:
        """PostgreSQL's first process."""
        return int((find_place(self.home).data / "postmaster.pid").read_text().split()[0])

    async def wait_until_ready(self) -> None:
        """Wait for its line of JSON."""
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        assert line, self.stderr
        for name, value in json.loads(line).items():
            setattr(self, name, value)

    async def call(self, method: str, path: str, **body) -> tuple[int, dict]:
        """Make one HTTP call with the local API key; the status, 0 when nobody answers, and the answer's JSON."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            try:
                async with session.request(method, self.http + path, json=body or None) as answer:
                    return answer.status, json.loads(await answer.read() or "{}")
            except aiohttp.ClientConnectionError:
                return 0, {}

    async def is_ready(self) -> bool:
        """Whether the list can be asked."""
        status, _ = await self.call("GET", "/readyz")
        return status == 200

    async def wait_for_status(self, status: int) -> None:
        """Wait until /readyz answers this."""
        async with asyncio.timeout(60):
            while (await self.call("GET", "/readyz"))[0] != status:  # noqa: ASYNC110 - it is not our process
                await asyncio.sleep(0.02)

    async def suppress(self, address: str) -> None:
        """Put an address on the list."""
        row = {"address": address, "reason": "unsubscribe", "scope": "*"}
        status, answer = await self.call("POST", "/v1/suppressions", suppressions=[row])
        assert (status, answer["results"][0]["status"]) == (200, "added")

    async def ask(self, address: str) -> tuple[int, str | None]:
        """The status of an answer about an address, and the verdict if there was one."""
        status, answer = await self.call("POST", "/v1/check", purpose="marketing", scope="*", addresses=[address])
        return status, answer["results"][0]["verdict"] if status == 200 else None

    async def check(self, address: str) -> str:
        """The verdict about an address."""
        status, verdict = await self.ask(address)
        assert status == 200, self.stderr
        return verdict

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, and wait until nothing that it started is left; its exit code."""
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 60)
        await wait_for(lambda: not self.list_processes(), "everything to end")
        return code


@asynccontextmanager
async def launched(
    home: Path | None, *options: str, environment: Mapping[str, str] = {}, folder: Path | None = None
) -> AsyncIterator[Service]:
    """Launch `forbear start`; it may not be ready yet. Whatever is left of it at the end is killed."""
    mark = f"TEST_MARK={secrets.token_hex(8)}"
    stderr_file = (folder or home.parent) / f"stderr-{secrets.token_hex(4)}"
    place = ["--data", home] if home else []
    arguments = [sys.executable, "-m", "forbear", "start", *place, "--http", "127.0.0.1:0", *options]
    marked = dict([mark.split("=")]) | dict(environment)
    async with running(arguments, environment=marked, stderr_file=stderr_file, folder=folder or ROOT) as process:
        service = Service(home, process, mark, stderr_file)
        yield service
        if process.returncode is None:
            await service.end()


@asynccontextmanager
async def started(home: Path | None, *options: str, **how) -> AsyncIterator[Service]:
    """Run `forbear start`, ready."""
    async with launched(home, "--json", *options, **how) as service:
        await service.wait_until_ready()
        yield service
