"""The promises of the design, each through real processes. P5 and P10 have their tests beside what they are about."""

import asyncio
import itertools
import re
import subprocess
from collections.abc import AsyncIterator

import aiohttp
import pytest

from forbear.domain.address import parse_address
from forbear.domain.suppression import Channel, Source
from forbear.services.api_keys import Permission
from forbear.services.suppression import fingerprint_keys
from forbear.store.suppression import add_grant
from tests.commands import run_command
from tests.doors.callers import Client, assert_problem, fresh
from tests.doors.streams import (
    connected,
    is_complete,
    make_head,
    make_rows,
    read_head,
    read_rest,
    wait_for_end,
)
from tests.leaks import find_forms, find_traces, refuse_everything, use_everything
from tests.places import (
    MARKETING,
    ONE_CLICK,
    PATIENCE_SECONDS,
    Place,
    click,
    find_metrics,
    make_link,
    make_place,
)
from tests.schema import dump

SECRET = "camille.lantern+autumn@gmail.com"


@pytest.fixture
async def place(tmp_path) -> AsyncIterator[Place]:
    async with make_place(tmp_path) as made:
        yield made


async def test_p1_no_decision_that_begins_after_an_answer_lets_through(place: Place):
    addresses = [fresh() for _ in range(300)]
    answered: set[str] = set()
    async with place.serve() as (_, one), place.serve() as (_, other):
        doors = itertools.cycle([one, other])
        links = {address: await make_link(one, address) for address in addresses[::2]}

        async def opt_out(address: str) -> None:
            if address in links:
                assert await click(next(doors), links[address]) == 200
            else:
                await next(doors).suppress(address, scope="maison")
            answered.add(address)

        async def opt_all_out() -> None:
            for place_of_first in range(0, len(addresses), 6):
                await asyncio.gather(*(opt_out(address) for address in addresses[place_of_first : place_of_first + 6]))

        async def check(client: Client) -> int:
            rounds = 0
            while len(answered) < len(addresses):
                must = set(answered)
                verdicts = await client.check(*addresses, scope="maison/newsletter")
                late = [a for a, verdict in zip(addresses, verdicts, strict=True) if a in must and verdict == "deliver"]
                assert late == []
                rounds += 1
            return rounds

        async def scrub(client: Client) -> int:
            rounds, listed = 0, "\n".join(["email", *addresses])
            while len(answered) < len(addresses):
                must = set(answered)
                answer = await client.scrub(listed, scope="maison/newsletter")
                assert must & set(answer.lines) == set()
                rounds += 1
            return rounds

        checkers = [work(client) for work in (check, scrub) for client in (one, other)]
        rounds = await asyncio.gather(*checkers, opt_all_out())
        assert min(rounds[:-1]) > 2, "the checks did not race with anything"
        assert await one.check(*addresses, scope="maison/newsletter") == ["suppress:unsubscribe"] * len(addresses)


