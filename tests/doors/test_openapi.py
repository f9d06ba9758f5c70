"""The OpenAPI document: well formed, whole, and true of the running program."""

import asyncio
import json
import re

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from forbear.web.app import OPERATIONS
from forbear.web.errors import STATUS
from tests.conftest import make_list
from tests.doors.callers import Client, open_client
from tests.webs import Web, running_web

NAMES = [operation.name for operation in OPERATIONS]
EXAMPLES = 6
# What is asked for in vain is no fault of the program: scopes that nobody registered, entries that are not there.
IN_VAIN = [schemathesis.checks.positive_data_acceptance]
# Each item of these is answered on its own, so that a bad one does not make the whole call fail.
PER_ITEM = {"suppress"}


@pytest.fixture(scope="module")
async def target(template, tmp_path_factory):
    """A real web process on a list of its own, and an administrator's key."""
    folder = tmp_path_factory.mktemp("openapi")
    async with make_list(template, folder) as chosen, open_client(chosen) as client:
        await client.suppress("ann@example.com")
        async with running_web(chosen, folder) as web:
            yield web, client.key


def fetch_document(url: str) -> dict:
    return requests.get(f"{url}/openapi.json", timeout=30).json()


async def test_the_document_and_its_page_need_no_key(client: Client):
    for path, kind in (("/openapi.json", "application/json"), ("/docs", "text/html")):
        async with client.session.get(path) as answer:
            assert answer.status == 200
            assert answer.content_type == kind


async def test_every_operation_of_the_api_is_described(client: Client):
    document = (await client.ask("GET", "/openapi.json")).json
    described = {(m.upper(), path, o["operationId"]) for path, of in document["paths"].items() for m, o in of.items()}
    assert {name for _, _, name in described} == set(NAMES)
    for operation in OPERATIONS:
        path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", operation.path)
        assert (operation.method, path, operation.name) in described
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"api_key": []}]


async def test_every_reference_leads_somewhere(client: Client):
    document = (await client.ask("GET", "/openapi.json")).json
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


async def test_every_status_of_a_refusal_is_described(client: Client):
    document = (await client.ask("GET", "/openapi.json")).json
    ours = {str(int(status)) for status in STATUS.values() if status < 500 or status == 503} - {"409"}
    for of in document["paths"].values():
        for operation in of.values():
            assert ours <= set(operation["responses"])
            for status in ours:
                assert "application/problem+json" in operation["responses"][status]["content"]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("name", NAMES)
async def test_the_program_is_as_its_document_says(target: tuple[Web, str], name, mode):
    web, key = target
    await asyncio.to_thread(check_operation, web.url, key, name, mode)


def check_operation(url: str, key: str, name: str, mode: GenerationMode) -> None:
    """Ask one operation what schemathesis can think of, and hold every answer against the document."""
    schema = schemathesis.openapi.from_dict(fetch_document(url))
    operation = schema.find_operation_by_id(name)
    excluded = list(IN_VAIN)
    if name in PER_ITEM:
        excluded.append(schemathesis.checks.negative_data_rejection)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case) -> None:
        case.call_and_validate(base_url=url, session=session, excluded_checks=excluded)

    check()
