"""The embedded PostgreSQL: made once per data folder, started and stopped by whoever holds the folder's lock.

It listens on a Unix socket in a folder that nobody else may enter, and asks everybody for a password.
"""

from __future__ import annotations

import os
import shutil
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from forbear.domain.errors import ListUnavailable, Misconfigured
from forbear.local.account import Account, choose_account
from forbear.local.binaries import Binaries, find_binaries, make_reachable
from forbear.local.credentials import DATABASE, SUPERUSER, Credentials, write_privately
from forbear.local.leftovers import end_leftovers, list_servers
from forbear.local.place import Place, find_place, make_place, make_private_folder
from forbear.local.process import end, last_lines, run, spawn, wait_until

START_SECONDS_MAX = 600.0  # recovery after a crash replays about max_wal_size; longer means that it hangs
LOGGER_SECONDS_MAX = 5.0
_STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None))
_ROLES = Path(__file__).with_name("roles.sql")
_STATUS_LINE = 7  # of postmaster.pid, counted from 0

_CONTAINER_MEMORY = Path("/sys/fs/cgroup/memory.max")

# Everybody is asked for a password, and no address of the network is let in.
_ACCESS = """\
local  all          all  scram-sha-256
local  replication  all  scram-sha-256
"""

# No statement and no detail is logged, because both can hold addresses of people. Every entry changes pages all over
# its indexes: with little memory, or a checkpoint every few minutes, each of them is written again and again.
_CONFIGURATION = """
shared_buffers = {buffers_mib}MB
max_wal_size = 2GB
checkpoint_timeout = 15min
max_connections = 100
password_encryption = scram-sha-256
log_destination = stderr
logging_collector = on
log_directory = log
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_statement = none
log_min_error_statement = panic
log_error_verbosity = terse
"""


