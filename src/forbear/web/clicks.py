"""What a recipient's POST says, read liberally: nothing about a body may cost anybody an opt-out.

A one-click POST carries the pair `List-Unsubscribe=One-Click` as multipart/form-data or as
application/x-www-form-urlencoded (RFC 8058, sections 3.2 and 5); our own forms are urlencoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.utils import collapse_rfc2231_value
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from forbear.domain.tokens import ONE_CLICK
from forbear.web.keys import OPTIONS

BODY_BYTES_MAX: Final = 256 * 1024
"""Largest body that is looked at; that of RFC 8058 has few bytes, that of a preference centre 120 a box."""
BODY_SECONDS_MAX: Final = 10.0
"""How long a body may take; somebody who sends half of one must not hold the request open."""
USER_AGENT_LENGTH_MAX: Final = 300
_FIELDS_MAX: Final = 4000
_FORWARDED_FOR: Final = "X-Forwarded-For"
_log = structlog.get_logger()


class Body(StrEnum):
    """What stood in the body: the pair of RFC 8058, a form of ours, or neither."""

    ONE_CLICK = "one_click"
    PAGE = "page"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Click:
    """A POST, as far as the pages care."""

    fields: Mapping[str, str]
    body: Body
    evidence: Mapping[str, object]


async def read_click(request: web.Request) -> Click:
    """Read a POST; never raises because of what was sent."""
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    fields = parse_fields(content_type, await _read_body(request))
    body = _kind_of(fields)
    return Click(fields, body, {**note_origin(request), "body": body.value})


def note_origin(request: web.Request) -> dict[str, object]:
    """Where a request came from and with what, for the evidence."""
    forwarded, trusted = request.headers.getall(_FORWARDED_FOR, []), request.app[OPTIONS].trusted_proxies
    return {
        "ip": find_client_ip(request.remote, forwarded, trusted),
        "user_agent": _clean(request.headers.get(hdrs.USER_AGENT, ""))[:USER_AGENT_LENGTH_MAX],
    }


def parse_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, and none where it cannot be read. Any type but multipart is taken for urlencoded."""
    try:
        if content_type.strip().lower().startswith("multipart/"):
            return _parse_multipart(content_type, body)
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, whoever sent it wants to leave
        _log.info("body_unreadable", error=type(error).__name__)
        return {}


def find_client_ip(peer: str | None, forwarded: list[str], trusted: tuple[str, ...]) -> str | None:
    """Where a request came from: the peer, or the right-most hop of X-Forwarded-For that is not one of our proxies."""
    client = _parse_ip(peer or "")
    networks = _parse_networks(trusted)
    hops = [hop for line in forwarded for hop in line.split(",")]
    while client is not None and hops and any(client in network for network in networks):
        hop = _parse_ip(hops.pop())
        if hop is None:
            break
        client = hop
    return None if client is None else str(client)


async def _read_body(request: web.Request) -> bytes:
    """The body, or nothing where it is too large, too slow or broken off."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    return b""
    except Exception as error:  # noqa: BLE001 - a body that breaks off must not lose the opt-out that it belongs to
        _log.info("body_unreadable", error=type(error).__name__)
        return b""
    return bytes(body)


def _parse_multipart(content_type: str, body: bytes) -> dict[str, str]:
    head = _clean(content_type).encode()
    message = message_from_bytes(b"Content-Type: " + head + b"\r\n\r\n" + body)
    fields = {}
    for part in message.walk():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if name is not None and isinstance(content, bytes):
            fields[collapse_rfc2231_value(name)] = content.decode("utf-8", "replace")
    return fields


def _kind_of(fields: Mapping[str, str]) -> Body:
    name, _, value = ONE_CLICK.partition("=")
    if any(key.strip().lower() == name.lower() and fields[key].strip().lower() == value.lower() for key in fields):
        return Body.ONE_CLICK
    return Body.PAGE if fields.get("via") == "page" else Body.MISSING


def _clean(text: str) -> str:
    # Bytes that are not UTF-8 arrive as lone surrogates, which neither JSON nor a page can hold.
    return text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=8)
def _parse_networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(network, strict=False) for network in trusted)


def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, with a port, or in brackets; IPv4 inside IPv6 is unwrapped."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
