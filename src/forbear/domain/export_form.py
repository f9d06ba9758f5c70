"""The form in which a list is exported, and read again: one CSV row an entry or grant.

A spreadsheet takes a cell that begins with certain characters for a formula, so such cells get an apostrophe in
front (OWASP ASVS 1.2.10). Cells that already look like that get one more, so that it can always be taken off again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2s
from typing import Final, NamedTuple

from forbear.domain.fingerprint import Kind
from forbear.domain.keys import Keyring, KeyRole

COLUMNS: Final = (
    "address",
    "kind",
    "channel",
    "scope",
    "reason",
    "source",
    "since",
    "wide",
    "fingerprint",
    "wide_fingerprint",
    "asserted_at",
    "key",
)
LIFTED_COLUMN: Final = "lifted_at"
GRANT: Final = "grant"
"""The kind of a row that is no suppression but its opposite."""

_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]")
_YES, _NO = "yes", "no"


class ExportForm(StrEnum):
    """What an export says about whose entries they are."""

    PLAIN = "plain"
    KEYED = "keyed"


class ExportedRow(NamedTuple):
    """One row, read or to be written. `fingerprint` and `key` are what identifies it where there is no address."""

    address: str
    """Of a whole domain `@example.com`; the @ is left out when written, as it would look like a formula."""
    kind: str
    channel: str
    scope: str
    reason: str
    source: str
    since: datetime | None
    is_wide: bool
    fingerprint: bytes
    wide_fingerprint: bytes | None
    asserted_at: datetime | None
    key: str
    """Tells under which fingerprint keys the fingerprints were made, without giving anything away."""
    lifted_at: str = ""


def name_keys(ring: Keyring, canon_version: int) -> str:
    """Name the fingerprint keys, and the version of the forms under them, without giving them away.

    Fingerprints mean the same in two lists exactly where these names are equal.
    """
    chain = sorted((key for key in ring.keys if key.role is KeyRole.FINGERPRINT), key=lambda key: key.id)
    checks = b"".join(key.check for key in chain)
    return f"{blake2s(checks, digest_size=8).hexdigest()}.{canon_version}"


def write_cells(row: ExportedRow) -> list[str]:
    """The cells in the order of `COLUMNS`; fingerprints are hexadecimal, moments ISO 8601 in UTC."""
    return [
        protect(row.address.removeprefix("@")),
        row.kind,
        row.channel,
        protect(row.scope),
        row.reason,
        row.source,
        write_moment(row.since),
        _YES if row.is_wide else _NO,
        row.fingerprint.hex(),
        "" if row.wide_fingerprint is None else row.wide_fingerprint.hex(),
        write_moment(row.asserted_at),
        row.key,
    ]


def read_cells(cells: dict[str, str]) -> ExportedRow | None:
    """Read a row by column name; None where a fingerprint or a moment is not one."""
    address = unprotect(cells["address"])
    is_domain = cells["kind"] == Kind.DOMAIN and address != ""
    try:
        return ExportedRow(
            address="@" + address.removeprefix("@") if is_domain else address,
            kind=cells["kind"],
            channel=cells["channel"],
            scope=unprotect(cells["scope"]),
            reason=cells["reason"],
            source=cells["source"],
            since=_read_moment(cells["since"]),
            is_wide=cells["wide"] == _YES,
            fingerprint=bytes.fromhex(cells["fingerprint"]),
            wide_fingerprint=bytes.fromhex(cells["wide_fingerprint"]) or None,
            asserted_at=_read_moment(cells["asserted_at"]),
            key=cells["key"],
            lifted_at=cells.get(LIFTED_COLUMN, ""),
        )
    except ValueError:
        return None


def protect(cell: str) -> str:
    """Keep a spreadsheet from taking a cell for a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def unprotect(cell: str) -> str:
    """The opposite of `protect`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_moment(moment: datetime | None) -> str:
    """ISO 8601 in UTC, with microseconds: which of an entry and a grant came first can hang on them."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _read_moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
