"""The golden file of addresses, the refusals there are, and a reader that answers instead of raising."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from forbear.domain.address import Address, Domain
from forbear.domain.errors import InvalidAddress

GOLDEN = Path(__file__).parent / "samples" / "addresses.tsv"
REFUSALS = {
    "a part of the domain is longer than 63 octets",
    "an IP address is not accepted as a domain",
    "comments, groups and lists of addresses are not accepted",
    "it is longer than 1000 characters",
    "the address is longer than 254 octets",
    "the domain is longer than 253 octets",
    "the domain is not valid",
    "the domain needs a dot",
    "the part before the @ is longer than 64 octets",
    "the part before the @ is not valid",
    "there are control or broken characters in it",
    "there are invisible characters in it",
    "there are spaces in it",
    "there is a name or a bracket around it",
    "there is more than one @",
    "there is more than one address",
    "there is no @",
    "there is no @ outside quotes",
    "there is nothing after the @",
    "there is nothing before the @",
    "there is nothing here",
}


class Row(NamedTuple):
    """One line of the golden file. A whole domain stands in it as `@domain`, without a wide form."""

    text: str
    kind: str
    forms: tuple[str, str, str]
    rule: str


ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|x[0-9a-f]{2}|[tnr\\])")
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


def unescape(text):
    return ESCAPE.sub(lambda found: CONTROLS.get(found[1]) or chr(int(found[1][1:], 16)), text)


def read_golden():
    header, *lines = GOLDEN.read_text("utf-8").removesuffix("\n").split("\n")
    assert header.split("\t") == ["input", "kind", "exact", "match", "wide", "rule"]
    for line in lines:
        if not line.startswith("# "):
            text, kind, exact, match, wide, rule = line.split("\t")
            yield Row(unescape(text), kind, (unescape(exact), unescape(match), unescape(wide)), rule)


ROWS = list(read_golden())


def read_or_refuse(reader, text):
    """Give all that a reader finds, or its refusal."""
    try:
        return reader(text)
    except InvalidAddress as refusal:
        return refusal.detail


def read_forms(reader, text):
    """Give the forms that a reader finds, as the golden file writes them, or its refusal."""
    found = read_or_refuse(reader, text)
    if isinstance(found, Domain):
        return (f"@{found.domain}", f"@{found.domain}", "")
    return (found.exact, found.match, found.wide or "") if isinstance(found, Address) else found
