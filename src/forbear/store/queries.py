"""Finds the SQL that ships with the program and reads its query files.

A query file holds statements, each after a line `-- name: verb_noun` and one comment line that says what it does.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z][a-z_]*)\n-- \S.*\n", re.MULTILINE)


@cache
def sql_folder() -> Path:
    """The folder `sql`: inside the installed package, or beside `src` in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent.parent / "sql"


@cache
def load_queries(noun: str) -> MappingProxyType[str, str]:
    """The statements of one query file by name. Raises ValueError where a statement is not well formed."""
    path = sql_folder() / "queries" / f"{noun}.sql"
    head, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    names, bodies = parts[::2], [body.strip() for body in parts[1::2]]
    if head.strip() or len(set(names)) != len(names) or not all(body.endswith(";") for body in bodies):
        raise ValueError(f"{path.name} is not well formed")
    return MappingProxyType(dict(zip(names, bodies, strict=True)))
