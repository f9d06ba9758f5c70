"""What the parsers of feedback promise whatever they are given, and the classifier by itself."""

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.domain.errors import TooLarge
from forbear.domain.tokens import day_number, read_mail_token, write_mail_token
from forbear.feedback.addresses import read_typed_address
from forbear.feedback.classification import Phase, classify_failure, classify_reply, find_phase
from forbear.feedback.events import Effect, Kind
from forbear.feedback.limits import LIMITS, Limits
from forbear.feedback.mailbox import is_mbox, split_mbox
from forbear.feedback.mime import decode_words, parse_message
from forbear.feedback.reader import read_feedback
from forbear.feedback.rules import CAUSES, RULES
from tests.processes import ROOT
from tests.unit.test_keys import OLD

SAMPLES = [path.read_bytes() for path in sorted((ROOT / "tests" / "samples" / "feedback").glob("*.eml"))]
PIECES = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"--",
    b"--=_r\n",
    b"--=_r--\n",
    b"Content-Type: multipart/report; boundary==_r\n",
    b"Content-Type: message/delivery-status\n\n",
    b"Content-Type: message/rfc822\n\n",
    b"Status: 5.1.1\n",
    b"Content-Transfer-Encoding: base64\n",
    b"=?utf-8?B?4pi",
    b"Final-Recipient: utf-8; \\x{D800}@example.org\n",
    b"Action: failed\n",
    b"From: <>\nSubject: failure notice\n\n",
    b"<a@example.org>: 550 ",
    b"user unknown",
    b"Content-Type: message/feedback-report\n\n",
    b"Feedback-Type: abuse\n",
    b'{"notificationType":"Bounce"',
    b"\xff\x00",
]
HARD, SOFT, NONE = Effect.HARD_BOUNCE, Effect.SOFT_BOUNCE, Effect.NONE


@given(st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
@settings(max_examples=300)
def test_any_bytes_are_read(raw):
    read_feedback(raw)


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=300)
def test_a_report_that_was_damaged_is_read(raw, data):
    place, length = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 60))
    read_feedback(raw[:place] + data.draw(st.binary(max_size=30)) + raw[place + length :])


def nest(depth):
    raw = b"hello"
    for level in range(depth):
        raw = b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n%s\n--b%d--\n' % (level, level, raw, level)
    return raw


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        (b"x" * (LIMITS.report_bytes_max + 1), "bytes"),
        (nest(200), "deep"),
        (b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 2000, "parts"),
    ],
    ids=["size", "depth", "parts"],
)
def test_what_passes_a_limit_names_it(raw, limit):
    with pytest.raises(TooLarge, match=limit):
        read_feedback(raw)


def test_only_so_many_recipients_are_taken():
    groups = "\n".join(
        f"Final-Recipient: rfc822; p{number}@example.org\nAction: failed\nStatus: 5.1.1\n" for number in range(500)
    )
    raw = f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n{groups}".encode()
    assert len(read_feedback(raw).outcomes) == LIMITS.recipients_max


