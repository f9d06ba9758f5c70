"""Personal links: unsubscribe, preferences, and the pair of headers that carries one-click (RFC 2369, RFC 8058)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from forbear.domain.address import Address
from forbear.domain.errors import InvalidInput
from forbear.domain.fingerprint import Fingerprint
from forbear.domain.suppression import check_send_scope
from forbear.domain.tokens import (
    CAMPAIGN_BYTES_MAX,
    ONE_CLICK,
    LinkToken,
    day_number,
    write_link_tokens,
    write_mail_token,
)
from forbear.services.context import Context
from forbear.services.scopes import require_scopes
from forbear.store import scope as scope_store


@dataclass(frozen=True, slots=True)
class Links:
    """What one message carries for one recipient; `return_path` is empty where no mail domain is set."""

    unsubscribe_url: str
    preferences_url: str
    list_unsubscribe: str
    return_path: str
    list_unsubscribe_post: str = ONE_CLICK


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes the links of one campaign and scope; pure once it is made, so it may run in a thread."""

    context: Context
    scope: str
    campaign: str
    minted: date
    numbers: tuple[int, int, int]

    def make(self, address: str, fingerprint: Fingerprint) -> Links:
        """The links of one recipient, by the raw form of the address."""
        options = self.context.options
        [(unsubscribe_url, preferences_url, return_path)] = self.make_columns([address], [fingerprint])
        header = f"<{unsubscribe_url}>"
        if options.mail_domain:
            mailto = write_mail_token(self.context.keyring, "u", self.numbers, fingerprint)
            header += f", <mailto:{mailto}@{options.mail_domain}?subject=unsubscribe>"
        return Links(unsubscribe_url, preferences_url, header, return_path)

    def make_columns(self, addresses: Sequence[str], fingerprints: Sequence[Fingerprint]) -> list[tuple[str, str, str]]:
        """`unsubscribe_url`, `preferences_url` and `return_path` of many recipients, in order."""
        ring, options = self.context.keyring, self.context.options
        tokens = write_link_tokens(ring, LinkToken("", self.scope, self.campaign, self.minted), addresses)
        unsubscribe, preferences = f"{options.public_url}/u/", f"{options.public_url}/p/"
        if not options.mail_domain:
            return [(unsubscribe + token, preferences + token, "") for token in tokens]
        paths = [
            f"{write_mail_token(ring, 'b', self.numbers, fingerprint)}@{options.mail_domain}"
            for fingerprint in fingerprints
        ]
        return [(unsubscribe + token, preferences + token, path) for token, path in zip(tokens, paths, strict=True)]


async def open_link_maker(context: Context, scope: str, campaign: str) -> LinkMaker:
    """Prepare for making the links of a campaign. Raises `UnknownScope`, or `InvalidInput` for a campaign's name."""
    check_campaign(campaign)
    known = await require_scopes(context, {check_send_scope(scope)})
    campaign_number = 0
    if campaign and context.options.mail_domain:
        async with context.database.connection() as connection:
            campaign_number = await scope_store.add_campaign(connection, campaign)
    today = context.now().date()
    return LinkMaker(context, scope, campaign, today, (campaign_number, known[scope].id, day_number(today)))


def check_campaign(campaign: str) -> str:
    """Give a campaign's name back, or raise `InvalidInput`; it stands in records and tokens, so it names nobody."""
    if not campaign.isprintable() or "@" in campaign or len(campaign.encode()) > CAMPAIGN_BYTES_MAX:
        raise InvalidInput(f"a campaign's name is printable, without '@', and at most {CAMPAIGN_BYTES_MAX} bytes long")
    return campaign


def make_links(maker: LinkMaker, addresses: Sequence[Address | None]) -> list[Links | None]:
    """Links for many addresses, in order; None where there is no address."""
    valid = [address for address in addresses if address is not None]
    keys = iter(maker.context.keyring.fingerprints.email.make_keys(valid))
    return [None if address is None else maker.make(address.raw, next(keys).match) for address in addresses]
