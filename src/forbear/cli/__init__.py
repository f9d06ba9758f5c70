"""The command line: thin subcommands, each of which makes one service call.

Exit codes: 0 done, 1 bad input, 2 usage, 75 the list cannot be asked (sysexits' EX_TEMPFAIL).
"""

from __future__ import annotations

import typer

from forbear.cli import (
    administration,
    contacts,
    decisions,
    feedback,
    intake,
    lists,
    messages,
    parties,
    scopes,
    service,
    suppressions,
)

app = typer.Typer(
    help="One suppression list for a whole organisation: it filters every campaign and keeps every opt-out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for group in (
    service,
    decisions,
    suppressions,
    intake,
    lists,
    messages,
    scopes,
    parties,
    contacts,
    feedback,
    administration,
):
    group.register(app)