@pytest.mark.parametrize(
    "filling", [b"<", b"@", b"a@", b"(", b"=?", b"; a", b"\n ", b"550 ", b"x" * 63 + b".", b"user "]
)
def test_texts_made_to_be_slow_are_read(filling):
    # The time limit of the test is what fails where work is not linear.
    body = filling * (LIMITS.text_bytes_max // len(filling))
    head = b"Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\n"
    read_feedback(head + b"\n" + body)
    read_feedback(head + b"Content-Type: text/html; charset=utf-8\n\n" + body)
    read_feedback(head + b"X-Long: " + body + b"\nContent-Type: a/b; " + body)


def test_a_smaller_limit_holds():
    with pytest.raises(TooLarge):
        parse_message(b"x" * 11, Limits(report_bytes_max=10))


def test_no_address_shows_in_a_repr():
    for raw in SAMPLES:
        found = read_feedback(raw)
        assert not re.search(r"\w@\w", repr(found))
        assert not re.search(r"\w@\w", repr(found.outcomes))


# Tokens


def make_token(kind):
    return write_mail_token(OLD, kind, (7, 2, day_number(date(2026, 3, 1))), b"a fingerprint of")


def test_cf05_the_token_of_a_complaint_stands_in_the_returned_copy():
    raw = (ROOT / "tests" / "samples" / "feedback" / "cf05_every_address_blanked.eml").read_bytes()
    kinds = [read_mail_token(OLD, token).kind for token in read_feedback(raw).tokens]
    assert kinds == ["b", "u"]


def test_ds09_the_token_of_a_bounce_is_that_of_the_envelope_where_it_is_known():
    raw = b"From: MAILER-DAEMON\nTo: someone@example.com\nSubject: failure notice\n\n<a@example.org>: user unknown\n"
    token = make_token("b")
    assert read_feedback(raw).tokens == ()
    assert read_feedback(raw, recipients=[f"{token.upper()}@mail.example.com"]).tokens == (token.upper(),)


def test_ar03_mail_from_nobody_is_no_command():
    raw, to = b"Subject: unsubscribe\n\n", f"{make_token('u')}@mail.example.com"
    assert read_feedback(raw, recipients=[to]).kind is Kind.UNSUBSCRIBE
    assert read_feedback(raw, recipients=[to], is_null_sender=True).kind is Kind.OTHER


def test_the_header_names_nobody_where_the_envelope_is_known():
    raw = f"To: {make_token('u')}@mail.example.com\n\n".encode()
    assert read_feedback(raw, recipients=["postmaster@mail.example.com"]).kind is Kind.OTHER


# The classifier


@pytest.mark.parametrize(
    ("code", "text", "phase", "effect", "cause"),
    [
        (550, "5.1.1 <a@example.org>: Recipient address rejected: User unknown", Phase.RCPT, HARD, "userunknown"),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", Phase.RCPT, HARD, "userunknown"),
        (550, "Requested action not taken: mailbox unavailable", Phase.RCPT, HARD, "userunknown"),
        (550, "Requested action not taken: mailbox unavailable", Phase.DATA, NONE, "undefined"),
        (550, "User unknown", Phase.DATA, SOFT, "filtered"),
        (450, "4.1.1 User unknown, greylisted", Phase.RCPT, SOFT, "temporary"),
        (556, "5.1.10 Domain does not accept mail (nullMX)", Phase.RCPT, HARD, "notaccept"),
        (551, "5.1.6 The user has moved", Phase.RCPT, HARD, "hasmoved"),
        (552, "5.2.2 The mailbox is over quota", Phase.RCPT, SOFT, "mailboxfull"),
        (550, "5.2.1 The account is disabled", Phase.RCPT, SOFT, "suspend"),
        (552, "5.3.4 Message size exceeds fixed limit", Phase.DATA, SOFT, "mesgtoobig"),
        (550, "5.7.1 Sender address rejected: user unknown", Phase.RCPT, NONE, "rejected"),
        (550, "5.7.26 Unauthenticated email is not accepted", Phase.DATA, NONE, "authfailure"),
        (550, "5.7.515 Access denied", Phase.DATA, NONE, "blocked"),
        (554, "5.7.1 Service unavailable; client host [192.0.2.1] blocked using a list", Phase.RCPT, NONE, "blocked"),
        (554, "5.7.1 Message looks like spam", Phase.DATA, NONE, "spamdetected"),
        (550, "5.7.1 User unknown", Phase.RCPT, NONE, "policyviolation"),
        (
            550,
            "5.1.1 The account you tried to reach does not exist; please try an address",
            Phase.RCPT,
            HARD,
            "userunknown",
        ),
        (550, "5.1.0 Address rejected.", Phase.RCPT, HARD, "userunknown"),
        (550, "5.1.0 Address rejected.", Phase.DATA, NONE, "undefined"),
        (550, "Requested action not taken: mailbox unavailable. For explanation visit", Phase.RCPT, NONE, "undefined"),
        (421, "4.7.0 [TSS04] Messages temporarily deferred due to user complaints", Phase.OTHER, NONE, "blocked"),
        (554, "delivery error: dd This user doesn't have an account", Phase.RCPT, HARD, "userunknown"),
        (421, "Too many connections", Phase.OTHER, NONE, "toomanyconn"),
        (451, "4.3.0 What is this", Phase.RCPT, SOFT, "temporary"),
        (554, "5.5.0 What is this", Phase.RCPT, NONE, "undefined"),
        (554, "", Phase.RCPT, NONE, "undefined"),
    ],
)
def test_ds15_a_reply_is_classified_as_a_report_is(code, text, phase, effect, cause):
    verdict = classify_reply(code, text, phase)
    assert (verdict.effect, verdict.cause) == (effect, cause)


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        ("5.1.1", HARD),
        ("5.1.2", HARD),
        ("5.1.3", HARD),
        ("5.1.6", HARD),
        ("5.1.10", HARD),
        ("5.2.1", SOFT),
        ("5.2.2", SOFT),
        ("5.2.3", SOFT),
        ("5.3.4", SOFT),
        ("4.0.0", SOFT),
        ("4.2.2", SOFT),
        ("4.4.7", SOFT),
        ("5.0.0", NONE),
        ("5.4.4", NONE),
        ("5.5.2", NONE),
        ("5.6.0", NONE),
        ("5.7.1", NONE),
        ("5.7.26", NONE),
        ("5.7.515", NONE),
        ("", NONE),
    ],
)
def test_ds07_a_code_by_itself(status, effect):
    assert classify_failure("", status=status).effect is effect


