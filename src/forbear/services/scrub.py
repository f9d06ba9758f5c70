"""The scrub: a whole send list in, the rows that may be mailed out.

A list of any size passes in constant memory (but for 128 bits a row, to find duplicates). Reading, fingerprinting
and writing run in a thread, batch by batch; each batch asks the list anew, so that no row is older than its batch.
A row is never dropped in silence: rows = deliver + sum(suppress) + invalid + duplicate.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog

from forbear.domain.address import Address
from forbear.domain.errors import ForbearError, InvalidInput, InvalidList, ListUnavailable, NotFound
from forbear.domain.fingerprint import AddressKeys
from forbear.domain.suppression import Outcome, Verdict
from forbear.index.fingerprint_set import FingerprintSet
from forbear.index.send_list import ListOptions, ListReader, Rows
from forbear.services.context import Context
from forbear.services.decision import Question, decide_keys, read_address, require_question
from forbear.services.links import LinkMaker, open_link_maker
from forbear.store import scrub as scrub_store
from forbear.store.scrub import ScrubRow

BATCH_BYTES: Final = 256 * 1024
_RECORD_EVERY_SECONDS: Final = 2.0
LINK_COLUMNS: Final = ("unsubscribe_url", "preferences_url", "return_path")
VERDICT_COLUMNS: Final = ("forbear_verdict", "forbear_reason")
_NO_LINKS: Final = ("", "", "")
_log = structlog.get_logger()


class RowChoice(StrEnum):
    """Which rows come out."""

    DELIVER = "deliver"
    REFUSED = "refused"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    """What a scrub is asked to do."""

    question: Question
    column: str | None = None
    header: bool | None = None
    rows: RowChoice = RowChoice.DELIVER
    links: bool = False
    campaign: str = ""

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The columns that come out besides those that went in."""
        verdict = () if self.rows is RowChoice.DELIVER else VERDICT_COLUMNS
        return (*(LINK_COLUMNS if self.links else ()), *verdict)


@dataclass(slots=True)
class Counts:
    """Rows by what became of them."""

    rows: int = 0
    deliver: int = 0
    suppress: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    duplicate: int = 0
    blank_lines: int = 0

    def as_json(self) -> dict[str, object]:
        """The counts as they are stored and answered."""
        return {
            "rows": self.rows,
            "deliver": self.deliver,
            "suppress": dict(sorted(self.suppress.items())),
            "invalid": self.invalid,
            "duplicate": self.duplicate,
            "blank_lines": self.blank_lines,
        }


@dataclass(frozen=True, slots=True)
class Output:
    """Rows on their way out; the refused ones apart, where somebody wants them."""

    rows: bytes
    refused: bytes = b""


Sink = Callable[[Output], Awaitable[None]]


