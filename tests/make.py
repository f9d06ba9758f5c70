"""Send lists for tests and benchmarks: the same rows for the same seed, as lists look in real life.

The addresses are invented. Most domains are reserved for examples; a few are those of large providers, for which
plus-tags and dots have rules of their own, with local parts no person would have.

    python -m tests.make list campaign.csv --rows 1000000
    python -m tests.make addresses campaign.csv --share 0.05 > suppress.txt
"""

import argparse
import csv
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random

HEADER = b"email,name,language,city,customer_id\n"
BATCH_ROWS = 20_000
RECENT_ADDRESSES = 500

_GIVEN_NAMES = (
    "ada anna amina bruno carla chloe dario elena emil fatima felix greta hana hugo ida ines ivan jana jonas julia "
    "karim lara leo lina luca maja malik mara marek mia milan nadia nils nora olga omar paula petra rafael rosa "
    "samir selma simon sofia stella theo tilda tom ugo vera viktor wanda yara yusuf zoe"
)
_NOUNS = (
    "acorn amber anchor apple arrow aspen badger barley basil beacon birch bramble bridge brook candle canyon cedar "
    "chestnut clover cobalt comet copper coral cotton cricket dahlia dapple drift ember falcon fennel fern fjord "
    "flint fox garnet ginger glacier harbor hazel heron indigo iris ivory jasper juniper kestrel lantern lark laurel "
    "lemon lichen linden lotus lupin maple marble marigold meadow mint moss nettle nutmeg oak ochre olive onyx opal "
    "orchard otter paprika pebble pepper pine plum poppy quartz quince raven reed river rowan saffron sage sorrel "
    "sparrow spruce tansy thistle thyme tulip umber velvet violet walnut willow yarrow zephyr"
)
_CITIES = (
    "Aarhus,Basel,Bergen,Bologna,Bordeaux,Brno,Cork,Dijon,Dresden,Évora,Gdańsk,Gent,Göteborg,Graz,Košice,Leeds,León,"
    "Lille,Linz,Ljubljana,Malmö,Metz,Nîmes,Oulu,Porto,Reims,Split,Szeged,Tartu,Tours,Trento,Turku,Utrecht,Zürich"
)
GIVEN_NAMES, NOUNS, CITIES = _GIVEN_NAMES.split(), _NOUNS.split(), _CITIES.split(",")
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "sv")
PROVIDERS = ("gmail.com", "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "icloud.com", "fastmail.com")
SEPARATORS = (".", ".", "_", "-", "")


def write_send_list(path: Path, rows: int, *, seed: int = 1, odd: float = 0.01) -> None:
    """Write a list of `rows` rows beneath a header, of which a share of `odd` is out of the ordinary."""
    random = _start_random(seed)
    domains = _make_domains()
    recent = deque(["first.lantern@example.com"], maxlen=RECENT_ADDRESSES)
    with path.open("wb") as out:
        out.write(HEADER)
        for start in range(0, rows, BATCH_ROWS):
            count = min(BATCH_ROWS, rows - start)
            addresses = _make_addresses(random, count, domains)
            lines = _make_lines(random, addresses, start)
            # A batch gets its whole part of the share, so that short lists have odd rows as well.
            for index in random.sample(range(count), round(count * odd)):
                lines[index] = random.choice(ODD_ROWS)(random, random.choice(recent), start + index + 1)
                recent.append(addresses[index - 1])
            out.writelines(lines)


def pick_addresses(path: Path, share: float, seed: int = 1) -> Iterator[str]:
    """Pick a share of a list's addresses, for suppressing; every tenth in capitals, as some people type them."""
    random = _start_random(seed)
    capitals = cycle([False] * 9 + [True])
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        for row in csv.DictReader(lines):
            address = (row["email"] or "").strip()
            if random.random() < share and "@" in address and address.isprintable():
                yield address.upper() if next(capitals) and address.isascii() else address


def _start_random(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - the same rows again are the point


def _make_domains() -> list[str]:
    """Domains as often as they occur: a third at large providers, the rest over thousands of small ones."""
    small = [f"{noun}{second}.example" for noun in NOUNS for second in NOUNS[::3]]
    small += [f"mail.{noun}.example.{ending}" for noun in NOUNS for ending in ("com", "org", "net")]
    large = ["example.com", "example.org", "example.net", *PROVIDERS]
    return small + large * (len(small) // (2 * len(large)))


def _make_addresses(random: Random, count: int, domains: list[str]) -> list[str]:
    parts = zip(
        random.choices(GIVEN_NAMES, k=count),
        random.choices(SEPARATORS, k=count),
        random.choices(NOUNS, k=count),
        random.choices(range(10_000), k=count),
        random.choices(domains, k=count),
        strict=True,
    )
    addresses = [f"{given}{separator}{noun}{number}@{domain}" for given, separator, noun, number, domain in parts]
    for index in range(0, count, 37):
        local, _, domain = addresses[index].partition("@")
        addresses[index] = f"{local.title()}@{domain}" if index % 2 else f"{local}@{domain.title()}"
    return addresses


def _make_lines(random: Random, addresses: list[str], start: int) -> list[bytes]:
    count = len(addresses)
    rows = zip(
        addresses,
        random.choices(GIVEN_NAMES, k=count),
        random.choices(NOUNS, k=count),
        random.choices(LANGUAGES, k=count),
        random.choices(CITIES, k=count),
        range(start + 1, start + count + 1),
        strict=True,
    )
    text = [f"{address},{given} {noun},{language},{city},{n}\n" for address, given, noun, language, city, n in rows]
    return [line.encode() for line in text]


# Rows out of the ordinary. Each maker takes a source of chance, an address that may stand further up, a row number.

OddRow = Callable[[Random, str, int], bytes]


def _row(address: str, number: int, name: str = "Ida Brook", end: str = "\n") -> bytes:
    if any(character in address for character in ',"\r\n'):
        address = '"' + address.replace('"', '""') + '"'
    return f"{address},{name},en,Leeds,{number}{end}".encode()


def _make_local(random: Random, number: int) -> str:
    return f"{random.choice(NOUNS)}.{random.choice(NOUNS)}{number}"


def _repeat_exactly(_random: Random, earlier: str, number: int) -> bytes:
    return _row(earlier, number)


def _repeat_in_other_case(random: Random, earlier: str, number: int) -> bytes:
    return _row(random.choice((earlier.upper(), earlier.swapcase(), earlier.title())), number)


def _repeat_in_other_spelling(random: Random, earlier: str, number: int) -> bytes:
    local, _, domain = earlier.partition("@")
    return _row(random.choice((f'"{local}"@{domain}', f"  {earlier} ", f"{earlier}\t")), number)


def _add_tag(random: Random, earlier: str, number: int) -> bytes:
    local, _, domain = earlier.partition("@")
    return _row(f"{local}+{random.choice(NOUNS)}@{random.choice((domain, *PROVIDERS))}", number)


def _move_dots(random: Random, earlier: str, number: int) -> bytes:
    local, _, domain = earlier.partition("@")
    bare = local.replace(".", "")
    place = random.randrange(1, len(bare))
    return _row(f"{bare[:place]}.{bare[place:]}@{random.choice((domain, *PROVIDERS[:3]))}", number)


def _write_international(random: Random, _earlier: str, number: int) -> bytes:
    local = _make_local(random, number % 50)
    addresses = (
        f"{local}@bücher.example",
        f"{local}@BÜCHER.example",
        f"{local}@xn--bcher-kva.example",
        f"{local}@faß.example",
        f"{local}@fass.example",
        f"{local}@пример.example",
        f"jörg.{local}@example.org",
        f"JÖRG.{local}@example.org",
        f"jo\u0308rg.{local}@example.org",
        f"\u212aelvin.{local}@example.net",
        f"kelvin.{local}@example.net",
        f"İ.{local}@example.net",
        f"用户{number % 50}@例え.example",
    )
    return _row(random.choice(addresses), number)


def _write_quoted_local(random: Random, _earlier: str, number: int) -> bytes:
    local = _make_local(random, number % 50)
    quoted = random.choice((f'"{local}"', f'"{local} 1"', f'"a,{local}"'))
    return _row(f"{quoted}@example.com", number)


def _write_invalid(random: Random, _earlier: str, number: int) -> bytes:
    local = _make_local(random, number)
    addresses = (
        "",
        "   ",
        "-",
        local,
        f"{local}@",
        f"@{local}.example",
        f"{local}@localhost",
        f"{local}@example..com",
        f"{local}@-example.com",
        f"{local}..x@example.com",
        f".{local}@example.com",
        f"{local}@example.com, x.{local}@example.com",
        f"{local}@@example.com",
        f"{local} @example.com",
        f"Ida <{local}@example.com>",
        f"mailto:{local}@exam ple.com",
        f"{local}@[192.0.2.1]",
        f"{local}@example.com (Ida)",
        f"{local}@exa\0mple.com",
    )
    return _row(random.choice(addresses), number)


def _write_latin_1(random: Random, _earlier: str, number: int) -> bytes:
    name = f"{_make_local(random, number)}@example.com,Jörg Brück,de,Köln,{number}\n"
    return random.choice((name, f"jörg.{name}")).encode("latin-1")


def _quote_fields(random: Random, _earlier: str, number: int) -> bytes:
    address = f"{_make_local(random, number)}@example.com"
    names = ('"Brook, Ida"', '"Ida ""Ivy"" Brook"', '"Ida\nBrook"', '"Ida\r\n\r\nBrook"', '"Ida,\n""Brook"""', "")
    return _row(address, number, random.choice(names), random.choice(("\n", "\r\n")))


def _quote_everything(random: Random, _earlier: str, number: int) -> bytes:
    return f'"{_make_local(random, number)}@example.com","Ida Brook","en","Leeds","{number}"\r\n'.encode()


def _misplace_fields(random: Random, earlier: str, number: int) -> bytes:
    address = f"{_make_local(random, number)}@example.com"
    rows = (f"{address}\n", f"{address},Ida\n", f"{earlier},Brook, Ida,en,Leeds,{number}\n")
    return random.choice(rows).encode()


def _follow_blank_line(random: Random, _earlier: str, number: int) -> bytes:
    return b"\n" + _row(f"{_make_local(random, number)}@example.com", number)


ODD_ROWS: tuple[OddRow, ...] = (
    _repeat_exactly,
    _repeat_in_other_case,
    _repeat_in_other_spelling,
    _add_tag,
    _move_dots,
    _write_international,
    _write_quoted_local,
    _write_invalid,
    _write_latin_1,
    _quote_fields,
    _quote_everything,
    _misplace_fields,
    _follow_blank_line,
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.make", description="Make send lists.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("list", help="write a list")
    making.add_argument("path", type=Path)
    making.add_argument("--rows", type=int, default=100_000)
    making.add_argument("--odd", type=float, default=0.01, help="share of rows out of the ordinary")
    picking = commands.add_parser("addresses", help="print a share of a list's addresses, one a line")
    picking.add_argument("path", type=Path)
    picking.add_argument("--share", type=float, default=0.05)
    picking.add_argument("--at-most", type=int, default=None)
    for command in (making, picking):
        command.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.command == "list":
        write_send_list(chosen.path, chosen.rows, seed=chosen.seed, odd=chosen.odd)
    else:
        addresses = pick_addresses(chosen.path, chosen.share, chosen.seed)
        sys.stdout.writelines(f"{address}\n" for address in islice(addresses, chosen.at_most))


if __name__ == "__main__":
    main()
