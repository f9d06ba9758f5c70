"""A pool of connections to the upstream, and what became of each message, reduced to one of four words.

One connection carries one message at a time, so there are several. Whatever goes wrong before the message is handed
over is temporary, unless the server refuses this recipient or this message for good. Whatever goes wrong between the
final dot and its answer leaves the fate of the message unknown.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiosmtplib

from forbear.mailer.message import Mail
from forbear.mailer.upstream import Security, Upstream

_PERMANENT_FROM: Final = 500
_QUIT_SECONDS: Final = 2.0
_LIFETIME_MESSAGES: Final = 100
"""After so many messages a connection is closed, as servers ask for and balance by."""


class Fate(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """The fate of a message, and the code of the server's reply where there was one; never its text."""

    fate: Fate
    code: int | None = None


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    used_at: float
    messages: int = 0


class Mailer:
    """Sends messages through the upstream. Close it at the end."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(upstream.connections_max)
        self._tls = _make_tls(upstream)

    @property
    def connections_max(self) -> int:
        """How many messages it sends at once."""
        return self._upstream.connections_max

    @property
    def attempt_seconds(self) -> float:
        """The longest that one attempt takes."""
        return self._upstream.attempt_seconds

    async def send(self, mail: Mail, offer: Callable[[], Awaitable[bool]]) -> Result | None:
        """Send one message; never raises because of the upstream.

        `offer` is awaited when the server has accepted sender and recipient, before the message goes over; where it
        says no, nothing is sent and None comes back. Cancelling leaves the fate unknown once it has said yes.
        """
        offered = _Offered(offer)
        try:
            async with asyncio.timeout(self._upstream.attempt_seconds), self._slots:
                return await self._send(mail, offered)
        except aiosmtplib.SMTPResponseException as error:
            return _judge(error)
        except aiosmtplib.SMTPNotSupported:
            return Result(Fate.PERMANENT)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, EOFError):
            return Result(Fate.UNKNOWN if offered.is_open else Fate.TEMPORARY)

    async def close(self) -> None:
        """Take leave of the server on every idle connection."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await _quit(connection.client)

    async def _send(self, mail: Mail, offered: _Offered) -> Result | None:
        connection = await self._take()
        try:
            client = connection.client
            options, encoding = _envelope_options(client, mail)
            await client.mail(mail.sender, options=options, encoding=encoding)
            await client.rcpt(mail.recipient, encoding=encoding)
            if not await offered.ask():
                return None
            code = (await client.data(mail.content)).code
            offered.is_open = False
            connection.messages += 1
            return Result(Fate.DELIVERED, code)
        finally:
            await self._give_back(connection)

    async def _take(self) -> _Connection:
        """A connection that answers, an idle one where there is one."""
        while self._idle:
            connection = self._idle.pop()
            is_fresh = time.monotonic() - connection.used_at < self._upstream.idle_seconds
            if is_fresh and connection.messages < _LIFETIME_MESSAGES:
                # It also takes back what a refused message has left behind.
                with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                    await connection.client.rset()
                    return connection
            await _quit(connection.client)
        return _Connection(await self._connect(), time.monotonic())

    async def _connect(self) -> aiosmtplib.SMTP:
        upstream = self._upstream
        client = aiosmtplib.SMTP(
            hostname=upstream.host,
            port=upstream.port,
            local_hostname=upstream.hello,
            username=upstream.user,
            password=upstream.password,
            timeout=upstream.timeout_seconds,
            use_tls=upstream.security is Security.TLS,
            start_tls=upstream.security is Security.STARTTLS,
            tls_context=self._tls,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                with suppress(aiosmtplib.SMTPHeloError):
                    await client.ehlo()
        except aiosmtplib.SMTPResponseException as error:
            # Who we are was refused, not this message: that is for an operator to put right.
            client.close()
            raise _UpstreamRefusedError(error.code) from error
        return client

    async def _give_back(self, connection: _Connection) -> None:
        if connection.client.is_connected:
            connection.used_at = time.monotonic()
            self._idle.append(connection)


class _Offered:
    """Whether a message is on its way and not yet answered."""

    def __init__(self, offer: Callable[[], Awaitable[bool]]) -> None:
        self._offer = offer
        self.is_open = False

    async def ask(self) -> bool:
        self.is_open = await self._offer()
        return self.is_open


class _UpstreamRefusedError(aiosmtplib.SMTPResponseException):
    """The server will have nothing to do with us: a greeting, TLS or a log-in was refused."""

    def __init__(self, code: int) -> None:
        super().__init__(code, "")


def _judge(error: aiosmtplib.SMTPResponseException) -> Result:
    """A refusal of the recipient or of the content may be final; one of ourselves or our sender is not."""
    is_about_message = isinstance(error, (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError))
    is_final = is_about_message and error.code >= _PERMANENT_FROM
    return Result(Fate.PERMANENT if is_final else Fate.TEMPORARY, error.code if error.code > 0 else None)


def _envelope_options(client: aiosmtplib.SMTP, mail: Mail) -> tuple[list[str], str]:
    """What an internationalised recipient needs (RFC 6531, section 3.4). Raises where the server cannot do it."""
    if mail.recipient.isascii():
        return [], "ascii"
    if not client.supports_extension("smtputf8"):
        raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
    return ["SMTPUTF8"], "utf-8"


def _make_tls(upstream: Upstream) -> ssl.SSLContext | None:
    if upstream.security is Security.NONE:
        return None
    return ssl.create_default_context(cafile=None if upstream.ca_file is None else str(upstream.ca_file))


async def _quit(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(_QUIT_SECONDS):
            await client.quit()
    client.close()
