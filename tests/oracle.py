"""Which rows of a list may be mailed, worked out a second time in the plainest way.

Written from the rules as they are promised, without a line of the program, to be compared with what the program
does, row for row. It reads the whole list into memory, takes its time, and trusts its input: the list is one
that can be read, and has the column.

    python -m tests.oracle LIST ENTRIES --purpose marketing --scope '*'           one verdict a row
    python -m tests.oracle LIST ENTRIES --purpose marketing --scope '*' --kept    the rows that may be mailed

With --channel phone the column holds numbers, with --channel post several --columns hold the fields of an address.
With --party and --party-kind it is asked whether that party may be told.

A verdict is `deliver`, `suppress:REASON`, `invalid` or `duplicate`. ENTRIES is CSV with a header:
address, kind (match, domain or grant), channel, scope, reason, source, since, wide (yes or no).
"""

import argparse
import csv
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import email_validator
import idna
import phonenumbers

BYTE_ORDER_MARK = "\xef\xbb\xbf"
ASCII_WHITE_SPACE = " \t\n\r\v\f"

# For each reason, what it blocks.
BLOCKED = {
    "hard_bounce": {"marketing", "friend", "gift", "transactional", "notice", "sharing"},
    "erased": {"marketing", "friend", "gift", "sharing"},
    "complaint": {"marketing", "friend", "gift", "sharing"},
    "manual": {"marketing", "friend", "gift", "sharing"},
    "objection": {"marketing", "friend", "gift", "sharing"},
    "unsubscribe": {"marketing", "friend"},
    "no_sharing": {"sharing"},
    "friend_objection": {"friend", "gift"},
    "friend_only": {"marketing", "sharing"},
    "soft_bounce": {"marketing", "friend"},
}
# The gravest first: where several reasons block, the first of these is the one that is told.
GRAVITY = list(BLOCKED)

ATEXT = r"[\w!#$%&'*+/=?^`{|}~\u0080-\U0010ffff-]"

OVERRIDABLE = {"unsubscribe", "objection", "friend_only", "erased"}

# The providers whose rules for spelling tests rely on; the program knows more domains of the same kind.
DOTS_MEAN_NOTHING = {"gmail.com", "googlemail.com"}
PLUS_BEGINS_A_TAG = DOTS_MEAN_NOTHING | {"outlook.com", "hotmail.com", "live.com", "icloud.com", "fastmail.com"}


@dataclass(frozen=True)
class Entry:
    """One row of the export."""

    reason: str
    scope: str
    since: datetime


@dataclass(frozen=True)
class Send:
    """What is to be sent."""

    purpose: str
    scope: str
    is_own_consent: bool
    channel: str = "email"
    region: str | None = None
    party: str | None = None
    party_kind: str | None = None


@dataclass
class Entries:
    """The export, by what each row is looked up with."""

    by_match: dict[str, list[Entry]]
    by_wide: dict[str, list[Entry]]
    by_domain: dict[str, list[Entry]]
    grants: dict[str, list[Entry]]


# An address in the forms in which it is compared


def split_address(address: str) -> tuple[str, str]:
    local, _, domain = address.rpartition("@")
    return local, domain


@cache
def make_domain_form(domain: str) -> str:
    domain = domain.removesuffix(".")
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return unicodedata.normalize("NFC", domain).lower()


def is_dot_atom(text: str) -> bool:
    """Whether a local part needs no quotes (RFC 5322 section 3.2.3, RFC 6532 section 3.2)."""
    return re.fullmatch(rf"{ATEXT}+(\.{ATEXT}+)*", text) is not None


def make_local_form(local: str) -> str:
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        bare = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
        local = bare if is_dot_atom(bare) else '"' + re.sub(r'(["\\])', r"\\\1", bare) + '"'
    # Greek has two small sigmas and one capital, and lower() chooses by the letters around: they are one here.
    small = unicodedata.normalize("NFC", local).lower().replace("\u03c2", "\u03c3")
    return unicodedata.normalize("NFC", small)


