"""Where messages go, whom they are from, and what they say in every language."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest

from forbear.config import Settings, read_settings
from forbear.domain.errors import Misconfigured
from forbear.language import LANGUAGES
from forbear.mailer.message import Sender, make_mail, read_sender
from forbear.mailer.rendering import TEMPLATES, render_message
from forbear.mailer.upstream import Security, read_upstream
from forbear.services.outbox import MessageKind

VALUES = {
    "brand": "Maison Épée",
    "contact": "care@maison.example",
    "link": "https://mail.example.com/c/abc",
    "day": "27/11/2026",
    "new_address": "c...@example.org",
    "due_day": "8/12/2026",
    "reference": "L-1",
    "request": "scopes",
    "choices": [{"title": f"Title of the {word}", "channel": word} for word in ("email", "phone", "post")],
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(MessageKind))
def test_every_message_speaks_every_language(kind, language):
    rendered = render_message(kind, language, VALUES)
    english = render_message(kind, "en", VALUES)
    assert rendered.subject
    assert "\n" not in rendered.subject
    assert "\n\n\n" not in rendered.text
    assert (rendered.subject == english.subject) == (language == "en")
    assert (rendered.text == english.text) == (language == "en")
    assert f'<html lang="{language}">' in rendered.html
    for version in (rendered.text, rendered.html):
        assert not re.search(r"%\(|\{\{|\{%", version)
        assert ("https://mail.example.com/c/abc" in version) == kind.startswith("confirm")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("request_kind", ["everything", "scopes", "no_sharing", "change"])
def test_a_receipt_says_what_was_done(language, request_kind):
    rendered = render_message(MessageKind.RECEIPT, language, {**VALUES, "request": request_kind})
    assert ("Title of the phone" in rendered.text) == (request_kind == "scopes")
    assert "8/12/2026" in rendered.text


def test_every_kind_has_templates_and_every_folder_a_kind():
    assert {path.name for path in TEMPLATES.iterdir() if path.is_dir()} == set(MessageKind)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_message_reads_back_as_it_was_written(language):
    rendered = render_message(MessageKind.CONFIRM_SUBSCRIPTION, language, VALUES)
    sender = Sender("news@maison.example", "Maison Épée")
    mail = make_mail(sender, "a@example.com", rendered, mark=UUID(int=7), written_at=datetime(2026, 1, 1, tzinfo=UTC))
    message = message_from_bytes(mail.content, policy=default)
    assert message["Subject"] == rendered.subject
    assert message["From"].addresses[0].display_name == "Maison Épée"
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == rendered.text
    assert message.get_body(("html",)).get_content().replace("\r\n", "\n").strip() == rendered.html.strip()
    assert mail.content.isascii()
    assert repr(mail) == f"<Mail {len(mail.content)} bytes>"


@pytest.mark.parametrize(
    ("url", "security", "host", "port"),
    [
        ("smtp://127.0.0.1", Security.NONE, "127.0.0.1", 25),
        ("smtp://mail.example.com:2525", Security.NONE, "mail.example.com", 2525),
        ("starttls://u:p@mail.example.com", Security.STARTTLS, "mail.example.com", 587),
        ("smtps://u:p@[2001:db8::1]", Security.TLS, "2001:db8::1", 465),
        ("smtp://u:p@localhost", Security.NONE, "localhost", 25),
    ],
)
def test_an_upstream_is_one_url(url, security, host, port):
    found = read_upstream(url)
    assert (found.security, found.host, found.port) == (security, host, port)


def test_a_user_and_a_password_are_unquoted_and_never_shown():
    found = read_upstream("smtps://relay%40maison:p%3A%2F%40@mail.example.com")
    assert (found.user, found.password) == ("relay@maison", "p:/@")
    assert "p:/@" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtps://u@mail.example.com",
        "smtps://:secret@mail.example.com",
        "smtp://u:secret@mail.example.com",
        "smtps://mail.example.com/path",
        "smtps://mail.example.com:99999",
    ],
)
def test_what_is_no_upstream_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the next line looks at its text
        read_upstream(url)
    assert "secret" not in str(refused.value)


def test_a_sender_has_an_address_and_perhaps_a_name():
    assert read_sender("Maison <news@maison.example>") == Sender("news@maison.example", "Maison")
    assert read_sender("news@maison.example").domain == "maison.example"


@pytest.mark.parametrize("text", ["", "Maison", "news@", "@maison.example", "news@localhost", "é@maison.example"])
def test_what_is_no_sender_is_refused(text):
    with pytest.raises(ValueError, match="an address is needed"):
        read_sender(text)


def test_settings_about_mail_belong_together():
    with pytest.raises(Misconfigured, match="FORBEAR_UPSTREAM needs FORBEAR_MAIL_FROM"):
        read_settings(upstream="smtps://mail.example.com")
    with pytest.raises(Misconfigured, match="FORBEAR_MAIL_FROM"):
        read_settings(mail_from="nobody")
    chosen = read_settings(upstream="smtps://u:secret@mail.example.com", mail_from="news@maison.example")
    assert isinstance(chosen, Settings)
    assert "secret" not in repr(chosen)


def test_an_upstream_may_stand_in_a_file(monkeypatch, tmp_path):
    path = tmp_path / "upstream"
    path.write_text("smtps://u:secret@mail.example.com\n")
    monkeypatch.setenv("FORBEAR_UPSTREAM_FILE", str(path))
    assert read_settings(mail_from="news@maison.example").upstream == "smtps://u:secret@mail.example.com"
