"""The oracle has only its own rules to lean on, so these verdicts are worked out by hand."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import oracle

ROOT = Path(__file__).parents[2]
COLUMNS = "address,kind,channel,scope,reason,source,since,wide\n"
OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-06-01T00:00:00Z"


def entry(address, reason="unsubscribe", scope="*", *, kind="match", since=OLD, wide="no", channel="email"):
    cell = '"' + address.replace('"', '""') + '"'
    return f"{cell},{kind},{channel},{scope},{reason},page,{since},{wide}\n"


@pytest.fixture
def ask(tmp_path):
    def ask_oracle(rows, entries, *options, purpose="marketing", scope="*"):
        (tmp_path / "list.csv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
        (tmp_path / "entries.csv").write_text(COLUMNS + "".join(entries), encoding="utf-8")
        files = [str(tmp_path / "list.csv"), str(tmp_path / "entries.csv")]
        command = [sys.executable, "-m", "tests.oracle", *files, "--purpose", purpose, "--scope", scope, *options]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout

    return ask_oracle


def test_it_imports_nothing_of_the_program():
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.startswith(("forbear", "tests", "."))]


def test_verdicts_of_a_list_with_everything_in_it(ask):
    rows = (
        "email,name\n"
        "free@example.com,Ann\n"
        "Gone@Example.com,Bo\n"
        '"gone@example.com",twice\n'
        '"free@EXAMPLE.com","twice\nover"\n'
        "\n"
        "not an address,x\n"
        "any@closed.example,x\n"
        "any@sub.closed.example,x\n"
        "reader@bücher.example,x\n"
        "ä@example.com,x\n"
        "A\u0308@example.com,x\n"
        '"""quiet""@example.com",x\n'
        "l.eaf+shop@googlemail.com,x\n"
        "leaf@outlook.com,x\n"
        " spaced@example.com ,x\n"
        "many@example.com,x,y\n"
        "short@example.com\n"
    )
    entries = [
        entry("gone@example.com"),
        entry("closed.example", "manual", kind="domain"),
        entry("READER@xn--bcher-kva.example", "complaint"),
        entry("quiet@example.com", "hard_bounce"),
        entry("leaf@gmail.com", "objection", wide="yes"),
        entry("le.af@outlook.com", "objection", wide="yes"),
        entry("free@example.com", channel="phone"),
        entry("short@example.com", "soft_bounce"),
        entry("short@example.com", "manual"),
    ]
    assert ask(rows, entries).decode().split() == [
        "deliver",
        "suppress:unsubscribe",
        "duplicate",
        "duplicate",
        "invalid",
        "suppress:manual",
        "deliver",
        "suppress:complaint",
        "deliver",
        "duplicate",
        "suppress:hard_bounce",
        "suppress:objection",
        "deliver",
        "deliver",
        "invalid",
        "suppress:manual",
    ]


def test_kept_rows_come_out_byte_for_byte(ask):
    rows = b'\xef\xbb\xbf"email";name\r\n"a@example.com";"J\xf6rg; 1"\r\n\r\nb@example.com;x\nc@example.com'
    kept = ask(rows, [entry("b@example.com")], "--kept", "--delimiter", ";")
    assert kept == b'\xef\xbb\xbf"email";name\r\n"a@example.com";"J\xf6rg; 1"\r\nc@example.com'


def test_a_list_without_header_goes_by_position(ask):
    rows = "1,a@example.com\n2,b@example.com\n"
    assert ask(rows, [entry("a@example.com")], "--no-header", "--column", "2").split() == [
        b"suppress:unsubscribe",
        b"deliver",
    ]


# The decision, by itself


def judge(entries, *, purpose="marketing", scope="*", address="a@example.com", is_own_consent=False):
    known = oracle.Entries(*(oracle.defaultdict(list) for _ in range(4)))
    names = COLUMNS.strip().split(",")
    for line in entries:
        oracle.add_entry(known, dict(zip(names, next(oracle.csv.reader([line])), strict=True)))
    return oracle.find_reason(oracle.make_match_form(address), known, oracle.Send(purpose, scope, is_own_consent))


