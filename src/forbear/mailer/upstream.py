"""The upstream mail server, as one URL says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit


class Security(StrEnum):
    """How a connection is protected; a certificate is always checked."""

    NONE = "smtp"
    STARTTLS = "starttls"
    TLS = "smtps"


_PORTS: Final = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where messages are handed over, and within which limits.

    `attempt_seconds` bounds everything from taking a connection to the server's last answer.
    """

    host: str
    port: int
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    connections_max: int = 4
    timeout_seconds: float = 30
    attempt_seconds: float = 120
    idle_seconds: float = 30
    hello: str = "localhost"


def read_upstream(url: str) -> Upstream:
    """Read `smtp://`, `starttls://` or `smtps://[USER:PASSWORD@]HOST[:PORT]`.

    Raises ValueError, whose text repeats nothing of the URL, since that may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("this is no URL of a mail server") from error
    if parts.scheme not in set(Security) or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("smtp://HOST[:PORT], starttls://... or smtps://... is needed")
    security = Security(parts.scheme)
    user = unquote(parts.username) if parts.username else None
    if bool(user) != bool(parts.password):
        raise ValueError("a user and a password belong together")
    if user and security is Security.NONE and not _is_this_machine(parts.hostname):
        raise ValueError("a password goes over smtps:// or starttls:// only, unless the server is on this machine")
    password = unquote(parts.password) if parts.password else None
    return Upstream(parts.hostname, port or _PORTS[security], security, user, password)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