@dataclass(slots=True)
class Scrub:
    """One run. `counts` and `as_of` grow while it runs; `as_of` is the oldest moment a batch was decided at."""

    context: Context
    id: UUID
    options: ScrubOptions
    actor: str
    with_refused: bool = False
    """Whether refused rows are given to the sink as well (with their verdicts), whatever `options.rows` says."""
    counts: Counts = field(default_factory=Counts)
    as_of: datetime | None = None
    status: str = "running"
    is_recorded: bool = True
    """Whether the record, if there is one, says how the run ended; see `record_end`."""
    _failure: Mapping[str, object] | None = field(init=False, default=None)
    _reader: ListReader = field(init=False)
    _seen: FingerprintSet = field(init=False, default_factory=FingerprintSet)
    _links: LinkMaker | None = field(init=False, default=None)
    _is_header_out: bool = field(init=False, default=False)
    _recorded_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Prepare to read."""
        added = self.options.added_columns
        if self.with_refused:
            added = tuple(dict.fromkeys((*added, *VERDICT_COLUMNS)))
        self._reader = ListReader(
            ListOptions(
                column=self.options.column,
                header=self.options.header,
                added_columns=added,
                record_bytes_max=self.context.options.record_bytes_max,
            )
        )

    async def run(self, source: AsyncIterator[bytes], sink: Sink) -> None:
        """Filter a list from its first byte to its last.

        Raises `InvalidList` naming row and column, `ListUnavailable`, or whatever source and sink raise; the record
        of the scrub then says `failed`, and how far it came.
        """
        await self._open()
        try:
            async for chunk in _join_chunks(source):
                await self._pass_on(await asyncio.to_thread(self._read, chunk), sink)
            await self._pass_on(await asyncio.to_thread(self._read, None), sink)
            await self._finish(sink)
        except BaseException as error:
            self.status = "failed"
            await self._record_failure(error)
            raise

    async def record_end(self) -> None:
        """Write how the run ended, where that could not be written at the time. Raises `ListUnavailable`."""
        await self._record(self._failure)
        self.is_recorded = True

    async def _open(self) -> None:
        options = self.options
        await require_question(self.context, options.question)
        if options.links:
            self._links = await open_link_maker(self.context, options.question.scope, options.campaign)
        async with self.context.database.connection() as connection:
            await scrub_store.add_scrub(
                connection,
                self.id,
                actor=self.actor,
                channel=options.question.channel,
                purpose=options.question.purpose.value,
                scope=options.question.scope,
                campaign=options.campaign or None,
            )
        self.as_of = (await decide_keys(self.context, [], options.question)).as_of

    async def _pass_on(self, batch: _Batch | None, sink: Sink) -> None:
        if batch is None:
            return
        checked = await decide_keys(self.context, batch.keys, self.options.question)
        self.as_of = min(self.as_of or checked.as_of, checked.as_of)
        await sink(await asyncio.to_thread(self._write, batch, checked.verdicts))
        now = asyncio.get_running_loop().time()
        if now - self._recorded_at > _RECORD_EVERY_SECONDS:
            self._recorded_at = now
            await self._record()

    async def _finish(self, sink: Sink) -> None:
        if not self._is_header_out:
            # A list of a header alone: nobody to mail, and the header comes back.
            await sink(self._header())
        self.counts.blank_lines = self._reader.blank_lines
        self.status = "done"
        await self._record()

    def _read(self, chunk: bytes | None) -> _Batch | None:
        """Read records, fingerprint their addresses and find duplicates. Runs in a thread."""
        rows = self._reader.finish() if chunk is None else self._reader.feed(chunk)
        if rows is None or not rows.records:
            return None
        addresses, reasons = _read_addresses(rows)
        valid = [address for address in addresses if address is not None]
        keys = self.context.keyring.fingerprints.email.make_keys(valid)
        is_new = iter(self._seen.add_all([key.match for key in keys]))
        asked: list[AddressKeys] = []
        words: list[str | None] = []
        remaining = iter(keys)
        for place, address in enumerate(addresses):
            if address is None:
                words.append(Outcome.INVALID.value)
                continue
            key = next(remaining)
            if next(is_new):
                asked.append(key)
                words.append(None)
            else:
                reasons[place] = None
                words.append("duplicate")
        return _Batch(rows, addresses, words, reasons, asked)

    def _write(self, batch: _Batch, verdicts: Sequence[Verdict]) -> Output:
        """Count verdicts and write the rows that are wanted. Runs in a thread."""
        decided = zip(verdicts, batch.keys, strict=True)
        header = Output(b"") if self._is_header_out else self._header()
        kept, refused = [header.rows], [header.refused]
        wants_kept, wants_refused = self.options.rows is not RowChoice.REFUSED, self._wants_refused
        for place, record in enumerate(batch.rows.records):
            word, reason, key = batch.words[place], batch.reasons[place], None
            if word is None:
                verdict, key = next(decided)
                word, reason = verdict.outcome.value, verdict.reason
            self._count(word, reason)
            if word == Outcome.DELIVER.value:
                if wants_kept:
                    kept.append(self._render(record, batch.addresses[place], key, word, reason))
            elif wants_refused:
                line = self._render(record, None, None, word, reason, is_refused=True)
                (refused if self.with_refused else kept).append(line)
        self.counts.rows, self.counts.blank_lines = self._reader.rows, self._reader.blank_lines
        return Output(b"".join(kept), b"".join(refused))

    @property
    def _wants_refused(self) -> bool:
        return self.with_refused or self.options.rows is not RowChoice.DELIVER

    def _count(self, word: str, reason: str | None) -> None:
        match word:
            case "deliver":
                self.counts.deliver += 1
            case "suppress":
                self.counts.suppress[str(reason)] += 1
            case "invalid":
                self.counts.invalid += 1
            case _:
                self.counts.duplicate += 1

    def _render(
        self,
        record: bytes,
        address: Address | None,
        key: AddressKeys | None,
        word: str,
        reason: str | None,
        *,
        is_refused: bool = False,
    ) -> bytes:
        values: list[str] = []
        if self.options.links and not (is_refused and self.with_refused):
            values += _link_values(self._links, address, key)
        if self.options.rows is not RowChoice.DELIVER or (is_refused and self.with_refused):
            values += [word, reason or ""]
        if not values:
            return record
        layout = self._reader.layout
        if layout is None:
            raise AssertionError("a record was read before the layout was known")
        return layout.record_with(record, values)

    def _header(self) -> Output:
        self._is_header_out = True
        layout = self._reader.layout
        if layout is None or layout.header_record is None:
            return Output(b"")
        own = self.options.added_columns
        rows = layout.header_with(own) if own else layout.header_record
        return Output(rows, layout.header_with(VERDICT_COLUMNS) if self.with_refused else b"")

    async def _record(self, error: Mapping[str, object] | None = None) -> None:
        async with self.context.database.connection() as connection:
            await scrub_store.update_scrub(
                connection,
                self.id,
                status=self.status,
                as_of=self.as_of,
                counts=self.counts.as_json(),
                error=error,
            )

    async def _record_failure(self, error: BaseException) -> None:
        self._failure, self.is_recorded = _describe(error), False
        try:
            await asyncio.shield(self.record_end())
        except (ListUnavailable, asyncio.CancelledError):
            # The record goes on saying `running` until `record_end` succeeds, or until it is found to be silent.
            _log.warning("scrub_record_lost", scrub=str(self.id))


@dataclass(slots=True)
class _Batch:
    """Records of one chunk; `words` says what is known before the list is asked, None where it must be."""

    rows: Rows
    addresses: list[Address | None]
    words: list[str | None]
    reasons: list[str | None]
    keys: list[AddressKeys]


async def get_scrub(context: Context, scrub_id: UUID, *, actor: str | None) -> ScrubRow:
    """The record of a scrub; `actor` limits it to one's own. Raises `NotFound`."""
    async with context.database.connection() as connection:
        row = await scrub_store.find_scrub(connection, scrub_id)
    if row is None or (actor is not None and row.actor != actor):
        raise NotFound("there is no such scrub, or it is not yours to see")
    return row


