"""Mail to the address in List-Unsubscribe (RFC 2369): the token in its local part says who leaves, not its author."""

from __future__ import annotations

from collections.abc import Sequence

from forbear.domain.tokens import find_mail_token_kind
from forbear.feedback.automatic import find_automatic_mark
from forbear.feedback.events import Effect, Feedback, Kind
from forbear.feedback.mime import Part


def read_unsubscribe(mail: Part, addressed: Sequence[str], *, is_null_sender: bool = False) -> Feedback | None:
    """Read mail to unsubscribe tokens; None where it went to none.

    Whatever a person writes there is an opt-out: many programs send nothing but a subject. What a machine writes is
    never a command (RFC 3834, section 2).
    """
    tokens = tuple(token for token in addressed if find_mail_token_kind(token) == "u")
    if not tokens:
        return None
    mark = "null sender" if is_null_sender else find_automatic_mark(mail)
    if mark:
        return Feedback(Kind.OTHER, f"automatic mail is never a command: {mark}", tokens=tokens)
    return Feedback(Kind.UNSUBSCRIBE, "mail to an unsubscribe token", effect=Effect.UNSUBSCRIBE, tokens=tokens)
