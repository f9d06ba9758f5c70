"""Limits at the door: a plain 429 for whoever types too often, and nothing of the kind for one-click."""

from dataclasses import replace

from forbear.services.context import LimitOptions
from forbear.web.metrics import LIMITS_REACHED
from tests.doors.recipients import FORM, ONE_CLICK, open_door


def count_refused(name: str) -> float:
    return LIMITS_REACHED.labels(name)._value.get()


async def test_whoever_types_too_often_is_told_when_to_come_back(context):
    limits = LimitOptions(typed_per_network_max=1)
    async with open_door(replace(context, options=replace(context.options, limits=limits))) as door:
        before = count_refused("typed_network")
        assert (await door.post("/unsubscribe", {"email": "a@example.com"})).status == 200
        refused = await door.post("/unsubscribe", {"email": "b@example.com"})
        assert refused.status == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 3600
        assert count_refused("typed_network") == before + 1
        assert await door.verdict(address="b@example.com") == "deliver"


async def test_one_click_is_never_limited(context):
    limits = LimitOptions(typed_per_network_max=1, typed_per_hour_max=1, subscriptions_per_network_max=1)
    async with open_door(replace(context, options=replace(context.options, limits=limits))) as door:
        for number in range(30):
            answer = await door.post(f"/u/{door.token(f'person{number}@example.com')}", ONE_CLICK, headers=FORM)
            assert answer.status == 200
        async with door.context.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM counters") == 0
