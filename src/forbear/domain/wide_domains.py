"""The mail domains whose mailboxes are known to go by several spellings.

Data only. A domain stands here only when its provider is known to deliver `ann+anything` to `ann` for every
mailbox; where that is a choice of the domain's owner (Google Workspace, Microsoft 365) or where `+` is no tag
(Yahoo, AOL, GMX, web.de, Tuta) it is left out, because folding there would block somebody else.
Domains share a mailbox only where the provider promises that nobody else can hold the same name at the other one.
Apple's and Proton's domains usually do belong to one person, but not for every account, so they stay apart.

A change here changes wide forms: raise `CANON_VERSION` with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a domain reads local parts, beyond dropping what follows the first plus sign."""

    mailbox_domain: str
    """The domain under which the mailbox is kept; itself unless several are one."""
    is_dotless: bool = False
    """Whether `a.n.n` is `ann`."""


# Dots, and googlemail.com as another name of gmail.com: support.google.com/mail/answer/7436150 and /10313.
_GMAIL = Spelling("gmail.com", is_dotless=True)

# Outlook.com; the national domains are served by the same system.
_MICROSOFT = """
    outlook.com outlook.at outlook.be outlook.cl outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu
    outlook.ie outlook.in outlook.it outlook.jp outlook.kr outlook.lv outlook.my outlook.ph outlook.pt outlook.sa
    outlook.sg outlook.sk outlook.co.id outlook.co.il outlook.co.nz outlook.co.th outlook.com.ar outlook.com.au
    outlook.com.br outlook.com.gr outlook.com.pe outlook.com.tr outlook.com.vn
    hotmail.com hotmail.at hotmail.be hotmail.ca hotmail.ch hotmail.cl hotmail.cz hotmail.de hotmail.dk hotmail.es
    hotmail.fi hotmail.fr hotmail.gr hotmail.hu hotmail.it hotmail.nl hotmail.no hotmail.se hotmail.co.il
    hotmail.co.jp hotmail.co.nz hotmail.co.th hotmail.co.uk hotmail.com.ar hotmail.com.au hotmail.com.br
    hotmail.com.mx hotmail.com.tr
    live.com live.at live.be live.ca live.cl live.cn live.de live.dk live.fi live.fr live.ie live.in live.it live.jp
    live.nl live.no live.ru live.se live.co.uk live.co.za live.com.ar live.com.au live.com.mx live.com.pt
    msn.com passport.com windowslive.com
"""

_APPLE = "icloud.com me.com mac.com"

# fastmail.help: plus addressing and subdomain addressing. The latter has an open set of domains, so it is not folded.
_FASTMAIL = """
    fastmail.com fastmail.fm fastmail.cn fastmail.co.uk fastmail.com.au fastmail.de fastmail.es fastmail.fr
    fastmail.im fastmail.in fastmail.jp fastmail.mx fastmail.net fastmail.nl fastmail.org fastmail.se fastmail.to
    fastmail.tw fastmail.uk fastmail.us pobox.com
"""

# proton.me/support/addresses-and-aliases
_PROTON = "proton.me protonmail.com protonmail.ch pm.me"

_OTHERS = """
    hey.com mailbox.org posteo.de posteo.net runbox.com zoho.com zohomail.com
    yandex.com yandex.ru yandex.by yandex.kz ya.ru
"""

_PLUS_ONLY = f"{_MICROSOFT} {_APPLE} {_FASTMAIL} {_PROTON} {_OTHERS}".split()

WIDE_DOMAINS: Final[Mapping[str, Spelling]] = MappingProxyType(
    {"gmail.com": _GMAIL, "googlemail.com": _GMAIL} | {domain: Spelling(domain) for domain in _PLUS_ONLY}
)
"""By domain (A-label, lower case): how its mailboxes are spelled."""