@pytest.mark.parametrize(
    ("entry_scope", "send_scope", "is_blocked"),
    [
        ("*", "maison/news", True),
        ("maison", "*", True),
        ("maison/news", "maison", True),
        ("maison", "maison/news", True),
        ("maison/news", "maison/news", True),
        ("maison/news", "maison/shop", False),
        ("maison", "maison2", False),
        ("maison", "atelier/news", False),
    ],
)
def test_an_entry_blocks_sends_that_it_touches(entry_scope, send_scope, is_blocked):
    reason = judge([entry("a@example.com", scope=entry_scope)], scope=send_scope)
    assert reason == ("unsubscribe" if is_blocked else None)


@pytest.mark.parametrize(
    ("reason", "entry_scope", "grant_scope", "send_scope", "is_blocked"),
    [
        ("unsubscribe", "*", "maison/news", "maison/news", False),
        ("unsubscribe", "*", "maison/news", "maison", True),
        ("unsubscribe", "*", "maison", "maison/news", False),
        ("objection", "*", "maison/news", "maison/news", False),
        ("erased", "*", "maison/news", "maison/news", False),
        ("friend_only", "*", "maison/news", "maison/news", False),
        ("complaint", "maison/news", "maison/news", "maison/news", False),
        ("complaint", "maison", "maison/news", "maison/news", True),
        ("complaint", "*", "maison/news", "maison/news", True),
        ("hard_bounce", "*", "maison/news", "maison/news", True),
        ("soft_bounce", "*", "maison/news", "maison/news", True),
        ("manual", "*", "maison/news", "maison/news", True),
    ],
)
def test_a_grant_overrides_what_is_older_within_its_own_scope(reason, entry_scope, grant_scope, send_scope, is_blocked):
    opt_out = entry("a@example.com", reason, entry_scope)
    grant = entry("A@example.com", "", grant_scope, kind="grant", since=NEW)
    assert judge([opt_out, grant], scope=send_scope) == (reason if is_blocked else None)


def test_a_later_opt_out_overrides_a_grant():
    grant = entry("a@example.com", "", "maison/news", kind="grant")
    assert judge([grant, entry("a@example.com", since=NEW)], scope="maison/news") == "unsubscribe"
    assert judge([grant, entry("a@example.com", since=OLD)], scope="maison/news") == "unsubscribe"


def test_a_grant_is_for_the_exact_match_form_and_no_leave_to_share():
    opt_out = entry("a+shop@gmail.com", "objection", wide="yes")
    grant = entry("a+shop@gmail.com", "", "maison/news", kind="grant", since=NEW)
    assert judge([opt_out, grant], scope="maison/news", address="a@gmail.com") == "objection"
    assert judge([opt_out, grant], scope="maison/news", address="a+shop@gmail.com") is None
    assert judge([opt_out, grant], scope="maison/news", address="a+shop@gmail.com", purpose="sharing") == "objection"


def test_only_leaving_everything_forbids_sharing():
    assert judge([entry("a@example.com", scope="*")], purpose="sharing") == "unsubscribe"
    assert judge([entry("a@example.com", scope="maison")], purpose="sharing") is None


def test_own_consent_lifts_friend_only_alone():
    friend_only = entry("a@example.com", "friend_only")
    assert judge([friend_only]) == "friend_only"
    assert judge([friend_only], is_own_consent=True) is None
    assert judge([friend_only, entry("a@example.com")], is_own_consent=True) == "unsubscribe"


@pytest.mark.parametrize(
    ("address", "match_form"),
    [
        ("Ann@Example.COM.", "ann@example.com"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@faß.example", "ann@xn--fa-hia.example"),
        ("ann@fass.example", "ann@fass.example"),
        ('"a.b"@example.com', "a.b@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
        ('"\\a\\"b"@example.com', '"a\\"b"@example.com'),
        ("\u212aarl@example.com", "karl@example.com"),
        ("\u0391\u03a3@example.com", "\u03b1\u03c3@example.com"),
        ("\u03b1\u03c2@example.com", "\u03b1\u03c3@example.com"),
        ("ÖRTLICH@example.com", "örtlich@example.com"),
        ("o\u0308@example.com", "ö@example.com"),
        ("a@under_score.example", "a@under_score.example"),
    ],
)
def test_match_forms(address, match_form):
    assert oracle.make_match_form(address) == match_form
    assert oracle.make_match_form(match_form) == match_form
