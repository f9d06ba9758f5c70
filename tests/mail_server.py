"""A mail server on loopback that takes messages, refuses them, holds them or breaks off, as a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Received:
    """One message that the server has seen to its final dot."""

    sender: str
    recipients: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=default)

    def text(self, subtype: str = "plain") -> str:
        return self.message.get_body((subtype,)).get_content()


@dataclass
class MailServer:
    """What it has seen, and what it is to do: `answers` by command (MAIL, RCPT, DATA), `hold` at one of them."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    hold: str | None = None
    breaks_off_after_dot: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: int = 0
    logins: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def _answer(self, command: str, usual: str) -> str:
        if self.hold == command:
            self.held.set()
            await asyncio.Event().wait()
        return self.answers.get(command, usual)

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):  # noqa: N802 - aiosmtpd's name
        self.sessions += 1
        session.host_name = hostname
        await self._answer("EHLO", "")
        return responses

    async def handle_MAIL(self, _server, _session, envelope, address, _options):  # noqa: N802 - likewise
        envelope.mail_from = address
        return await self._answer("MAIL", "250 OK")

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - likewise
        envelope.rcpt_tos.append(address)
        return await self._answer("RCPT", "250 OK")

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802 - likewise
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        if self.breaks_off_after_dot:
            server.transport.abort()
        return await self._answer("DATA", "250 OK")

    async def handle_exception(self, _error):
        return "451 Something went wrong"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        self.logins.append(bytes(data.login) + b":" + bytes(data.password))
        return AuthResult(success=bytes(data.password) == b"right p@ss")


@asynccontextmanager
async def running_mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, has_login: bool = False
) -> AsyncIterator[MailServer]:
    """Run a mail server; with `tls` from the first byte on, with `starttls` once it is asked for."""
    server = MailServer()
    protocols: list[SMTP] = []

    def make() -> SMTP:
        protocol = SMTP(
            server,
            hostname="mx.test.example",
            enable_SMTPUTF8=True,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=has_login,
            auth_require_tls=False,
            authenticator=server.authenticate if has_login else None,
        )
        protocols.append(protocol)
        return protocol

    listening = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for protocol in protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        handlers = [p._handler_coroutine for p in protocols if p._handler_coroutine is not None]
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.test.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "mx.pem", folder / "mx.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
