"""Which column of a send list holds the addresses, by its name or by what stands in it; the same in every format.

Messages name columns, never what stands in a row: a header that was taken for one by order may hold addresses.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from forbear.domain.errors import InvalidList

NAMES_SHOWN = 20
"""How many columns a message names."""
_NAME_CHARACTERS_SHOWN = 40

# Column names that mean an e-mail address, in any case, with or without accents, spaces and punctuation.
_EMAIL_NAMES = """
    email emails email1 email1value mail eml emailaddress emailaddresses mailaddress emailaddr emailid useremail
    contactemail customeremail subscriberemail recipientemail primaryemail youremail workemail
    emailadresse emailadressen mailadresse emailadres mailadres epost epostadresse epostadress mejl mejladress
    courriel adressecourriel adressemail adresseemail adresseelectronique
    correo correos correoelectronico direccioncorreo direcciondecorreo direcciondecorreoelectronico direccionemail
    correioeletronico correioelectronico enderecodeemail indirizzoemail indirizzomail postaelettronica
    adresemail adrespocztyelektronicznej eposta epostaadresi sahkoposti sahkopostiosoite
    メール メールアドレス 邮箱 电子邮件 電子郵件 이메일 почта
"""


def refuse_added_columns(names: Iterable[str], added: tuple[str, ...], row: int = 1) -> None:
    """Raise InvalidList where a list has a column already whose name will be added."""
    folded = {name.strip().casefold() for name in names}
    for name in added:
        if name.casefold() in folded:
            raise InvalidList(f"the list already has a column {name}, which would be added", row=row, column=name)


def find_named_column(names: tuple[str, ...], first_row: Sequence[str], wanted: str | None) -> int:
    """Find the column that is wanted, else the one whose name, else the one whose first cell speaks for addresses.

    Raises InvalidList where that is not exactly one.
    """
    if wanted is not None:
        return _find_wanted_column(names, wanted)
    found = [index for index, name in enumerate(names) if is_email_name(name)]
    if not found:
        found = [index for index, cell in enumerate(first_row[: len(names)]) if "@" in cell]
    if len(found) > 1:
        raise InvalidList(f"more than one column may hold the address: {_show(names, found)}; name the one", row=1)
    if not found:
        raise InvalidList(f"no column can be told to hold the address; there are: {_show(names)}; name the one", row=1)
    return found[0]


def _find_wanted_column(names: tuple[str, ...], wanted: str) -> int:
    shown = show_name(wanted)
    found = [index for index, name in enumerate(names) if name == wanted]
    if not found:
        folded = wanted.strip().casefold()
        found = [index for index, name in enumerate(names) if name.strip().casefold() == folded]
    if not found:
        raise InvalidList(f"there is no column {shown}; there are: {_show(names)}", row=1, column=shown)
    if len(found) > 1:
        raise InvalidList(
            f"there are {len(found)} columns {shown}; there are: {_show(names)}; rename one", row=1, column=shown
        )
    return found[0]


def is_email_name(name: str) -> bool:
    """Whether a column of this name holds addresses."""
    return _fold_name(name) in _email_names()


@cache
def _email_names() -> frozenset[str]:
    return frozenset(map(_fold_name, _EMAIL_NAMES.split()))


def _fold_name(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name).casefold()))


def label_column(names: tuple[str, ...], index: int) -> str:
    """Call a column as a message may: by its name, else by its position from 1."""
    # A cell with an @ in a header says that it is none, and its other cells may be about a person too.
    name = names[index].strip() if index < len(names) and not any("@" in other for other in names) else ""
    return show_name(name) if name else str(index + 1)


def _show(names: tuple[str, ...], indexes: Sequence[int] | None = None) -> str:
    indexes = range(len(names)) if indexes is None else indexes
    shown = ", ".join(label_column(names, index) for index in indexes[:NAMES_SHOWN])
    return shown if len(indexes) <= NAMES_SHOWN else f"{shown} and {len(indexes) - NAMES_SHOWN} more"


def show_name(name: str) -> str:
    """Give a name as a message may show it."""
    if "@" in name:
        return "of the name asked for"
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= _NAME_CHARACTERS_SHOWN else f"{printable[:_NAME_CHARACTERS_SHOWN]}..."