def test_nobodys_name_decides():
    answer = "550 5.7.0 <user.unknown@no-such-user.example.org> see https://example.org/user-unknown"
    assert classify_failure(answer).effect is NONE


def test_every_cause_stands_once_and_its_codes_with_one_alone():
    statuses = [status for rule in RULES for status in rule.statuses]
    assert len(CAUSES) == len(RULES)
    assert len(set(statuses)) == len(statuses)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("(in reply to RCPT TO\n  command)", Phase.RCPT),
        ("(in reply to end of DATA command)", Phase.DATA),
        ("after RCPT TO:<a@example.org>:", Phase.RCPT),
        ("refused to talk to me", Phase.OTHER),
        ("no word of it", Phase.UNKNOWN),
    ],
)
def test_servers_say_what_they_answered(text, phase):
    assert find_phase(text) is phase


# Forms


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; a@example.org", "a@example.org"),
        ("RFC822 ;<a@example.org> (A)", "a@example.org"),
        ("rfc822; @relay.example.net:a@example.org", "a@example.org"),
        ('rfc822; "a b"@example.org', None),
        ("utf-8; \\x{7A}o\\x{EB}@example.org", "zoë@example.org"),
        ("x400; c=fr;a=x", None),
        ("a@example.org", "a@example.org"),
        ("rfc822;", None),
    ],
)
def test_ds02_a_typed_address(value, address):
    assert read_typed_address(value) == address


def test_one_boundary_may_begin_like_another():
    raw = (
        b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: multipart/alternative; boundary="b-1"\n\n'
        b"--b-1\n\none\n--b-1--\n--b\n\ntwo\n--b--\n"
    )
    assert [part.body for part in parse_message(raw).walk() if not part.parts] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("value", "text"),
    [("=?utf-8?q?caf=C3=A9?=", "café"), ("=?iso-8859-1?B?6Q==?= =?utf-8?Q?a_b?=", "éa b"), ("=?rot13?q?a?=", "a")],
)
def test_encoded_words(value, text):
    assert decode_words(value) == text


def test_an_mbox_is_split_where_its_mails_begin():
    mails = [
        b"From a Mon Mar  2 10:00:00 2026\nSubject: 1\n\n>From here\nFrom there\n\n",
        b"From b Mon Mar  2 2026\n\nx",
    ]
    whole = b"".join(mails)
    assert is_mbox(whole)
    assert list(split_mbox(whole.splitlines(keepends=True), 1000)) == mails
    assert [len(mail) for mail in split_mbox(whole.splitlines(keepends=True), 10)] == [11, 11]
