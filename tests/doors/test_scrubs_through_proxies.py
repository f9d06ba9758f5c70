"""Scrubs through a proxy, which carries the list first and the answer afterwards."""

import io

import pytest

from tests.doors.callers import assert_problem, fresh

HEADERS = [{"X-Forwarded-For": "192.0.2.7"}, {"Forwarded": "for=192.0.2.7"}, {"Via": "1.1 proxy"}]
PARAMETERS = {"purpose": "marketing", "scope": "*"}
MANY = 60_000


def make_list(*last_lines: str) -> bytes:
    """A list of several batches."""
    return "\n".join(["email", *(fresh() for _ in range(MANY)), *last_lines]).encode()


async def scrub(client, rows: bytes, headers: dict[str, str]):
    return await client.ask("POST", "/v1/scrubs", data=io.BytesIO(rows), params=PARAMETERS, headers=headers)


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
async def test_trouble_at_the_very_end_of_a_list_is_a_problem_document(client, headers):
    answer = await scrub(client, make_list('"open'), headers)
    body = assert_problem(answer, 422, "invalid_list")
    assert body["errors"][0]["row"] == MANY + 2
    assert (await client.counts(answer))["status"] == "failed"


async def test_the_whole_list_comes_out(client):
    rows = make_list("")
    answer = await scrub(client, rows, HEADERS[0])
    assert answer.status == 200
    assert answer.body == rows