def make_match_form(address: str) -> str:
    local, domain = split_address(address)
    return f"{make_local_form(local)}@{make_domain_form(domain)}"


def make_wide_form(match_form: str) -> str:
    local, domain = split_address(match_form)
    if local.startswith('"'):
        return match_form
    if domain in PLUS_BEGINS_A_TAG and not local.startswith("+"):
        local = local.split("+")[0]
    if domain in DOTS_MEAN_NOTHING:
        local = local.replace(".", "")
        domain = "gmail.com"
    return f"{local}@{domain}"


# Letters, digits and single signs between them, and a domain whose last label is a word: valid by every rule there is.
PLAIN = re.compile(r"[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]+", re.ASCII | re.IGNORECASE)
LOCAL_LENGTH_MAX, LABEL_LENGTH_MAX, LENGTH_MAX = 64, 63, 254


def is_plain(address: str) -> bool:
    """Whether an address is of the shape that most have, about which nobody needs to be asked."""
    if len(address) > LENGTH_MAX or PLAIN.fullmatch(address) is None:
        return False
    local, domain = split_address(address)
    return len(local) <= LOCAL_LENGTH_MAX and max(map(len, domain.split("."))) <= LABEL_LENGTH_MAX


def is_valid(address: str) -> bool:
    if is_plain(address):
        return True
    try:
        email_validator.validate_email(
            address,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=True,
            allow_domain_literal=False,
            strict=True,  # 64 octets for a local part (RFC 5321 section 4.5.3.1.1)
        )
    except email_validator.EmailNotValidError:
        return False
    return True


# The same for the other channels


