"""POST /v1/check."""

from datetime import UTC, datetime

import pytest

from tests.doors.callers import Client, assert_problem, fresh, open_client


async def test_each_address_gets_its_verdict_in_the_order_asked(client: Client):
    gone, kept = fresh(), fresh()
    await client.suppress(gone)
    asked = [kept, gone, "no address", gone.upper(), f" {gone}\t", kept]
    assert await client.check(*asked) == [
        "deliver",
        "suppress:unsubscribe",
        "invalid:invalid_address",
        "suppress:unsubscribe",
        "suppress:unsubscribe",
        "deliver",
    ]


async def test_as_of_lies_between_question_and_answer(client: Client):
    before = datetime.now(UTC)
    answer = await client.post("/v1/check", purpose="marketing", scope="*", addresses=[fresh()])
    assert before <= datetime.fromisoformat(answer.json["as_of"]) <= datetime.now(UTC)


async def test_x01_what_was_answered_is_refused_from_then_on(client: Client):
    for _ in range(20):
        address = fresh()
        assert await client.check(address) == ["deliver"]
        await client.suppress(address)
        assert await client.check(address) == ["suppress:unsubscribe"]


async def test_a_newsletter_opt_out_blocks_no_receipt(client: Client):
    address = fresh()
    await client.suppress(address, scope="maison/newsletter")
    assert await client.check(address, scope="maison/newsletter") == ["suppress:unsubscribe"]
    assert await client.check(address, scope="maison/events") == ["deliver"]
    assert await client.check(address, scope="atelier") == ["deliver"]
    assert await client.check(address) == ["suppress:unsubscribe"]
    assert await client.check(address, scope="maison/newsletter", purpose="transactional") == ["deliver"]


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("Ann{}@Example.COM", "ann{}@example.com"),
        ("ann{}@BÜCHER.example", "ann{}@xn--bcher-kva.example"),
        ("ann{}@xn--bcher-kva.example", "ann{}@bücher.example"),
        ('"ann{}"@example.com', "ann{}@example.com"),
        ("jörg{}@example.com", "JO\u0308RG{}@example.com"),
        ("<ann{}@example.com>", "ann{}@example.com"),
        ("mailto:ann{}@example.com", "ann{}@example.com"),
        ("ann{}@example.com.", "ann{}@example.com"),
        ("Ann <ann{}@example.com>", "ann{}@example.com"),
    ],
)
async def test_case_and_spelling_make_no_difference(client: Client, listed, asked):
    number = fresh().partition("@")[0]
    await client.suppress(listed.format(number))
    assert await client.check(asked.format(number)) == ["suppress:unsubscribe"]


async def test_complaints_and_objections_cover_the_other_spellings_of_a_mailbox(client: Client):
    local = fresh().partition("@")[0]
    spelled = [f"{local[0]}.{local[1:]}+shop@gmail.com", f"{local}@googlemail.com"]
    await client.suppress(f"{local}@gmail.com")
    assert await client.check(*spelled) == ["deliver", "deliver"]
    await client.suppress(f"{local}@gmail.com", "objection")
    assert await client.check(*spelled) == ["suppress:objection", "suppress:objection"]


async def test_a_dead_tag_says_nothing_about_the_mailbox(client: Client):
    local = fresh().partition("@")[0]
    await client.suppress(f"{local}+shop@gmail.com", "hard_bounce")
    assert await client.check(f"{local}+shop@gmail.com", f"{local}@gmail.com") == ["suppress:hard_bounce", "deliver"]


async def test_without_wide_matching_only_the_very_address_is_covered(settings):
    async with open_client(settings, wide_matching=False) as client:
        await client.suppress("ann+shop@gmail.com", "objection")
        verdicts = await client.check("ann+shop@gmail.com", "ann@gmail.com")
    assert verdicts == ["suppress:objection", "deliver"]


async def test_a_domain_covers_everybody_there_and_nobody_below(client: Client):
    domain = fresh().partition("@")[0] + ".example"
    await client.suppress(f"@{domain.upper()}")
    asked = [f"ann@{domain}", f"ann@sub.{domain}", f"ann@x{domain}"]
    assert await client.check(*asked) == ["suppress:unsubscribe", "deliver", "deliver"]


