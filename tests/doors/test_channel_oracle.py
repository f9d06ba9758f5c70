"""Lists of every channel against the oracle, row for row, for messages and for parties."""

import asyncio
import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from forbear.domain.contact_point import channel_of, parse_contact_point
from forbear.domain.party import PartyKind
from forbear.domain.suppression import Channel, Reason, Source
from forbear.services import suppression
from forbear.services.parties import PartyDraft, put_party
from forbear.services.suppression import Assertion
from forbear.store.suppression import add_grant
from tests.conftest import make_list
from tests.doors.callers import open_client
from tests.mixed import COLUMNS, read_verdicts, start_oracle

POINTS = 400
PARTIES = {"salon": PartyKind.AFFILIATE, "broker": PartyKind.THIRD_PARTY, "gala": PartyKind.COSPONSOR}
MESSAGE_SCOPES = ("*", "maison", "maison/newsletter", "atelier")
SHARING_SCOPES = ("sharing", "sharing/third-party", "sharing/affiliate", "sharing/cosponsor")
SHARING_SCOPES += tuple(f"sharing/{name}" for name in PARTIES)
REASONS = tuple(set(Reason) - {Reason.ERASED})
LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """How points of a channel are made, and spelled in another way."""

    header: str
    options: dict[str, str]

    def make(self, number: int) -> str:
        match self.options["channel"]:
            case "email":
                return f"person.{number}@{('gmail.com', 'example.com')[number % 2]}"
            case "phone":
                return f"+33612{number:06}"
        town = ("Paris", "東京", "Wien")[number % 3]
        return f"Zoë O'Hara {number} | {number} bis, rue de l'Été / {number % 7} | {town} | 7500{number % 9} | FR"

    def spell(self, chance: Random, text: str) -> str:
        match self.options["channel"]:
            case "email":
                return chance.choice(
                    [text, text.upper(), text.replace("person.", "p.erson") if "gmail" in text else text]
                )
            case "phone":
                national = "0" + text[3:]
                return chance.choice([text, national, f"+33 (0){text[3:]}", f"{national[:4]}.{national[4:]}", text[:5]])
        fields = text.split(" | ")
        other = [field.upper().replace(",", " ").replace("'", "\u2019") for field in fields]
        spelled = chance.choice(
            [fields, other, [*fields[:-1], "France"], [fields[0], fields[2], fields[1], *fields[3:]]]
        )
        return ",".join(f'"{field}"' for field in spelled)


KINDS = {
    "email": Kind("email", {"channel": "email"}),
    "phone": Kind("phone", {"channel": "phone", "column": "phone", "region": "FR"}),
    "post": Kind("name,street,town,code,land", {"channel": "post", "columns": "name,street,town,code,land"}),
}


@pytest.fixture(scope="module", params=KINDS)
async def listed(request, template, tmp_path_factory):
    """A list of one channel, what stands about it, and a client."""
    folder, kind = tmp_path_factory.mktemp(request.param), KINDS[request.param]
    chance = Random(4)  # noqa: S311 - the same list again is the point
    points = [kind.make(number) for number in range(POINTS)]
    rows = [kind.spell(chance, point) for point in chance.choices(points, k=2 * POINTS)]
    (folder / "list.csv").write_text("\n".join([kind.header, *rows]) + "\n", encoding="utf-8")
    async with make_list(template, folder) as settings, open_client(settings) as client:
        for name, party_kind in PARTIES.items():
            await put_party(client.context, PartyDraft(name, party_kind, name, "1 High Street"))
        await say_much(client.context, chance, points, Channel(request.param), folder / "entries.csv")
        yield folder, client, kind


async def say_much(context, chance, points, channel, path):
    """Say no and yes about many of the points, three times each, and write down for the oracle what stands."""
    entries, grants = {}, {}
    for step in range(3):
        for text in chance.sample(points, POINTS // 2):
            point = parse_contact_point(channel, text)
            assert channel_of(point) is channel
            if chance.random() < 0.4:
                scope = chance.choice(MESSAGE_SCOPES + SHARING_SCOPES)
                key = suppression.fingerprint_keys(context, point).match
                async with context.database.connection() as connection:
                    number = await add_grant(connection, key, channel, scope, Source.PREFERENCES, "test")
                grants[number] = text, scope
                continue
            is_choice = chance.random() < 0.6
            reason = Reason.NO_SHARING if is_choice else chance.choice(REASONS)
            scope = chance.choice(SHARING_SCOPES if is_choice and chance.random() < 0.7 else MESSAGE_SCOPES)
            since = LONG_AGO + timedelta(minutes=chance.randrange(10_000)) if step == 0 else None
            (done,) = await suppression.suppress(
                context, [Assertion(point, reason, scope, Source.API, since=since)], actor="test"
            )
            entries[done.entry_id] = text, reason, scope
    async with context.database.connection() as connection:
        asserted = await connection.fetch("SELECT id, asserted_at FROM entries")
        granted = await connection.fetch("SELECT id, granted_at FROM grants")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in asserted:
            text, reason, scope = entries[row["id"]]
            wide = "yes" if reason in {"complaint", "objection"} else "no"
            writer.writerow((text, "match", channel, scope, reason, "api", row["asserted_at"].isoformat(), wide))
        for row in granted:
            text, scope = grants[row["id"]]
            writer.writerow((text, "grant", channel, scope, "", "preferences", row["granted_at"].isoformat(), "no"))


@pytest.mark.parametrize("scope", ["*", "maison"])
@pytest.mark.parametrize(
    "asked", ["marketing", "gift", "sharing", *(f"sharing {name}" for name in PARTIES)], ids=lambda asked: asked
)
async def test_verdicts_on_every_channel_are_the_oracles(listed, asked, scope):
    folder, client, kind = listed
    purpose, _, party = asked.partition(" ")
    named = {"party": party} if party else {}
    options = [f"--{name}={value}" for name, value in (kind.options | named).items()]
    options += [f"--party-kind={PARTIES[party].value}"] if party else []
    out = folder / "verdicts.txt"
    process = start_oracle(folder / "list.csv", folder / "entries.csv", purpose, scope, out, *options)
    answer = await client.scrub(
        (folder / "list.csv").read_bytes(), purpose=purpose, scope=scope, rows="all", **kind.options, **named
    )
    assert await asyncio.to_thread(process.wait) == 0
    expected = out.read_text().split()
    pairs = enumerate(zip(read_verdicts(answer.body), expected, strict=True))
    assert [(row, ours, theirs) for row, (ours, theirs) in pairs if ours != theirs] == []
    # Something of everything, so that agreeing is no accident.
    assert len(set(expected)) > (3 if kind.options["channel"] == "email" else 4)