class Cluster:
    """One PostgreSQL server. Only the holder of the data folder's lock may make, start or stop one."""

    def __init__(
        self, home: Path, place: Place, binaries: Binaries, account: Account | None, credentials: Credentials
    ) -> None:
        """Take what `open_cluster` has found."""
        self.home = home
        self.place = place
        self.credentials = credentials
        self._binaries = binaries
        self._account = account
        self._process: Process | None = None

    def url(self, role: str, database: str = DATABASE) -> str:
        """The URL with which a role connects; it holds the password."""
        return self.credentials.url(role, self.place.socket, database)

    @property
    def pid(self) -> int | None:
        """The postmaster's id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the server and return once it takes connections, whatever an earlier run has left behind.

        Raises `ListUnavailable` with the server's last words when it does not come up.
        """
        await end_leftovers(self.place.data, self.place.socket)
        self._process = await self._spawn()
        try:
            await self._wait_until_ready(self._process)
            if not self.credentials.is_initialised:
                await self._make_roles()
                self.credentials = self.credentials.finish(self.home)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait until the server ends, and return its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """End the server: its clients are cut off, what they committed is kept."""
        if self._process:
            await end(self._process, *_STOP_STEPS)
            # Its logger ends a moment after it, and would still be writing to a folder that somebody may remove.
            await wait_until(lambda: not list_servers(self.place.data), LOGGER_SECONDS_MAX)

    @property
    def _first_words(self) -> Path:
        return self.place.folder / "start.log"

    async def _spawn(self) -> Process:
        self._first_words.unlink(missing_ok=True)
        with self._first_words.open("wb") as log:
            return await spawn(
                [self._binaries.path("postgres"), "-D", self.place.data, *self._options()],
                account=self._account,
                death_signal="INT",
                output=log,
                folder=self.place.data,
            )

    def _options(self) -> list[str]:
        # On the command line, where neither postgresql.conf nor ALTER SYSTEM can change them.
        chosen = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.place.socket}"',
            "unix_socket_permissions": "0700",
            "hba_file": self.place.data / "pg_hba.conf",
            "fsync": "on",
            "full_page_writes": "on",
        }
        return [f"--{name}={value}" for name, value in chosen.items()]

    async def _wait_until_ready(self, process: Process) -> None:
        await wait_until(
            lambda: process.returncode is not None or self._says_ready(process.pid), seconds=START_SECONDS_MAX
        )
        if process.returncode is not None or not self._says_ready(process.pid):
            words = last_lines(self._first_words.read_text(errors="replace"))
            raise ListUnavailable(f"PostgreSQL did not start: {words} (its log is in {self.place.data / 'log'})")

    def _says_ready(self, pid: int) -> bool:
        try:
            lines = (self.place.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    async def _make_roles(self) -> None:
        where = (f"--host={self.place.socket}", f"--username={SUPERUSER}", "--dbname=postgres")
        await run(
            [self._binaries.path("psql"), "--no-psqlrc", *where, f"--file={_ROLES}"],
            environment={
                "PGPASSWORD": self.credentials.postgres,
                "FORBEAR_OWNER_PASSWORD": self.credentials.forbear_owner,
                "FORBEAR_SERVICE_PASSWORD": self.credentials.forbear_service,
            },
        )


async def open_cluster(home: Path) -> Cluster:
    """Open the cluster of a data folder, and make it when there is none; it is not started.

    Raises `Misconfigured` when half of it is missing: a list that was there is never replaced by an empty one.
    """
    credentials = Credentials.find(home)
    place = find_place(home)
    is_made = place is not None and place.data.is_dir()
    if credentials is None and is_made:
        raise Misconfigured(f"{home} holds a database but not its postgres.json: put that back from a backup")
    if credentials is not None and credentials.is_initialised and not is_made:
        raise Misconfigured(f"the database of {home} is missing: it was in {place.folder if place else home}")
    if place is None or credentials is None or not is_made:
        return await _make_cluster(home, credentials)
    account = choose_account(place.data)
    binaries = await find_binaries(int((place.data / "PG_VERSION").read_text()))
    return await _assemble(home, place, binaries, account, credentials)


async def _make_cluster(home: Path, credentials: Credentials | None) -> Cluster:
    account = choose_account(None)
    place = await make_place(home, account)
    binaries = await find_binaries(None)
    if credentials is None:
        credentials = Credentials.make()
        credentials.save(home)
    cluster = await _assemble(home, place, binaries, account, credentials)
    await _initialise(place, cluster._binaries, account, credentials)  # noqa: SLF001 - perhaps a copy
    return cluster


async def _assemble(
    home: Path, place: Place, binaries: Binaries, account: Account | None, credentials: Credentials
) -> Cluster:
    reachable = await make_reachable(binaries, account, place.folder)
    place.make_socket_folder(account)
    return Cluster(home, place, reachable, account, credentials)


def _choose_buffers_mib() -> int:
    """An eighth of the memory that this machine or container has, from 128 MiB to 1 GiB."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CONTAINER_MEMORY.read_text()))
    return min(max(memory // 8 // 1024**2, 128), 1024)


async def _initialise(place: Place, binaries: Binaries, account: Account | None, credentials: Credentials) -> None:
    """Make the data in a folder aside, so that what bears its name is whole."""
    aside = place.folder / "data.new"
    shutil.rmtree(aside, ignore_errors=True)
    make_private_folder(aside, account)
    password = place.folder / "password"
    write_privately(password, credentials.postgres)
    if account:
        os.chown(password, account.uid, account.gid)
    options = ("--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}")
    try:
        await run(
            [binaries.path("initdb"), *options, f"--pwfile={password}", f"--pgdata={aside}"],
            account=account,
            folder=aside,
        )
    finally:
        password.unlink(missing_ok=True)
    (aside / "pg_hba.conf").write_text(_ACCESS)
    with (aside / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION.format(buffers_mib=_choose_buffers_mib()))
    aside.rename(place.data)