def make_phone_form(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    zeros = "0" * (number.number_of_leading_zeros or 1) if number.italian_leading_zero else ""
    return f"+{number.country_code}{zeros}{number.national_number}"


def make_post_form(fields: list[str]) -> str | None:
    name, *lines, postcode, country = fields
    country = {"UK": "GB", "EL": "GR"}.get(country.strip().upper(), country.strip().upper())
    place = keep_letters(" ".join(lines))
    if not keep_letters(name) or not place or re.fullmatch("[A-Z]{2}", country) is None:
        return None
    code = re.sub(r"^[A-Za-z]{1,3} *- *(?=\d)", "", postcode.strip())
    return "|".join((keep_letters(name), place, keep_letters(code).replace(" ", ""), country))


def keep_letters(text: str) -> str:
    small = unicodedata.normalize("NFKC", text).lower()
    bare = "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in small)
    return re.sub(r" +", "", re.sub(r"(?<=\d) +(?=\d)", "\0", bare)).replace("\0", " ")


def make_form(send: Send, given: str | list[str]) -> str | None:
    """The form in which something is compared, on any channel; None where it cannot be sent to."""
    if send.channel == "phone":
        return make_phone_form(given, send.region)
    if send.channel == "post":
        return make_post_form(given)
    return make_match_form(given) if is_valid(given) else None


# The list


def read_records(text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Read records of RFC 4180, each as it stands and as its fields."""
    end = f"({re.escape(delimiter)}|\r\n|\r|\n|\\Z)"
    rest = f"([^{re.escape(delimiter)}\r\n]*)"
    field = re.compile(f'"([^"]*(?:""[^"]*)*)"(?!"){rest}{end}|{rest}{end}')
    place = 0
    while place < len(text):
        start, fields, ended_by = place, [], delimiter
        while ended_by == delimiter:
            quoted, after_quotes, quoted_end, plain, plain_end = (found := field.match(text, place)).groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"') + after_quotes)
            ended_by = plain_end if quoted is None else quoted_end
            place = found.end()
        record = text[start:place]
        if record.strip("\r\n"):
            yield record, fields


def read_list(path: Path, delimiter: str) -> list[tuple[str, list[str]]]:
    """Read all records; a byte order mark stays with the first as it stands, and is no part of its fields."""
    text = path.read_bytes().decode("latin-1")
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    records = list(read_records(text.removeprefix(mark), delimiter))
    records[0] = (mark + records[0][0], records[0][1])
    return records


def find_column(header: list[str], column: str) -> int:
    names = [name.encode("latin-1").decode("utf-8", "replace").strip().lower() for name in header]
    return names.index(column.lower())


def decode_address(cell: str) -> str | None:
    """Take the address out of a cell that was read as Latin-1; None when it is not UTF-8."""
    try:
        return cell.encode("latin-1").decode("utf-8").strip(ASCII_WHITE_SPACE)
    except UnicodeDecodeError:
        return None


# The entries


def read_entries(path: Path, channel: str) -> Entries:
    entries = Entries(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["channel"] == channel:
                add_entry(entries, row)
    return entries


def add_entry(entries: Entries, row: dict[str, str]) -> None:
    entry = Entry(row["reason"], row["scope"], datetime.fromisoformat(row["since"]))
    address = row["address"].strip(ASCII_WHITE_SPACE)
    if row["channel"] != "email":
        given = address if row["channel"] == "phone" else address.split(" | ")
        form = make_form(Send("", "", is_own_consent=False, channel=row["channel"]), given)
        (entries.grants if row["kind"] == "grant" else entries.by_match)[form].append(entry)
        return
    if row["kind"] == "domain":
        entries.by_domain[make_domain_form(address.removeprefix("@"))].append(entry)
        return
    match_form = make_match_form(address)
    if row["kind"] == "grant":
        entries.grants[match_form].append(entry)
        return
    entries.by_match[match_form].append(entry)
    if row["wide"] == "yes":
        entries.by_wide[make_wide_form(match_form)].append(entry)


# The decision


def lies_within(scope: str, outer: str) -> bool:
    return outer in ("*", scope) or scope.startswith(f"{outer}/")


def is_blocked_by(entry: Entry, send: Send) -> bool:
    if not (lies_within(send.scope, entry.scope) or lies_within(entry.scope, send.scope)):
        return False
    if entry.reason == "friend_only" and send.is_own_consent:
        return False
    if entry.reason == "unsubscribe" and entry.scope == "*" and send.purpose == "sharing":
        return True
    return send.purpose in BLOCKED[entry.reason]


def is_overridden(entry: Entry, grants: list[Entry], scope: str) -> bool:
    for grant in grants:
        if lies_within(scope, grant.scope) and entry.since < grant.since:
            if entry.reason in OVERRIDABLE:
                return True
            if entry.reason == "complaint" and entry.scope == grant.scope:
                return True
    return False


def find_entries(match_form: str, entries: Entries, send: Send) -> list[Entry]:
    found = entries.by_match.get(match_form, [])
    if send.channel != "email":
        return found
    of_mailbox = entries.by_wide.get(make_wide_form(match_form), [])
    return [*found, *of_mailbox, *entries.by_domain.get(split_address(match_form)[1], ())]


def is_against_sharing(entry: Entry, send: Send) -> bool:
    """Whether a choice against sharing is about the party, or about anybody where none is named."""
    brand, _, whom = entry.scope.partition("/")
    if brand != "sharing":
        return is_blocked_by(entry, send)
    return send.party is None or whom in {"", send.party, str(send.party_kind).replace("_", "-")}


def find_reason_to_tell_nobody(match_form: str, entries: Entries, send: Send) -> str | None:
    found = find_entries(match_form, entries, send)
    against = [entry for entry in found if entry.reason == "no_sharing" and is_against_sharing(entry, send)]
    reasons = {entry.reason for entry in found if entry.reason != "no_sharing" and is_blocked_by(entry, send)}
    own, of_kind = f"sharing/{send.party}", f"sharing/{str(send.party_kind).replace('_', '-')}"
    opt_ins = [grant for grant in entries.grants.get(match_form, ()) if send.party and grant.scope in (own, of_kind)]
    if any(not any(entry.since < grant.since for grant in opt_ins) for entry in against):
        reasons.add("no_sharing")
    if reasons or send.party_kind in (None, "affiliate"):
        return min(reasons, key=GRAVITY.index, default=None)
    good = [grant for grant in opt_ins if send.party_kind == "third_party" or grant.scope == own]
    is_based = any(all(entry.since < grant.since for entry in against) for grant in good)
    return None if is_based else "no_basis"


def find_reason(match_form: str, entries: Entries, send: Send) -> str | None:
    if send.purpose == "sharing":
        return find_reason_to_tell_nobody(match_form, entries, send)
    found = find_entries(match_form, entries, send)
    grants = entries.grants.get(match_form, [])
    blocking = [entry for entry in found if is_blocked_by(entry, send)]
    reasons = {entry.reason for entry in blocking if not is_overridden(entry, grants, send.scope)}
    return min(reasons, key=GRAVITY.index, default=None)


def judge_cells(cells: Iterable[list[str] | None], entries: Entries, send: Send) -> Iterator[str]:
    """Give the verdict on each row by its address cells (read as Latin-1), None where the row has no usable ones."""
    seen: set[str] = set()
    for row in cells:
        given = [None] if row is None else [decode_address(cell) for cell in row]
        match_form = None if None in given else make_form(send, given if send.channel == "post" else given[0])
        if match_form is None:
            yield "invalid"
            continue
        if match_form in seen:
            yield "duplicate"
            continue
        seen.add(match_form)
        reason = find_reason(match_form, entries, send)
        yield f"suppress:{reason}" if reason else "deliver"


# The program


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description="Say which rows may be mailed.")
    parser.add_argument("list", type=Path)
    parser.add_argument("entries", type=Path)
    parser.add_argument("--purpose", required=True)
    parser.add_argument("--scope", required=True)
    parser.add_argument("--channel", default="email")
    parser.add_argument("--columns", help="of the fields of a postal address, with commas between")
    parser.add_argument("--region")
    parser.add_argument("--party")
    parser.add_argument("--party-kind")
    parser.add_argument("--column", default="email", help="name, or position from 1 with --no-header")
    parser.add_argument("--delimiter", default=",")
    parser.add_argument("--no-header", action="store_true")
    parser.add_argument("--own-consent", action="store_true", help="friend_only does not block")
    parser.add_argument("--kept", action="store_true", help="print the rows that may be mailed, not the verdicts")
    chosen = parser.parse_args()

    # Domains reserved for examples and tests are as good as others here.
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    records = read_list(chosen.list, chosen.delimiter)
    header = [] if chosen.no_header else records[:1]
    data = records[len(header) :]
    columns = chosen.columns.split(",") if chosen.columns else [chosen.column]
    if header:
        width, indexes = len(header[0][1]), [find_column(header[0][1], column) for column in columns]
    else:
        width, indexes = max(len(fields) for _, fields in data[:2]), [int(column) - 1 for column in columns]
    cells = (
        [fields[index] for index in indexes] if max(indexes) < len(fields) <= width else None for _, fields in data
    )
    asked = {name: getattr(chosen, name) for name in ("purpose", "scope", "channel", "region", "party", "party_kind")}
    entries = read_entries(chosen.entries, chosen.channel)
    verdicts = judge_cells(cells, entries, Send(**asked, is_own_consent=chosen.own_consent))
    if chosen.kept:
        kept = [record for (record, _), verdict in zip(data, verdicts, strict=True) if verdict == "deliver"]
        sys.stdout.buffer.writelines(record.encode("latin-1") for record in [*(raw for raw, _ in header), *kept])
    else:
        sys.stdout.writelines(f"{verdict}\n" for verdict in verdicts)


if __name__ == "__main__":
    main()
