"""Limits on what anybody may ask for without an account: typed unsubscribes, subscriptions, confirmations.

One-click requests are never limited: mailbox providers send them for many people from few addresses. What is counted
stands under keyed fingerprints, so that the counters say nothing about anybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Final

import structlog

from forbear.domain.errors import LimitReached
from forbear.services.context import Context
from forbear.store import Connection
from forbear.store import counter as counter_store

_log = structlog.get_logger()
_HOUR: Final = timedelta(hours=1)
_EVERYBODY: Final = "everybody"
_PREFIXES: Final = {4: 24, 6: 48}
"""How much of an IP address stands for a network: what one subscriber may be given, or a neighbourhood."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may be done within a window that begins with its first time.

    `is_alarm` says that reaching it concerns the operator: it is logged, once a window.
    """

    name: str
    most: int
    window: timedelta
    is_alarm: bool = False


async def count_typed_unsubscribe(context: Context, ip: str | None) -> None:
    """Count one typed unsubscribe. Raises `LimitReached` where the network, or everybody together, asks too often."""
    options = context.options.limits
    await _count_all(
        context,
        (Limit("typed_network", options.typed_per_network_max, _HOUR), network_of(ip)),
        (Limit("typed", options.typed_per_hour_max, _HOUR, is_alarm=True), _EVERYBODY),
    )


async def count_subscription(context: Context, ip: str | None) -> None:
    """Count one request to subscribe, likewise."""
    options = context.options.limits
    await _count_all(
        context,
        (Limit("subscriptions_network", options.subscriptions_per_network_max, _HOUR), network_of(ip)),
        (Limit("subscriptions", options.subscriptions_per_hour_max, _HOUR, is_alarm=True), _EVERYBODY),
    )


async def count_within(context: Context, connection: Connection, limit: Limit, subject: str) -> bool:
    """Count once more for a subject, in the caller's transaction; whether it is still within the limit."""
    key = context.keyring.fingerprints.make_counter_key(limit.name, subject)
    return (await counter_store.count_up(connection, key, limit.window)).number <= limit.most


def network_of(ip: str | None) -> str:
    """The network of an IP address; one that is not known counts for all of those."""
    if ip is None:
        return "unknown"
    version = 6 if ":" in ip else 4
    return str(ip_network(f"{ip.partition('%')[0]}/{_PREFIXES[version]}", strict=False))


async def _count_all(context: Context, *counted: tuple[Limit, str]) -> None:
    async with context.database.connection() as connection:
        for limit, subject in counted:
            key = context.keyring.fingerprints.make_counter_key(limit.name, subject)
            count = await counter_store.count_up(connection, key, limit.window)
            if count.number > limit.most:
                if limit.is_alarm and count.number == limit.most + 1:
                    _log.warning("limit_reached", limit=limit.name, most=limit.most)
                raise LimitReached(limit=limit.name, retry_after_seconds=max(1, math.ceil(count.remaining_seconds)))
