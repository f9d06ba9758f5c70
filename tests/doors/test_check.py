"""POST /v1/check."""

from tests.doors.callers import Client, fresh


async def test_what_was_suppressed_is_refused_and_the_rest_is_delivered(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    assert await client.check(kept, gone, "no address") == [
        "deliver",
        "suppress:unsubscribe",
        "invalid:invalid_address",
    ]
    answer = await client.scrub(f"email\n{gone}\n{kept}\n")
    assert answer.body.decode() == f"email\n{kept}\n"
    print((await client.counts(answer)))
