"""What every use case is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forbear.domain.keys import Keyring
from forbear.domain.suppression import Policy
from forbear.mailer.message import Sender
from forbear.services.gathering import Gathering
from forbear.services.standings import Standings
from forbear.store import Database
from forbear.store.scope import Scope
from forbear.store.suppression import EntryDraft, Written

SCOPES_FRESH_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class MailOptions:
    """What messages need to know.

    Without `has_upstream` they wait in the outbox. One confirmation per address and kind is sent in a window.
    """

    sender: Sender | None = None
    has_upstream: bool = False
    contact: str | None = None
    lifetime: timedelta = timedelta(hours=72)
    retention: timedelta = timedelta(days=30)
    confirmation_lifetime: timedelta = timedelta(hours=72)
    confirmation_window: timedelta = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How often anybody may ask, per hour: from one network, and over all."""

    typed_per_network_max: int = 60
    typed_per_hour_max: int = 1000
    subscriptions_per_network_max: int = 60
    subscriptions_per_hour_max: int = 5000


@dataclass(frozen=True, slots=True)
class Options:
    """The settings that use cases need, free of where they came from."""

    public_url: str
    mail_domain: str | None
    policy: Policy
    wide_matching: bool
    click_evidence: timedelta
    undo_window: timedelta
    record_bytes_max: int
    scrub_retention: timedelta
    intake_retention: timedelta = timedelta(days=1095)
    mail: MailOptions = field(default_factory=MailOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)


@dataclass(slots=True)
class ScopeBook:
    """The scopes as last read. None is ever deleted, so a name that was there is there."""

    scopes: Mapping[str, Scope] = field(default_factory=dict)
    """The registered ones."""
    names: frozenset[str] = frozenset()
    """Those, and the ones about sharing."""
    read_at: datetime | None = None

    def fill(self, scopes: Iterable[Scope], now: datetime, about_sharing: Iterable[str] = ()) -> None:
        """Take what was just read."""
        self.scopes, self.read_at = {scope.name: scope for scope in scopes}, now
        self.names = frozenset((*self.scopes, *about_sharing))

    def is_stale(self, now: datetime) -> bool:
        """Whether titles may have changed since."""
        return self.read_at is None or now - self.read_at > SCOPES_FRESH_FOR


@dataclass(frozen=True, slots=True)
class Context:
    """The list, the keys, the clock, the options, and what stands."""

    database: Database
    keyring: Keyring
    now: Callable[[], datetime]
    options: Options
    standings: Standings
    scope_book: ScopeBook = field(default_factory=ScopeBook)
    single_writes: Gathering[EntryDraft, Written] = field(default_factory=Gathering)
    """Entries that are asserted one by one, such as those of clicks."""
