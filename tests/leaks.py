"""Using everything with one address, and looking for every trace of it."""

import base64
import hashlib

from forbear.domain.address import parse_address
from tests.doors.callers import Client
from tests.places import MARKETING, click, make_link


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
