"""A process's copy of the list: filled, compared with the tables, looked after."""

import random

from forbear.services.index_keeper import IndexKeeper
from tests.engines import read_engine, settle
from tests.followers import grant, key_of, lift, read_standing, write


async def is_known(context, address) -> bool:
    """Whether this process knows that something stands about an address, without asking again."""
    key = key_of(context, address)
    return key in read_engine(context.standings.engine, [key])


async def assert_equal_to_list(context, connection):
    """Compare the engine with the tables, read from end to end."""
    await context.standings.catch_up()
    rows = await connection.fetch("SELECT fingerprint, wide_fingerprint FROM entries")
    keys = {key for row in rows for key in row if key}
    keys |= {row["fingerprint"] for row in await connection.fetch("SELECT fingerprint FROM grants")}
    assert read_engine(context.standings.engine, keys) == settle(await read_standing(connection))


async def keep(context, *, is_builder=True):
    """One round of looking after the index, and the build that it may begin."""
    keeper = IndexKeeper(context.database, context.standings, is_builder=is_builder)
    await keeper.look()
    await keeper.finish()


async def fill(context, connection, count=200):
    """Write a list with everything in it."""
    choose = random.Random(count)  # noqa: S311 - the same every time
    written = []
    for number in range(count):
        address = f"person{number % (count // 2)}+tag@gmail.com"
        reason = choose.choice(["unsubscribe", "complaint", "hard_bounce", "friend_only", "objection"])
        scope = choose.choice(["*", "maison", "maison/newsletter"])
        written += await write(context, connection, address, reason=reason, scope=scope)
        if choose.random() < 0.2:
            await grant(context, connection, address, choose.choice(["*", "maison"]))
    await write(context, connection, "@example.org", reason="manual")
    for line in choose.sample(written, count // 10):
        if await connection.fetchval("SELECT lifted_at IS NULL FROM entries WHERE id = $1", line.entry_id):
            await lift(connection, line.entry_id)
