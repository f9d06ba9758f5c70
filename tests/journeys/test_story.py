"""The main job from its beginning to its end, through real processes: one list, fed by a click, filters a campaign."""

import csv
import io
import signal
from urllib.parse import urlsplit

import aiohttp

from tests.journeys.test_start import command, run
from tests.processes import ROOT
from tests.service import started

CAMPAIGN = ROOT / "examples" / "campaign.csv"
LEAVING = "lena.brandt@example.com"


async def filter_campaign(service) -> dict[str, str]:
    """Filter the example; who may be mailed, with the unsubscribe link of each."""
    url = f"{service.http}/v1/scrubs?purpose=marketing&scope=*&column=email&links=true&campaign=spring"
    headers = {"Authorization": f"Bearer {service.api_key}", "Content-Type": "text/csv"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, data=CAMPAIGN.read_bytes()) as answer,
    ):
        assert answer.status == 200
        rows = csv.DictReader(io.StringIO(await answer.text()))
        return {row["email"]: row["unsubscribe_url"] for row in rows}


async def click(link: str) -> int:
    """What a mailbox provider does when its user presses Unsubscribe (RFC 8058)."""
    form = {"List-Unsubscribe": "One-Click"}
    async with aiohttp.ClientSession() as session, session.post(link, data=form) as answer:
        return answer.status


async def test_a_click_keeps_a_recipient_out_of_every_later_campaign(home):
    async with started(home) as service:
        before = await filter_campaign(service)
        assert LEAVING in before
        assert await click(before[LEAVING]) == 200
        assert set(before) - set(await filter_campaign(service)) == {LEAVING}
        status, explained = await service.call("POST", "/v1/explain", address=LEAVING, purpose="marketing", scope="*")
        assert (status, explained["verdict"], explained["reason"]) == (200, "suppress", "unsubscribe")
        entry = explained["entries"][0]
        assert (entry["source"], entry["by"], entry["evidence"]["campaign"]) == ("one_click", "recipient", "spring")
        assert await service.end(signal.SIGKILL) == -signal.SIGKILL
    assert "suppress" in await run(home, "check", LEAVING)
    async with started(home) as service:
        assert LEAVING not in await filter_campaign(service)
        # The service has another port now; what the link says is as good as ever.
        assert await click(service.http + urlsplit(before[LEAVING]).path) == 200


async def test_only_a_command_that_writes_makes_a_list_and_it_says_so(home):
    async with command(home, "check", LEAVING) as process:
        _, words = await process.communicate()
    assert (process.returncode, "there is no list in" in words.decode()) == (75, True)
    async with command(home, "suppress", LEAVING) as process:
        _, words = await process.communicate()
    assert (process.returncode, "a new list was made in" in words.decode()) == (0, True)
    assert "suppress" in await run(home, "check", LEAVING)
