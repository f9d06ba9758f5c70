"""outbox."""

from __future__ import annotations

import orjson
import typer

from forbear.cli.running import AsJson, Data, errors, output, run_with_context
from forbear.services.context import Context
from forbear.services.outbox import OutboxView, view_outbox
from forbear.store.outbox import MessageStatus


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(outbox)


def outbox(as_json: AsJson = False, data: Data = None) -> None:
    """Count the messages that wait, and how the others ended."""

    async def work(context: Context) -> tuple[OutboxView, bool]:
        return await view_outbox(context), context.options.mail.has_upstream

    view, has_upstream = run_with_context(work, data)
    counts = {status.value: view.counts.get(status, 0) for status in MessageStatus}
    if as_json:
        output.print(orjson.dumps(counts | {"oldest_waiting": view.oldest_waiting}).decode())
    else:
        for word, number in counts.items():
            output.print(f"{word:<10} {number}")
        if view.oldest_waiting is not None:
            output.print(f"the oldest that is due waits since {view.oldest_waiting:%Y-%m-%d %H:%M} UTC")
    if not has_upstream:
        errors.print("forbear: FORBEAR_UPSTREAM is not set here; a worker without it sends nothing, and messages wait")
