"""A suppression list of every kind for a send list, in the program and as the oracle reads it.

A part of the send list's addresses gets entries with mixed reasons, scopes, sources and times; some domains get
entries, some addresses grants, before and after which others are asserted; some entries are lifted again.
"""

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from forbear.domain.address import parse_address, parse_intake
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.context import Context
from forbear.services.suppression import Assertion
from forbear.store.suppression import add_grant
from tests import oracle
from tests.make import pick_addresses
from tests.processes import ROOT

SCOPES = ("*", "*", "maison", "maison/newsletter", "maison/events", "atelier")
# As often as they occur: leaving is the rule, everything else the exception.
REASONS = (Reason.UNSUBSCRIBE,) * 6 + (Reason.HARD_BOUNCE,) * 2 + tuple(set(Reason) - {Reason.ERASED})
SOURCES = (Source.ONE_CLICK, Source.PAGE, Source.API, Source.PHONE, Source.LETTER, Source.COMPLAINT, Source.IMPORT)
LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)
AT_ONCE = 10_000
COLUMNS = ("address", "kind", "channel", "scope", "reason", "source", "since", "wide")


@dataclass(frozen=True)
class Said:
    """One assertion, as it is written down for the oracle."""

    address: str
    kind: str
    reason: Reason
    scope: str
    source: Source
    since: datetime | None

    @property
    def is_wide(self) -> bool:
        """Whether it covers the mailbox's other spellings, by the rule as it is documented."""
        if self.kind == "domain" or self.reason in {"hard_bounce", "soft_bounce"}:
            return False
        return self.reason in {"complaint", "objection"} or self.source in {"phone", "letter"}

    @property
    def assertion(self) -> Assertion:
        target = parse_intake(self.address) if self.kind == "domain" else parse_address(self.address)
        return Assertion(target, self.reason, self.scope, self.source, since=self.since)


async def suppress_mixed(context: Context, listed: Path, entries: Path, *, share: float = 0.05, seed: int = 1) -> int:
    """Suppress a share of a list's addresses, and write down for the oracle what stands; how many entries do."""
    chance = Random(seed)  # noqa: S311 - the same list again is the point
    addresses = [address for address in pick_addresses(listed, share, seed) if oracle.is_valid(address)]
    domains = [address.partition("@")[2] for address in chance.sample(addresses, 5)]
    old = [_say(chance, address, is_old=True) for address in addresses]
    old += [Said(f"@{domain}", "domain", Reason.MANUAL, "maison", Source.OPERATOR, LONG_AGO) for domain in domains]
    by_id = await _assert_all(context, old)
    grants = {}
    async with context.database.transaction() as connection:
        for address in addresses[::20]:
            key = suppression.fingerprint_keys(context, parse_address(address)).match
            scope = chance.choice(SCOPES)
            number = await add_grant(connection, key, Channel.EMAIL, scope, Source.PREFERENCES, "test")
            grants[number] = (address, scope)
    new = [_say(chance, address, is_old=False) for address in addresses[::30]]
    for number, said in (await _assert_all(context, new)).items():
        by_id.setdefault(number, []).extend(said)
    for number in chance.sample(sorted(by_id), min(50, len(by_id) // 20)):
        await suppression.lift(context, number, actor="test", why="a test")
    return await _write_down(context, entries, by_id, grants)


def _say(chance: Random, address: str, *, is_old: bool) -> Said:
    since = LONG_AGO + timedelta(minutes=chance.randrange(1_000_000)) if is_old else None
    return Said(address, "match", chance.choice(sorted(REASONS)), chance.choice(SCOPES), chance.choice(SOURCES), since)


async def _assert_all(context: Context, said: Sequence[Said]) -> dict[int, list[Said]]:
    by_id: dict[int, list[Said]] = {}
    for place in range(0, len(said), AT_ONCE):
        part = said[place : place + AT_ONCE]
        done = await suppression.suppress(context, [one.assertion for one in part], actor="test")
        for one, line in zip(part, done, strict=True):
            by_id.setdefault(line.entry_id, []).append(one)
    return by_id


async def _write_down(
    context: Context, entries: Path, by_id: dict[int, list[Said]], grants: dict[int, tuple[str, str]]
) -> int:
    async with context.database.connection() as connection:
        standing = await connection.fetch("SELECT id, asserted_at FROM entries WHERE lifted_at IS NULL")
        granted = await connection.fetch("SELECT id, granted_at FROM grants")
    with entries.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for row in standing:
            said = by_id[row["id"]]
            one, wide = said[0], "yes" if any(other.is_wide for other in said) else "no"
            when = row["asserted_at"].isoformat()
            rows.writerow((one.address, one.kind, "email", one.scope, one.reason, one.source, when, wide))
        for row in granted:
            address, scope = grants[row["id"]]
            rows.writerow((address, "grant", "email", scope, "", "preferences", row["granted_at"].isoformat(), "no"))
    return len(standing)


def start_oracle(listed: Path, entries: Path, purpose: str, scope: str, out: Path, *options: str) -> subprocess.Popen:
    """Ask the oracle in a process of its own; what it says goes to a file."""
    command = [sys.executable, "-m", "tests.oracle", listed, entries, "--purpose", purpose, "--scope", scope, *options]
    with out.open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file)


def read_verdicts(answer: bytes) -> list[str]:
    """The verdict on each row of an answer with `rows=all`, as the oracle writes them."""
    records = csv.reader(answer.decode("latin-1").splitlines(keepends=True))
    found = [tuple(fields[-2:]) for fields in records if fields]
    assert found.pop(0) == ("forbear_verdict", "forbear_reason")
    return [f"suppress:{reason}" if verdict == "suppress" else verdict for verdict, reason in found]