def choose_rows(text: str) -> RowChoice:
    """Read which rows are wanted. Raises `InvalidInput`."""
    try:
        return RowChoice(text)
    except ValueError as error:
        raise InvalidInput("rows is one of: deliver, refused, all") from error


def _read_addresses(rows: Rows) -> tuple[list[Address | None], list[str | None]]:
    """The addresses of a batch, and for each row without one the word that says why."""
    addresses: list[Address | None] = []
    reasons: list[str | None] = []
    for cell, fault in zip(rows.cells, rows.faults, strict=True):
        address, reason = None, fault
        if cell is not None and fault is None:
            try:
                address = read_address(cell.decode())
                reason = "invalid_address" if address is None else None
            except UnicodeDecodeError:
                reason = "not_utf8"
        addresses.append(address)
        reasons.append(reason)
    return addresses, reasons


def _link_values(maker: LinkMaker | None, address: Address | None, key: AddressKeys | None) -> tuple[str, str, str]:
    if maker is None or address is None or key is None:
        return _NO_LINKS
    links = maker.make(address, key.match)
    return links.unsubscribe_url, links.preferences_url, links.return_path


def _describe(error: BaseException) -> dict[str, object]:
    if isinstance(error, InvalidList):
        return {"row": error.row, "column": error.column, "detail": error.detail}
    if isinstance(error, ForbearError):
        return {"detail": error.detail}
    if isinstance(error, (ConnectionError, asyncio.CancelledError)):
        return {"detail": "it was broken off: whoever asked went away, or the process was ended"}
    if isinstance(error, TimeoutError):
        return {"detail": "it was broken off: no more of the list came"}
    return {"detail": f"it ended by an unexpected error ({type(error).__name__})"}


async def _join_chunks(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks of a size worth a batch."""
    pending: list[bytes] = []
    size = 0
    async for chunk in source:
        pending.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)
