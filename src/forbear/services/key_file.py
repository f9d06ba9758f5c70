"""The key file: JSON, readable by its owner only, and the one thing that must be backed up apart from the database.

{"format": "forbear-keys-1",
 "keys": [{"role": "fingerprint", "id": 1, "secret": "<base64>", "created_at": "...", "retired_at": null}, ...]}
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from forbear.domain.errors import Misconfigured, WrongKeys
from forbear.domain.keys import KEY_ID_MAX, SECRET_BYTES, Key, Keyring, KeyRole, check_recorded
from forbear.store import Connection
from forbear.store import key as key_store

FORMAT: Final = "forbear-keys-1"
_OPEN_TO_OTHERS: Final = 0o077


def make_keyring(now: datetime) -> Keyring:
    """A new ring for a new list."""
    return Keyring(tuple(_make_key(role, 1, now) for role in KeyRole))


def read_key_file(path: Path) -> Keyring:
    """Read a key file. Raises `Misconfigured` where it is missing, unreadable, open to others or not a key file."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & _OPEN_TO_OTHERS:
        raise Misconfigured(f"the key file {path} can be read by others: chmod 600 it")
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise WrongKeys(f"{path} is not a key file of this program")
        return Keyring(
            tuple(
                Key(
                    KeyRole(key["role"]),
                    int(key["id"]),
                    b64decode(key["secret"], validate=True),
                    str(key["created_at"]),
                    key["retired_at"],
                )
                for key in content["keys"]
            )
        )
    except (ValueError, KeyError, TypeError, Base64Error) as error:
        raise WrongKeys(f"{path} is not a key file of this program") from error


def write_key_file(path: Path, ring: Keyring, *, replacing: bool = False) -> None:
    """Write a key file (0600, synced to disk). Raises `Misconfigured` where one exists and must not be replaced."""
    if path.exists() and not replacing:
        raise Misconfigured(f"{path} exists already")
    keys = [
        {
            "role": key.role.value,
            "id": key.id,
            "secret": b64encode(key.secret).decode(),
            "created_at": key.created_at,
            "retired_at": key.retired_at,
        }
        for key in ring.keys
    ]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "keys": keys}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if replacing:
        aside.replace(path)
    else:
        # A link never replaces: of two first starts at once, the second fails here.
        try:
            path.hardlink_to(aside)
        except FileExistsError as error:
            raise Misconfigured(f"{path} exists already") from error
        finally:
            aside.unlink()


async def prepare_keys(connection: Connection, path: Path, now: datetime) -> Keyring:
    """The ring of this list: read and checked, or made and recorded where the list is new.

    Raises `WrongKeys` rather than making a key for a list that was written with another.
    """
    recorded = await key_store.list_key_records(connection)
    if not path.exists():  # noqa: ASYNC240 - read once, before anything is served
        if recorded or await key_store.has_entries(connection):
            raise WrongKeys(f"the key file {path} is missing, and this list was written with its keys: restore it")
        write_key_file(path, make_keyring(now))
    ring = read_key_file(path)
    await record_keys(connection, ring)
    return ring


async def load_keys(connection: Connection, path: Path) -> Keyring:
    """The ring of a list that exists. Raises `WrongKeys` where it lacks a key in use."""
    ring = read_key_file(path)
    recorded = await key_store.list_key_records(connection)
    if not recorded:
        raise Misconfigured("the list has no keys yet: run forbear migrate")
    check_recorded(ring, recorded)
    return ring


async def rotate_sealing_key(connection: Connection, path: Path, now: datetime) -> Keyring:
    """Add a sealing key and retire the others, which go on opening what they sealed."""
    ring = await load_keys(connection, path)
    sealing = [key for key in ring.keys if key.role is KeyRole.SEALING]
    next_id = max(key.id for key in sealing) + 1
    if next_id > KEY_ID_MAX:
        raise Misconfigured(f"the key file already holds {KEY_ID_MAX} sealing keys")
    stamp = now.isoformat(timespec="seconds")
    kept = [
        replace(key, retired_at=key.retired_at or stamp) if key.role is KeyRole.SEALING else key for key in ring.keys
    ]
    rotated = Keyring((*kept, _make_key(KeyRole.SEALING, next_id, now)))
    # The file comes first: a key that only the database knew of would lock every process out.
    write_key_file(path, rotated, replacing=True)
    await record_keys(connection, rotated)
    return rotated


async def record_keys(connection: Connection, ring: Keyring) -> None:
    """Record every key of the ring as in use, after checking it against those recorded before."""
    check_recorded(ring, await key_store.list_key_records(connection))
    for key in ring.keys:
        await key_store.add_key_record(connection, key.role.value, key.id, key.check)
    check_recorded(ring, await key_store.list_key_records(connection))


def _make_key(role: KeyRole, key_id: int, now: datetime) -> Key:
    return Key(role, key_id, secrets.token_bytes(SECRET_BYTES), now.isoformat(timespec="seconds"))
