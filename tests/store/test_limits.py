"""Counters that limit what anybody may ask for without an account."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from forbear.domain.errors import LimitReached
from forbear.services.context import LimitOptions
from forbear.services.limits import Limit, count_subscription, count_typed_unsubscribe, count_within, network_of
from forbear.services.retention import delete_expired

LIMITS = LimitOptions(typed_per_network_max=2, typed_per_hour_max=3, subscriptions_per_network_max=1)


@pytest.fixture
def limited(context):
    return replace(context, options=replace(context.options, limits=LIMITS))


async def run(context, sql: str):
    async with context.database.connection() as connection:
        return await connection.fetch(sql)


async def test_a_network_is_refused_once_it_has_asked_often_enough(limited):
    await count_typed_unsubscribe(limited, "192.0.2.1")
    await count_typed_unsubscribe(limited, "192.0.2.77")
    with pytest.raises(LimitReached) as refused:
        await count_typed_unsubscribe(limited, "192.0.2.200")
    assert refused.value.limit == "typed_network"
    assert 3590 < refused.value.retry_after_seconds <= 3600
    await count_typed_unsubscribe(limited, "198.51.100.1")


async def test_everybody_together_is_refused_and_one_alarm_is_given(limited):
    for number in range(3):
        await count_typed_unsubscribe(limited, f"10.0.{number}.1")
    with capture_logs() as logged:
        for number in range(3, 6):
            with pytest.raises(LimitReached) as refused:
                await count_typed_unsubscribe(limited, f"10.0.{number}.1")
            assert refused.value.limit == "typed"
    assert [line["event"] for line in logged] == ["limit_reached"]


async def test_what_is_counted_is_counted_apart(limited):
    await count_subscription(limited, "192.0.2.1")
    await count_typed_unsubscribe(limited, "192.0.2.1")
    with pytest.raises(LimitReached):
        await count_subscription(limited, "192.0.2.1")


async def test_a_window_that_is_over_begins_anew(limited):
    await count_subscription(limited, "192.0.2.1")
    await run(limited, "UPDATE counters SET began_at = began_at - interval '1 hour'")
    await count_subscription(limited, "192.0.2.1")


async def test_nobody_slips_through_at_the_same_moment(context):
    async def count() -> bool:
        async with context.database.transaction() as connection:
            return await count_within(context, connection, Limit("x", 3, timedelta(minutes=1)), "somebody")

    assert sorted(await asyncio.gather(*(count() for _ in range(9)))) == [False] * 6 + [True] * 3


async def test_p9_counters_say_nothing_about_anybody(limited):
    await count_subscription(limited, "192.0.2.1")
    rows = await run(limited, "SELECT key FROM counters")
    assert {len(row["key"]) for row in rows} == {16}
    make = limited.keyring.fingerprints.make_counter_key
    assert len({make("a", "b"), make("a", "c"), make("c", "b")}) == 3


async def test_old_counters_are_deleted(limited):
    await count_subscription(limited, "192.0.2.1")
    assert (await delete_expired(limited)).counters == 0
    await run(limited, "UPDATE counters SET began_at = began_at - interval '9 days'")
    assert (await delete_expired(limited)).counters == 2
    assert await run(limited, "SELECT FROM counters") == []


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.99", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        (None, "unknown"),
    ],
)
def test_a_network_is_a_neighbourhood(ip, network):
    assert network_of(ip) == network
