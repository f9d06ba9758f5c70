"""Settings: the only place that reads the environment. Every fault is reported at once.

Names are `FORBEAR_` and the field's name in capitals; `DATABASE_URL` is taken as it is. One that is empty counts as
not set. A secret may instead stand in a file that `NAME_FILE` points to. docs/configuration.md and .env.example are
generated from here.
"""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from forbear.domain.errors import Misconfigured
from forbear.domain.suppression import Policy, Purpose, Reason
from forbear.mailer.message import read_sender
from forbear.mailer.upstream import read_upstream

SECRETS = ("DATABASE_URL", "FORBEAR_MIGRATE_URL", "FORBEAR_UPSTREAM")
"""What may stand in a file that `NAME_FILE` points to."""
DEFAULT_DATA = Path("var")


class Settings(BaseSettings):
    """What an installation may choose. Each limit says what it defends against."""

    model_config = SettingsConfigDict(
        env_prefix="FORBEAR_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    data: Path | None = Field(
        None,
        description="Data folder: keys, the local API key and the embedded PostgreSQL. When set it beats DATABASE_URL; "
        "without either it is var, in the folder from which the program is started.",
    )
    database_url: str | None = Field(
        None,
        repr=False,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="PostgreSQL (15 or newer) for the service's role. Without it an embedded server is used.",
    )
    migrate_url: str | None = Field(
        None,
        repr=False,
        description="The same database for the role that owns the tables; used by migrate and start only. Default: "
        "DATABASE_URL, and then nothing in PostgreSQL keeps the service from changing its history.",
    )
    keys: Path | None = Field(None, description="Key file. Default: keys.json in the data folder.")
    index: Path | None = Field(
        None,
        description="Folder of the index files, shared by a machine's processes. Default: index, beside the key file.",
    )
    http: str = Field("127.0.0.1:8080", description="HOST:PORT where the web process listens. Port 0 takes a free one.")
    metrics: str | None = Field(None, description="HOST:PORT for /metrics, on a listener of its own. Off when empty.")
    public_url: str | None = Field(
        None,
        description="How recipients reach the web process; links are built from it, never from a Host header. "
        "Default: where it listens.",
    )
    mail_domain: str | None = Field(
        None,
        description="Domain whose mail comes to Forbear; gives links a mailto and a return path. Leave it empty: this "
        "release receives no mail.",
    )
    contact: str | None = Field(
        None, description="Another way out (an e-mail address, phone number or postal address) shown when a link fails."
    )
    upstream: str | None = Field(
        None,
        repr=False,
        description="Mail server that takes our messages: smtps://USER:PASSWORD@HOST[:PORT], starttls://... or, "
        "without TLS, smtp://... Its certificate is checked. Without it messages wait in the outbox.",
    )
    upstream_ca: Path | None = Field(
        None, description="Certificates (PEM) that the mail server's is checked against. Default: the system's."
    )
    mail_from: str | None = Field(
        None,
        description="Whom messages are from, such as Maison <news@maison.example>; needed with FORBEAR_UPSTREAM. What "
        "cannot be delivered comes back there.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks (CIDR, comma separated) whose X-Forwarded-For is believed for click evidence."
    )
    also_blocks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Cells added to the decision table, as reason:purpose, comma separated. None can be taken away."
    )
    wide_matching: bool = Field(
        default=True,
        description="Whether complaints, objections, calls and letters also cover plus-tags and Gmail's dots.",
    )

    pool_connections_max: int = Field(
        10, ge=2, le=500, description="Connections to PostgreSQL per process; keeps the server within its own limit."
    )
    statement_timeout_seconds: int = Field(
        30, ge=1, le=3600, description="Longest single statement; a stuck query must not hold a caller for ever."
    )
    json_body_bytes_max: int = Field(
        8 * 1024 * 1024, ge=1024, description="Largest JSON body; one caller must not fill the memory."
    )
    addresses_max: int = Field(
        10_000, ge=1, le=100_000, description="Addresses in one JSON call; longer lists are scrubs."
    )
    record_bytes_max: int = Field(
        2 * 1024 * 1024,
        ge=1024,
        description="Longest record of a send list; an unclosed quote must not swallow the whole list.",
    )
    scrub_spill_bytes_max: int = Field(
        8 * 1024**3,
        ge=0,
        description="Disk one scrub may use for rows its client does not take yet, and as much again for a list in "
        "Parquet; a slow client or an endless list must not fill it.",
    )
    scrubs_at_once_max: int = Field(
        8, ge=1, le=1000, description="Scrubs running at once in one web process; more get 503 and Retry-After."
    )
    scrub_idle_seconds: float = Field(
        300,
        gt=0,
        description="How long a scrub waits for a client that neither sends nor takes rows; it would hold its place.",
    )
    upstream_connections_max: int = Field(
        4, ge=1, le=100, description="Connections to the mail server per worker; it has a limit of its own."
    )
    upstream_seconds: float = Field(
        30, gt=0, le=300, description="How long the mail server may take for one answer; a stuck one must not hold us."
    )
    message_hours: int = Field(
        72, ge=1, le=240, description="How long a message is tried; a link in it would be of no use much later."
    )
    message_days: int = Field(30, ge=1, description="How long the record of a message, emptied, is kept.")
    confirmation_hours: int = Field(72, ge=1, le=720, description="How long the link of a confirmation works.")
    confirmation_window_minutes: int = Field(
        60,
        ge=1,
        le=10_080,
        description=(
            "Within so long an address gets one confirmation of a kind from a brand, and five in all; "
            "nobody's mailbox is to be filled."
        ),
    )
    typed_per_network_max: int = Field(
        60, ge=1, description="Typed unsubscribes per hour from one network (IPv4 /24, IPv6 /48); more get 429."
    )
    typed_per_hour_max: int = Field(
        1000, ge=1, description="Typed unsubscribes per hour over all, since anybody may type any address; then 429."
    )
    subscriptions_per_network_max: int = Field(
        60, ge=1, description="Requests to subscribe per hour from one network; more get 429."
    )
    subscriptions_per_hour_max: int = Field(
        5000, ge=1, description="Requests to subscribe per hour over all; a flood must not become mail."
    )
    click_evidence_days: int = Field(90, ge=1, description="How long IP address and user agent of a click are kept.")
    scrub_days: int = Field(730, ge=1, description="How long the counts of a scrub are kept.")
    intake_days: int = Field(
        1095,
        ge=731,
        description="How long a request by phone or letter is kept once it is done; 11 CCR 7101 wants 24 months.",
    )
    undo_minutes: int = Field(15, ge=1, le=1440, description="How long the undo button of an answer works.")
    lock_wait_seconds: int = Field(
        600,
        ge=0,
        description="How long a command waits for another that holds the data folder; a stuck one must not block it.",
    )
    shutdown_seconds: int = Field(15, ge=1, le=20, description="How long SIGTERM waits for requests under way.")

    @field_validator("trusted_proxies", "also_blocks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("also_blocks")
    @classmethod
    def _known_cells(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for cell in value:
            reason, _, purpose = cell.partition(":")
            if reason not in set(Reason) or purpose not in set(Purpose):
                raise ValueError(f"{cell!r} is not reason:purpose")
        return value

    @field_validator("http", "metrics")
    @classmethod
    def _host_port(cls, value: str | None) -> str | None:
        if value is not None:
            split_host_port(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")) or "?" in value or "#" in value:
            raise ValueError("a base URL is needed, such as https://mail.example.com")
        return value.rstrip("/")

    @field_validator("upstream")
    @classmethod
    def _mail_server(cls, value: str | None) -> str | None:
        if value is not None:
            read_upstream(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_sender(cls, value: str | None) -> str | None:
        if value is not None:
            read_sender(value)
        return value

    @model_validator(mode="after")
    def _messages_have_a_sender(self) -> Self:
        if self.upstream and not self.mail_from:
            raise ValueError("FORBEAR_UPSTREAM needs FORBEAR_MAIL_FROM beside it")
        return self

    @model_validator(mode="after")
    def _data_beats_url(self) -> Self:
        if self.migrate_url and not (self.database_url or self.data):
            raise ValueError("FORBEAR_MIGRATE_URL needs DATABASE_URL beside it")
        return self

    @property
    def is_embedded(self) -> bool:
        """Whether PostgreSQL is the one in the data folder."""
        return self.data is not None or self.database_url is None

    @property
    def data_dir(self) -> Path:
        """The data folder, whether chosen or not."""
        return (self.data or DEFAULT_DATA).absolute()

    @property
    def keys_path(self) -> Path:
        """Where the key file is, or would be made."""
        return (self.keys or self.data_dir / "keys.json").absolute()

    @property
    def index_dir(self) -> Path:
        """Where the index files are, or would be made."""
        return (self.index or self.keys_path.parent / "index").absolute()

    @property
    def policy(self) -> Policy:
        """The decision table with this installation's additions."""
        added: dict[Reason, frozenset[Purpose]] = {}
        for cell in self.also_blocks:
            reason, _, purpose = cell.partition(":")
            added[Reason(reason)] = added.get(Reason(reason), frozenset()) | {Purpose(purpose)}
        return Policy(added)

    @property
    def undo_window(self) -> timedelta:
        """How long an answer's undo works."""
        return timedelta(minutes=self.undo_minutes)


def read_settings(**chosen: Any) -> Settings:
    """Read the environment; `chosen` (from the command line, `None` meaning not given) comes first.

    Raises `Misconfigured` with one line for every fault.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if path and not os.environ.get(name):
            try:
                given.setdefault(name.removeprefix("FORBEAR_").lower(), Path(path).read_text().strip())
            except OSError as error:
                raise Misconfigured(f"{name}_FILE cannot be read: {error.strerror}") from error
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = (_variable(fault["loc"]) + fault["msg"].removeprefix("Value error, ") for fault in error.errors())
        raise Misconfigured("settings are wrong:\n  " + "\n  ".join(faults)) from error


def make_environment(settings: Settings) -> dict[str, str]:
    """Make the environment with which another program of ours reads these settings; it gets no owner's password."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FORBEAR_", *SECRETS))}
    for name in settings.model_fields_set - {"data", "database_url", "migrate_url"}:
        value = getattr(settings, name)
        if value is not None:
            environment[name_variable(name)] = ",".join(value) if isinstance(value, tuple) else str(value)
    if settings.is_embedded:
        environment["FORBEAR_DATA"] = str(settings.data_dir)
    elif settings.database_url:
        environment["DATABASE_URL"] = settings.database_url
    return environment | {"FORBEAR_KEYS": str(settings.keys_path)}


def split_host_port(value: str) -> tuple[str, int]:
    """Split `HOST:PORT` (`[::1]:8080` for IPv6); raise ValueError when it is neither."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise ValueError(f"{value!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def name_variable(setting: str) -> str:
    """Name the variable of the environment that holds a setting."""
    return "DATABASE_URL" if setting == "database_url" else f"FORBEAR_{setting.upper()}"


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else ""
    return f"{name if name.isupper() else name_variable(name)}: " if name else ""