async def test_cells_that_were_added_to_the_table_block(settings):
    async with open_client(settings, also_blocks=("unsubscribe:transactional",)) as client:
        await client.suppress("ann@example.com")
        assert await client.check("ann@example.com", purpose="transactional") == ["suppress:unsubscribe"]
        assert await client.check("ann@example.com", purpose="notice") == ["deliver"]


# What is asked wrongly


@pytest.mark.parametrize("count", [1, 10_000])
async def test_as_many_addresses_as_the_limit_allows(client: Client, count):
    gone = fresh()
    await client.suppress(gone)
    addresses = [*(f"{number}.{gone}" for number in range(count - 1)), gone]
    assert await client.check(*addresses) == ["deliver"] * (count - 1) + ["suppress:unsubscribe"]


async def test_one_address_more_than_the_limit_is_refused_whole(client: Client):
    addresses = [f"{number}.ann@example.com" for number in range(10_001)]
    answer = await client.post("/v1/check", purpose="marketing", scope="*", addresses=addresses)
    assert "10000" in assert_problem(answer, 413, "too_large")["detail"]


async def test_one_bad_address_holds_up_none_of_the_others(client: Client):
    bad = [
        "",
        " ",
        "x" * 5000,
        "a@b@example.com",
        "@example.com",
        "a@[127.0.0.1]",
        "\0@example.com",
        "a@example.com\n,b",
    ]
    good = fresh()
    assert await client.check(*bad, good) == ["invalid:invalid_address"] * len(bad) + ["deliver"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"purpose": "newsletter"}, "/purpose"),
        ({"purpose": None}, "/purpose"),
        ({"scope": 7}, "/scope"),
        ({"scope": "x" * 200}, "/scope"),
        ({"addresses": []}, "/addresses"),
        ({"addresses": "ann@example.com"}, "/addresses"),
        ({"addresses": ["ann@example.com", None]}, "/addresses/1"),
        ({"addresses": [["ann@example.com"]]}, "/addresses/0"),
        ({"channel": "pigeon"}, "/channel"),
        ({"adresses": []}, "/adresses"),
        ({"ann@example.com": 1}, "/..."),
    ],
)
async def test_a_body_that_does_not_fit_is_told_where(client: Client, change, pointer):
    body = {"purpose": "marketing", "scope": "*", "addresses": [fresh()]} | change
    problem = assert_problem(await client.post("/v1/check", **body), 422, "invalid_body")
    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("name", ["purpose", "scope", "addresses"])
async def test_nothing_but_the_channel_may_be_left_out(client: Client, name):
    body = {"purpose": "marketing", "scope": "*", "addresses": [fresh()]}
    del body[name]
    problem = assert_problem(await client.post("/v1/check", **body), 422, "invalid_body")
    assert problem["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize("scope", ["unheard-of", "maison/unheard-of"])
async def test_an_unregistered_scope_is_an_error_and_no_pass(client: Client, scope):
    answer = await client.post("/v1/check", purpose="marketing", scope=scope, addresses=[fresh()])
    assert scope in assert_problem(answer, 422, "unknown_scope")["detail"]


@pytest.mark.parametrize("scope", ["", "Maison", "maison/", "a/b/c", "ann@example.com", "mai\0son"])
async def test_what_is_no_scope_is_told_so(client: Client, scope):
    answer = await client.post("/v1/check", purpose="marketing", scope=scope, addresses=[fresh()])
    assert_problem(answer, 422, "invalid_input")


async def test_a_scope_that_was_registered_a_moment_ago_is_known(client: Client):
    from forbear.services.scopes import add_scope  # noqa: PLC0415 - beside its one use

    await add_scope(client.context, "brand-new/topic", {})
    assert await client.check(fresh(), scope="brand-new/topic") == ["deliver"]
    assert await client.check(fresh(), scope="brand-new") == ["deliver"]
