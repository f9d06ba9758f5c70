"""Under which account of the operating system PostgreSQL runs: never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from forbear.domain.errors import Misconfigured

SYSTEM_USER = "forbear"


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account that root hands a program over to."""

    uid: int
    gid: int

    @property
    def setpriv_arguments(self) -> tuple[str, ...]:
        """Give up root for good: ids, further groups, and the way back through setuid programs."""
        return (f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs")


def choose_account(data: Path | None) -> Account | None:
    """Choose the account for a cluster's data, `None` when they are yet to be made; it answers `None` for our own.

    A cluster that exists is run by whoever owns it, so that root may use what an ordinary user made.
    As root, a new one is run by a system user of its own, which is made when missing.
    """
    if os.geteuid() != 0:
        return None
    if data is not None and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    entry = _find_system_user() or _make_system_user()
    return Account(entry.pw_uid, entry.pw_gid)


def _find_system_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _make_system_user() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        subprocess.run(  # noqa: S603 - fixed arguments
            [
                useradd,
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                SYSTEM_USER,
            ],
            check=False,  # somebody else may have made it just now: whether it is there decides
            capture_output=True,
        )
    entry = _find_system_user()
    if entry is None:
        raise Misconfigured(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made: "
            f"run useradd --system {SYSTEM_USER}, or start Forbear as an ordinary user"
        )
    return entry
