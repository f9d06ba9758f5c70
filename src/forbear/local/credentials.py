"""Passwords of the embedded PostgreSQL's roles, in `postgres.json` of the data folder (0600)."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

from forbear.domain.errors import Misconfigured

FILE_NAME = "postgres.json"
DATABASE = "forbear"
SUPERUSER = "postgres"
OWNER = "forbear_owner"
SERVICE = "forbear_service"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """One password per role, and whether the cluster they belong to was finished."""

    postgres: str
    forbear_owner: str
    forbear_service: str
    is_initialised: bool = False

    @classmethod
    def make(cls) -> Self:
        """Make new ones, with 192 bits each, in letters that need no quoting in a URL."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(24))

    @classmethod
    def find(cls, data: Path) -> Self | None:
        """Read a data folder's; `None` when it has none. Raises `Misconfigured` when they cannot be read."""
        path = data / FILE_NAME
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise Misconfigured(f"{path} is damaged: put it back from a backup") from error

    def save(self, data: Path) -> None:
        """Write them, whole or not at all."""
        write_privately(data / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")

    def finish(self, data: Path) -> Self:
        """Note that the cluster is there: from now on a missing one is an error, and never made anew."""
        finished = replace(self, is_initialised=True)
        finished.save(data)
        return finished

    def url(self, role: str, socket: Path, database: str = DATABASE) -> str:
        """The URL with which a role connects through the socket in this folder; it holds the password."""
        password = {SUPERUSER: self.postgres, OWNER: self.forbear_owner, SERVICE: self.forbear_service}[role]
        return f"postgresql://{role}:{password}@/{database}?host={quote(str(socket), safe='/')}"

    def urls(self, socket: Path) -> dict[str, str]:
        """Both URLs that the program works with, by the names of their settings."""
        return {"database_url": self.url(SERVICE, socket), "migrate_url": self.url(OWNER, socket)}


def write_privately(path: Path, text: str) -> None:
    """Write a file that only we may read, so that after a power cut either the old or the new one is there."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