async def collect_answers(client: Client, addresses: list[str], answered: set[str], enough: int) -> None:
    """Opt out many at once, until so many have been answered; whatever breaks off then was not answered."""
    links = [await make_link(client, address) for address in addresses[::2]]
    reached = asyncio.Event()

    async def opt_out(number: int, address: str) -> None:
        if number % 2:
            await client.suppress(address, scope="maison")
        else:
            assert await click(client, links[number // 2]) == 200
        answered.add(address)
        if len(answered) >= enough:
            reached.set()

    tasks = [asyncio.create_task(opt_out(number, address)) for number, address in enumerate(addresses)]
    await asyncio.wait_for(reached.wait(), PATIENCE_SECONDS)
    for task in tasks:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def test_p2_what_was_answered_survives_kill_9_of_web(place: Place):
    answered: set[str] = set()
    async with place.serve() as (_, witness):
        for _ in range(3):
            async with place.serve() as (web, client):
                before = len(answered)
                await collect_answers(client, [fresh() for _ in range(40)], answered, before + 15)
                web.process.kill()
                await web.process.wait()
            verdicts = await witness.check(*answered, scope="maison/newsletter")
            assert verdicts == ["suppress:unsubscribe"] * len(answered)


async def test_p2_what_was_answered_survives_kill_9_of_postgresql(place: Place):
    answered: set[str] = set()
    async with place.serve() as (_, client):
        for _ in range(3):
            before = len(answered)
            await collect_answers(client, [fresh() for _ in range(40)], answered, before + 15)
            await place.kill_postgresql()
            await place.cluster.start()
            await wait_until_ready(client)
            verdicts = await client.check(*answered, scope="maison/newsletter")
            assert verdicts == ["suppress:unsubscribe"] * len(answered)


async def wait_until_ready(client: Client) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await client.ask("GET", "/readyz")).status != 200:  # noqa: ASYNC110 - it is another process's state
            await asyncio.sleep(0.02)


async def test_p3_while_the_list_cannot_be_asked_nothing_is_let_through(place: Place, tmp_path):
    listed, out = tmp_path / "list.csv", tmp_path / "out.csv"
    listed.write_text(f"email\n{SECRET}\n")
    async with place.serve() as (_, client):
        path = await make_link(client, SECRET)
        assert await client.check(SECRET) == ["deliver"]
        await place.kill_postgresql()

        answers = [
            await client.post("/v1/check", **MARKETING, addresses=[SECRET]),
            await client.scrub(f"email\n{SECRET}\n"),
            await client.ask("GET", "/readyz"),
        ]
        for answer in answers:
            assert_problem(answer, 503, "list_unavailable")
        for form in (ONE_CLICK, {"via": "page"}):
            page = await client.ask("POST", path, data=form)
            assert page.status == 503
            assert int(page.headers["Retry-After"]) > 0
        assert (await client.ask("GET", "/livez")).status == 200
        for words in (["check", SECRET], ["scrub", listed, "-o", out], ["suppress", SECRET]):
            assert (await run_command(place.settings, *words)).code == 75
        assert not out.exists()

        await place.cluster.start()
        await wait_until_ready(client)
        assert await click(client, path) == 200
        assert await client.check(SECRET, scope="maison/newsletter") == ["suppress:unsubscribe"]
    done = await run_command(place.settings, "scrub", listed, "-o", out, "--scope", "maison")
    assert (done.code, out.read_text()) == (0, "email\n")


async def test_p3_a_list_that_goes_away_in_the_middle_of_a_scrub_ends_it_visibly(place: Place):
    rows, _ = make_rows(8)
    async with place.serve() as (_, client):
        async with connected(client.port) as (reader, writer):
            writer.write(make_head(client, len(rows) * 2) + rows)
            scrub_id = (await read_head(reader))["Scrub-Id"]
            await place.kill_postgresql()
            writer.write(rows)
            assert not is_complete(await read_rest(reader))
        assert_problem(await client.ask("GET", f"/v1/scrubs/{scrub_id}"), 503, "list_unavailable")
        await place.cluster.start()
        await wait_until_ready(client)
        record = await wait_for_end(client, scrub_id)
        assert record["status"] == "failed"
        assert "cannot be asked" in record["error"]["detail"]


async def test_p4_suppress_wide_grant_narrow(place: Place):
    spelled = ["cam.ille@gmail.com", "camille+shop@gmail.com", "camille@googlemail.com"]
    async with place.serve() as (_, client):
        for typed in (" <Camille@Gmail.com> ", "mailto:camille@gmail.com"):
            number = await client.suppress(typed, "objection")
        assert await client.check(*spelled) == ["suppress:objection"] * 3
        # What grants speaks for that very spelling and scope, and for what was said before it.
        key = fingerprint_keys(place.context, parse_address(spelled[0])).match
        async with place.context.database.connection() as connection:
            await add_grant(connection, key, Channel.EMAIL, "maison/newsletter", Source.PREFERENCES, "test")
        assert await client.check(*spelled, scope="maison/newsletter") == ["deliver"] + ["suppress:objection"] * 2
        assert await client.check(*spelled, scope="maison") == ["suppress:objection"] * 3
        await client.suppress("camille@gmail.com", "objection")
        assert await client.check(*spelled, scope="maison/newsletter") == ["suppress:objection"] * 3
        # A link may restrict, and take back what it did itself. It lifts nothing else.
        link = await make_link(client, spelled[0])
        assert await click(client, link) == 200
        for form in ({}, {"undo": "x"}, {"undo": link.rpartition("/")[2]}):
            async with client.session.post(f"{link}/undo", data=form) as answer:
                assert answer.status >= 400
        assert await client.check(*spelled) == ["suppress:objection"] * 3
        # Lifting takes a permission and a reason.
        path = f"/v1/suppressions/{number}/lift"
        weak = await client.with_key(*set(Permission) - {Permission.LIFT, Permission.ADMIN})
        assert_problem(await weak.post(path, why="because"), 403, "not_permitted")
        assert_problem(await client.post(path), 422, "invalid_body")
        assert await client.check(*spelled) == ["suppress:objection"] * 3


async def test_p6_an_erased_address_is_nowhere_and_suppressed(place: Place):
    async with place.serve() as (web, client):
        await use_everything(client, SECRET)
        key = fingerprint_keys(place.context, parse_address(SECRET)).match
        async with place.context.database.connection() as connection:
            sealed = await connection.fetchval("SELECT sealed FROM addresses WHERE fingerprint = $1", key)
            proofs = await connection.fetch("SELECT sealed FROM evidence WHERE fingerprint = $1", key)
        assert sealed
        assert len(proofs) > 3
        before = await dump(place.settings.migrate_url)
        assert sealed.hex() in before

        assert (await client.post("/v1/erasures", address=SECRET)).json["status"] == "erased"
        assert await client.check(SECRET) == ["suppress:erased"]
        await client.suppress(SECRET, "manual", evidence={"said": SECRET})
        after = await dump(place.settings.migrate_url)
        assert key.hex() in after
        assert sealed.hex() not in after
        assert not any(proof["sealed"].hex() in after for proof in proofs)
        assert find_forms(SECRET, after.encode()) == []
        assert find_forms(SECRET, web.stderr_file.read_bytes()) == []
    # It stays so, and the same address spelled otherwise is the same person.
    async with place.serve() as (_, client):
        assert await client.check(SECRET.title(), SECRET, scope="maison") == ["suppress:erased"] * 2
    files = [
        path for path in place.settings.keys_path.parent.rglob("*") if path.is_file() and "pgdata" not in path.parts
    ]
    assert [path for path in files if find_forms(SECRET, path.read_bytes())] == []


async def test_p8_every_verdict_can_be_explained_whichever_door_it_came_through(place: Place):
    by_click, by_page, by_api, by_command, by_letter = (fresh() for _ in range(5))
    async with place.serve() as (_, client):
        assert await click(client, await make_link(client, by_click)) == 200
        await client.session.post(
            await make_link(client, by_page), data={"via": "page"}, headers={"User-Agent": "Reader"}
        )
        await client.suppress(by_api, "hard_bounce", source="bounce", evidence={"status": "5.1.1"})
        await client.suppress(
            by_letter, "objection", source="letter", since="2026-02-03T04:05:06Z", evidence={"reference": "L-7"}
        )
        assert (await run_command(place.settings, "suppress", by_command, "--scope", "maison")).code == 0
        told = {}
        for address in (by_click, by_page, by_api, by_command, by_letter):
            verdict = await client.check(address, scope="maison/newsletter")
            answer = (await client.post("/v1/explain", **MARKETING, address=address)).json
            (told[address],) = answer["entries"]
            assert verdict == [f"suppress:{answer['reason']}"]
            assert f"entry {told[address]['id']}:" in answer["rule"]
    assert [told[address]["source"] for address in (by_click, by_page, by_api, by_letter)] == [
        "one_click",
        "page",
        "bounce",
        "letter",
    ]
    assert told[by_click]["by"] == "recipient"
    assert told[by_click]["evidence"]["campaign"] == "spring"
    assert told[by_page]["evidence"]["user_agent"] == "Reader"
    assert told[by_page]["evidence"]["ip"] == "127.0.0.1"
    assert told[by_api]["evidence"] == {"status": "5.1.1"}
    assert told[by_api]["by"].startswith("api_key:")
    assert (told[by_letter]["since"], told[by_letter]["evidence"]) == (
        "2026-02-03T04:05:06+00:00",
        {"reference": "L-7"},
    )
    assert told[by_command]["by"]


async def test_p9_no_address_leaks(place: Place):
    seen: list[bytes] = []
    async with place.serve(FORBEAR_METRICS="127.0.0.1:0", FORBEAR_MAIL_DOMAIN="in.example.com") as (web, client):
        trace = aiohttp.TraceConfig()

        async def note(_session, _context, parameters) -> None:
            headers = b"".join(b"%b: %b\r\n" % line for line in parameters.response.raw_headers)
            seen.append(headers)
            if "problem" in parameters.response.content_type or parameters.response.status >= 400:
                # A form gives what was typed back to whoever typed it, in its field and nowhere else.
                seen.append(re.sub(rb' value="[^"]*"', b"", await parameters.response.read()))

        trace.on_request_end.append(note)
        trace.freeze()
        client.session.trace_configs.append(trace)
        await use_everything(client, SECRET)
        links = (await client.post("/v1/links", **MARKETING, campaign="spring", addresses=[SECRET])).json["results"][0]
        seen += [str(value).encode() for name, value in links.items() if name != "address"]
        await refuse_everything(client, SECRET)
        async with aiohttp.ClientSession() as session, session.get(find_metrics(web)) as metrics:
            seen.append(await metrics.read())
        assert b"forbear_http_requests" in seen[-1]
        await place.kill_postgresql()
        await refuse_everything(client, SECRET)
        seen.append(web.stderr_file.read_bytes())
        assert len(web.logs) > 40
    for log in place.cluster.place.data.glob("log/*"):
        seen.append(log.read_bytes())
    for errors in [await run_command(place.settings, *words) for words in (["check", SECRET], ["explain", SECRET])]:
        seen.append(errors.err.encode())
    assert len(seen) > 60
    leaks = {(form, text[max(0, text.find(form) - 80) :][:200]) for text in seen for form in find_forms(SECRET, text)}
    assert leaks == set()
    assert {(form, text[max(0, text.find(form) - 80) :][:200]) for text in seen for form in find_traces(text)} == set()


async def test_p11_answers_are_honest(place: Place, tmp_path):
    gone, kept = fresh(), fresh()
    listed, out = tmp_path / "list.csv", tmp_path / "out.csv"
    async with place.serve() as (web, client):
        await client.suppress(gone)
        # One bad item fails no other, and none of the others hides it.
        items = [{"address": a, "reason": "manual", "scope": "*"} for a in (fresh(), "no address", fresh())]
        results = (await client.post("/v1/suppressions", suppressions=items)).json["results"]
        assert [line["status"] for line in results] == ["added", "error", "added"]
        # Each row that does not come out is counted by what became of it.
        answer = await client.scrub(f"email\n{gone}\n{kept}\n{kept}\nno address\n")
        record = await client.counts(answer)
        assert (record["rows"], record["deliver"], record["suppress"]) == (4, 1, {"unsubscribe": 1})
        assert (record["invalid"], record["duplicate"]) == (1, 1)
        # What could not be filtered to its end is told from what was: curl says so, and its record says why.
        listed.write_bytes(make_rows(6)[0] + b'late@example.com,"never closed\n')
        command = ["curl", "-sS", "-D", tmp_path / "head", "-o", out, "-H", f"Authorization: Bearer {client.key}"]
        command += ["--data-binary", f"@{listed}", f"{web.url}/v1/scrubs?purpose=marketing&scope=*"]
        finished = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True)
        assert finished.returncode in {18, 56}
        scrub_id = re.search(r"Scrub-Id: (\S+)", (tmp_path / "head").read_text())[1]
        failed = await wait_for_end(client, scrub_id)
        assert (failed["status"], failed["error"]["column"]) == ("failed", "filler")
    broken = await run_command(place.settings, "scrub", listed, "-o", tmp_path / "never.csv")
    assert broken.code == 1
    assert "never closed" in broken.err
    assert not (tmp_path / "never.csv").exists()
