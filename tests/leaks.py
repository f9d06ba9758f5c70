"""Using everything with one address, and looking for every trace of it."""

import base64
import hashlib
from urllib.parse import quote, quote_plus

from forbear.domain.address import parse_address
from forbear.domain.tokens import write_confirm_token
from tests.doors.callers import Client
from tests.places import MARKETING, click, make_link

PHONE, REGION, NATIONAL = "+33142685371", "FR", "01 42 68 53 71"
HOME = {"name": "Camille Lanterne", "lines": ["37 rue des Quatre-Vents"], "postcode": "75006", "country": "FR"}
REACHED = {PHONE: "phone", NATIONAL: "phone", "Camille Lanterne": "post", "37 rue des Quatre-Vents": "post"}
"""How somebody who has the address is reached otherwise, in the spellings that a trace could have."""
CONSENT = {"wording_version": "1", "given_at": "2026-02-03T10:00:00Z", "evidence": {"said": PHONE, "at": HOME}}
CALL = {
    "channel": "phone",
    "request": "everything",
    "taken_by": "Ines",
    "reference": "T-118",
    "received_on": "2026-03-02",
    "jurisdiction": "eu",
}


def list_forms(address: str) -> list[bytes]:
    """The ways in which an address, or an unkeyed hash of it, could stand somewhere."""
    match = parse_address(address).match
    spellings = {
        text.encode() for text in (address, address.lower(), address.upper(), match, address.partition("@")[0])
    }
    spellings |= {(parse_address(address).wide or match).encode()}
    forms = set(spellings)
    for text in spellings:
        whole = text if b"@" in text else text + b"@gmail.com"
        forms |= {text.hex().encode(), base64.b32encode(text).rstrip(b"=")[:-1], _quote(text)}
        # Base64 of anything that begins with it; the last characters depend on what follows.
        forms |= {base64.b64encode(text)[: len(text) // 3 * 4], base64.urlsafe_b64encode(text)[: len(text) // 3 * 4]}
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s"):
            digest = getattr(hashlib, name)(whole).digest()
            forms |= {digest.hex().encode(), digest.hex().upper().encode(), base64.b64encode(digest).rstrip(b"=")}
    return sorted(forms)


def _quote(text: bytes) -> bytes:
    return text.replace(b"@", b"%40").replace(b"+", b"%2B")


def list_traces() -> list[bytes]:
    """The ways in which the number or a line of the postal address, or an unkeyed hash, could stand somewhere."""
    forms = set()
    for text in [*REACHED, PHONE[1:], NATIONAL.replace(" ", "")]:
        for spelled in {text, text.lower(), text.upper()}:
            plain = spelled.encode()
            forms |= {plain, plain.hex().encode(), quote(plain).encode(), quote_plus(plain).encode()}
            forms |= {base64.b64encode(plain)[: len(plain) // 3 * 4], hashlib.sha256(plain).hexdigest().encode()}
    return sorted(forms)


def find_traces(where: bytes) -> list[bytes]:
    return [form for form in list_traces() if form in where]


def find_forms(address: str, where: bytes) -> list[bytes]:
    return [form for form in list_forms(address) if form in where]


async def use_everything(client: Client, address: str) -> None:
    """Make every call of the API, and click, with an address in it wherever one fits."""
    link = await make_link(client, address)
    await client.ask("GET", link)
    await click(client, link)
    await click(client, link[:-1] + ("A" if link[-1] != "A" else "B"))
    await client.session.post(link, data={"via": "page", "note": address})
    await client.session.post("/p/" + link[3:], data={"choice": "everything"})
    number = await client.suppress(address, "complaint", evidence={"said": address, "from": "192.0.2.7"})
    await client.check(address, scope="maison")
    for choice in ("deliver", "refused", "all"):
        await client.scrub(
            f"email,name\n{address},{address}\n{address}\n", rows=choice, links="true", campaign="spring"
        )
    await client.post("/v1/explain", **MARKETING, address=address)
    await client.post("/v1/suppressions/search", address=address)
    await client.post(f"/v1/suppressions/{number}/lift", why=f"{address} rang up", operator="Rosa")
    await _use_channels(client)
    await _use_contacts(client, address)
    await _use_pages(client, address)


async def _use_channels(client: Client) -> None:
    """Say and ask everything about the number and the postal address."""
    for channel, target in (("phone", PHONE), ("post", HOME)):
        about = {"channel": channel, "address": target}
        item = {**about, "reason": "objection", "scope": "*", "source": "phone", "evidence": {"said": target}}
        answer = await client.post("/v1/suppressions", suppressions=[item])
        (result,) = answer.json["results"]
        assert result["status"] == "added", result
        assert (await client.post("/v1/check", **MARKETING, channel=channel, addresses=[target])).status == 200
        assert (await client.post("/v1/explain", **MARKETING, **about)).status == 200
        assert (await client.post("/v1/suppressions/search", **about)).status == 200
        await client.post(f"/v1/suppressions/{result['id']}/lift", why=f"{PHONE} rang up", operator="Rosa")
    await client.post("/v1/check", **MARKETING, channel="phone", region=REGION, addresses=[NATIONAL, "+33 1 42 68"])
    assert (await client.scrub(f"phone\n{PHONE}\n{NATIONAL}\n", channel="phone", column="phone")).status == 200
    home = f"{HOME['name']},{HOME['lines'][0]},{HOME['postcode']},{HOME['country']}"
    listed = f"name,line1,postcode,country\n{home}\n"
    assert (await client.scrub(listed, channel="post", columns="name,line1,postcode,country")).status == 200


async def _use_contacts(client: Client, address: str) -> None:
    """Know the person, by all their points, and take a request down."""
    points = {"name": HOME["name"], "email": [address], "phone": [PHONE], "post": [HOME], "country": REGION}
    opt_outs = [{"scope": "maison/events", "channel": "phone"}]
    consents = [{**CONSENT, "channel": channel, "scope": "maison/newsletter"} for channel in ("email", "phone", "post")]
    put = await client.ask("PUT", "/v1/contacts/7", json={**points, "opt_outs": opt_outs, "consents": consents})
    assert put.status == 200, put.body
    assert (await client.ask("GET", "/v1/contacts/7")).status == 200
    for channel, target in (("email", address), ("phone", PHONE), ("post", HOME)):
        about = {"channel": channel, "address": target}
        assert (await client.post("/v1/contacts/search", **about)).status == 200
        consent = {**CONSENT, **about, "scope": "maison/newsletter", "source": "letter", "grant": True}
        recorded = await client.post("/v1/consents", consents=[consent])
        assert recorded.status == 200, recorded.body
        withdrawn = await client.post("/v1/consents/withdraw", **about, scope="maison/newsletter", source="letter")
        assert withdrawn.status == 200, withdrawn.body
    given = {"name": HOME["name"], "email": address, "phone": NATIONAL, "region": REGION, "post": HOME}
    taken = await client.post("/v1/intake", **CALL, given=given, note=f"{address} {PHONE}")
    assert taken.status == 201, taken.body
    liked = await client.post("/v1/intake", **CALL, given={"name": HOME["name"]}, note=PHONE)
    assert (await client.ask("GET", f"/v1/intake/{liked.json['id']}")).status == 200
    resolve = f"/v1/intake/{liked.json['id']}/resolve"
    assert (await client.post(resolve, decision="applied", contact="7", why=f"{PHONE} rang up")).status == 200
    await client.ask("GET", "/v1/intake?status=all")


async def _use_pages(client: Client, address: str) -> None:
    """Leave and come back as people do, by every page that takes an address or answers a message."""
    link = "/p/" + (await make_link(client, address))[3:]
    wished = {"on": "", "off": "email:maison/newsletter", "email:maison/newsletter": "on", "choice": "save"}
    for fields in ({**wished, "new_email": f"new.{address}"}, {"choice": "rest"}):
        await click(client, link, fields)
    assert await click(client, "/unsubscribe", {"email": address}) == 200
    assert await click(client, "/subscribe", {"email": address, "email:maison/newsletter": "on"}) == 200
    sign_up = {"address": address, "scopes": ["maison/newsletter"], "evidence": {"said": address, "rang": PHONE}}
    assert (await client.post("/v1/subscriptions", **sign_up)).status == 202
    async with client.context.database.connection() as connection:
        asked = await connection.fetch("SELECT id FROM confirmations")
    assert asked
    for row in asked:
        path = "/c/" + write_confirm_token(client.context.keyring, row["id"])
        assert (await client.ask("GET", path)).status == 200
        assert await click(client, path) == 200


async def refuse_everything(client: Client, address: str) -> None:
    """Ask wrongly, with an address wherever somebody could put one by mistake."""
    for body in ({"purpose": address}, {address: 1}, {"scope": address}, {"addresses": [[address]]}):
        await client.post("/v1/check", **{**MARKETING, "addresses": [address], **body})
    await client.post("/v1/suppressions", suppressions=[{"address": address, address: address, "scope": address}])
    await client.post("/v1/explain", **MARKETING, address=f"{address}, {address}")
    await client.post("/v1/links", scope="maison", campaign=address, addresses=[address])
    await client.post("/v1/erasures", address=f"<{address}")
    await client.scrub(f"email\n{address},{address}\n", column=address)
    await client.scrub(f'{address},{address}\n{address},"{address}\n', header="true")
    await client.scrub(f"email,{address},email\n", scope=address, purpose=address)
    for path in (f"/v1/{address}", f"/v1/scrubs/{address}", f"/v1/suppressions/{address}/lift", f"/u/{address}"):
        # What somebody else puts into a URL is in it; what matters is that nothing repeats it.
        async with client.session.get(
            path, trace_request_ctx=None, headers={"Referer": f"https://x.example/{address}"}
        ) as answer:
            assert find_forms(address, await answer.read()) == []
            assert find_forms(address, b"".join(b": ".join(line) for line in answer.raw_headers)) == []
    for headers in ({"Authorization": f"Bearer {address}"}, {"User-Agent": address, "X-Forwarded-For": address}):
        await client.ask("POST", "/v1/check", json={**MARKETING, "addresses": [address]}, headers=headers)
    await _refuse_points(client, address)


async def _refuse_points(client: Client, address: str) -> None:
    """Ask wrongly about contacts, numbers and postal addresses, and on the pages that take an address."""
    home = {**HOME, "country": HOME["lines"][0]}
    for channel, wrong in (
        ("phone", f"{PHONE}{PHONE}"),
        ("phone", HOME),
        ("post", home),
        ("post", PHONE),
        (PHONE, PHONE),
    ):
        about = {"channel": channel, "address": wrong}
        await client.post("/v1/check", **MARKETING, channel=channel, addresses=[wrong])
        await client.post("/v1/explain", **MARKETING, **about)
        await client.post("/v1/suppressions", suppressions=[{**about, "reason": PHONE, "scope": PHONE}])
        await client.post("/v1/suppressions", suppressions=[{**about, "reason": "objection", "scope": "*"}])
        await client.post("/v1/contacts/search", **about)
        await client.post("/v1/consents", consents=[{**CONSENT, **about, "scope": HOME["name"]}])
        await client.post("/v1/consents/withdraw", **about, scope=PHONE)
        await client.scrub(f"x\n{PHONE}\n", channel="phone", column=PHONE, region=NATIONAL)
    for body in ({"email": [f"{address}, {address}"]}, {"phone": [PHONE * 2]}, {"post": [home]}, {address: PHONE}):
        await client.ask("PUT", "/v1/contacts/8", json=body)
    for given in ({"email": f"{address}, {address}"}, {"phone": PHONE * 2}, {"post": home}, {PHONE: address}):
        await client.post("/v1/intake", **CALL, given=given)
    await client.post("/v1/intake", **{**CALL, "reference": address, "channel": PHONE}, given={"name": HOME["name"]})
    await client.post("/v1/intake/1/resolve", decision=PHONE, contact=address, why=HOME["name"])
    await client.post("/v1/subscriptions", address=f"{address}, {address}", scopes=[PHONE])
    for path in (f"/v1/contacts/{quote(address)}", f"/v1/intake/{PHONE}", f"/c/{address}", f"/subscribe/{address}"):
        assert find_forms(address, (await client.ask("GET", path)).body) == []
    for path in ("/unsubscribe", "/subscribe", "/c/broken", "/p/broken"):
        await click(client, path, {"email": f"{address}, {address}", PHONE: HOME["name"]})
