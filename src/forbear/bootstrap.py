"""The only wiring place: settings become pool, keys, clock, services and processes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson
import structlog

from forbear.config import Settings, split_host_port
from forbear.domain.errors import Misconfigured, Unauthenticated
from forbear.domain.keys import Keyring
from forbear.domain.suppression import EVERYTHING
from forbear.index import warming
from forbear.mailer.message import read_sender
from forbear.mailer.pool import Mailer
from forbear.mailer.upstream import read_upstream
from forbear.services import api_keys
from forbear.services.adoption import adopt_list
from forbear.services.api_keys import Permission
from forbear.services.context import Context, LimitOptions, MailOptions, Options
from forbear.services.index_keeper import IndexKeeper
from forbear.services.key_file import load_keys, prepare_keys, rotate_sealing_key
from forbear.services.standings import Standings
from forbear.store import scope as scope_store
from forbear.store import server as server_store
from forbear.store.database import open_database, open_owner_connection
from forbear.worker.loop import run_worker as run_worker_loop

if TYPE_CHECKING:
    from forbear.web.keys import WebOptions

LOCAL_KEY_FILE = "api-key"
LOCAL_KEY_NAME = "local"


def configure_logging(*, as_json: bool) -> None:
    """Log to stderr: JSON lines for the processes, short text for commands."""
    # orjson gives bytes, which nothing has to encode again: there is a line for each request.
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_write_json)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if as_json else logging.ERROR),
        logger_factory=(
            structlog.BytesLoggerFactory(sys.stderr.buffer) if as_json else structlog.PrintLoggerFactory(sys.stderr)
        ),
        cache_logger_on_first_use=as_json,
    )
    # Libraries may quote what they were given; only their own warnings about themselves are let through.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


async def set_up(settings: Settings) -> list[str]:
    """Migrate, make or check the keys, register the scope of everything; the migrations applied now.

    Raises `Misconfigured` (wrong keys, an unsafe server), `ListUnavailable` or `Busy`.
    """
    service_url = _service_url(settings)
    async with open_owner_connection(settings.migrate_url or service_url) as connection:
        await server_store.check_server(connection)
        applied = await server_store.migrate(connection, _role_of(service_url))
        await prepare_keys(connection, settings.keys_path, _now())
        await scope_store.add_scope(connection, EVERYTHING)
        await adopt_list(connection)
    return applied


def count_migrations() -> int:
    """How many migrations a new list gets."""
    return len(server_store.read_migrations())


async def ensure_local_api_key(settings: Settings) -> str:
    """The API key of this installation's own data folder, made at the first call and the same ever after."""
    path = settings.data_dir / LOCAL_KEY_FILE
    async with open_context(settings) as context:
        if path.exists():
            secret = path.read_text(encoding="ascii").strip()
            try:
                await api_keys.find_api_key(context, secret)
            except Unauthenticated:
                # The folder was kept and the list is another, or the key was revoked: make one that works.
                path.unlink()
            else:
                return secret
        _, secret = await api_keys.add_api_key(context, LOCAL_KEY_NAME, permissions=list(Permission))
        _write_secret(path, secret)
        return secret


async def warm_up(say: Callable[[str], None]) -> None:
    """Compile or load the filter's kernels, in a thread; `say` is told before it takes some seconds."""
    if not warming.is_compiled():
        say("compiling the filter, once on this machine")
    await asyncio.to_thread(warming.warm_up)


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Everything the services need. Raises `Misconfigured` or `ListUnavailable` rather than starting half."""
    async with open_database(
        _service_url(settings),
        connections_max=settings.pool_connections_max,
        statement_timeout_seconds=settings.statement_timeout_seconds,
    ) as database:
        async with database.connection() as connection:
            await server_store.check_server(connection)
            await server_store.check_migrated(connection)
            keyring = await load_keys(connection, settings.keys_path)
        standings = Standings(database, keyring, settings.index_dir)
        try:
            yield Context(database, keyring, _now, _make_options(settings), standings)
        finally:
            await standings.close()


async def rotate_keys(settings: Settings) -> Keyring:
    """Add a sealing key and retire the older ones; running processes need a restart to seal under it."""
    async with open_owner_connection(_service_url(settings)) as connection:
        return await rotate_sealing_key(connection, settings.keys_path, _now())


async def serve_web(settings: Settings, *, ready_fd: int | None = None) -> None:
    """Serve HTTP until SIGTERM or SIGINT; then finish what is under way, for `shutdown_seconds` at most.

    `ready_fd` is told the base URL as one line of JSON once the process listens. With port 0 and no public URL,
    links are built from the port that was given.
    """
    # Commands that serve nothing start in two thirds of the time without it.
    from forbear.web.app import make_app  # noqa: PLC0415
    from forbear.web.server import serve  # noqa: PLC0415

    configure_logging(as_json=True)
    stop = _stop_event()
    host, port = split_host_port(settings.http)
    listener = _listen(host, port)
    base_url = _base_url(host, listener.getsockname()[1])
    chosen = settings.model_copy(update={"public_url": settings.public_url or base_url})
    await warm_up(lambda text: structlog.get_logger().info("warming_up", text=text))
    async with open_context(chosen) as context:
        app = make_app(context, _make_web_options(chosen))
        async with (
            _follow_list(context, is_builder=False),
            serve(app, listener, shutdown_seconds=settings.shutdown_seconds),
            _serve_metrics(chosen, context),
        ):
            # What is here now stays: the collector need not look through it again and again.
            gc.freeze()
            structlog.get_logger().info("listening", http=base_url)
            if ready_fd is not None:
                with os.fdopen(ready_fd, "wb") as ready:
                    ready.write(orjson.dumps({"http": base_url}) + b"\n")
            await stop.wait()


async def run_worker(settings: Settings) -> None:
    """Do the worker's jobs until SIGTERM or SIGINT."""
    configure_logging(as_json=True)
    stop = _stop_event()
    async with (
        open_context(settings) as context,
        _follow_list(context, is_builder=True),
        _open_mailer(settings) as mailer,
    ):
        await run_worker_loop(context, stop, mailer, context.options.mail.sender)


@asynccontextmanager
async def _open_mailer(settings: Settings) -> AsyncIterator[Mailer | None]:
    """What sends messages, or None where no upstream is set."""
    if settings.upstream is None or settings.mail_from is None:
        yield None
        return
    upstream = replace(
        read_upstream(settings.upstream),
        ca_file=settings.upstream_ca,
        connections_max=settings.upstream_connections_max,
        timeout_seconds=settings.upstream_seconds,
        hello=read_sender(settings.mail_from).domain,
    )
    try:
        mailer = Mailer(upstream)
    except OSError as error:
        raise Misconfigured(f"the certificates of FORBEAR_UPSTREAM_CA cannot be read: {error.strerror}") from error
    try:
        yield mailer
    finally:
        await mailer.close()


@asynccontextmanager
async def _follow_list(context: Context, *, is_builder: bool) -> AsyncIterator[None]:
    """Stay up to date with the list for as long as the block runs, and see to it that there is an index file."""
    await context.standings.start()
    keeper = asyncio.create_task(IndexKeeper(context.database, context.standings, is_builder=is_builder).run())
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


def _make_options(settings: Settings) -> Options:
    return Options(
        public_url=settings.public_url or f"http://{settings.http}",
        mail_domain=settings.mail_domain,
        policy=settings.policy,
        wide_matching=settings.wide_matching,
        click_evidence=timedelta(days=settings.click_evidence_days),
        undo_window=settings.undo_window,
        record_bytes_max=settings.record_bytes_max,
        scrub_retention=timedelta(days=settings.scrub_days),
        intake_retention=timedelta(days=settings.intake_days),
        mail=_make_mail_options(settings),
        limits=LimitOptions(
            typed_per_network_max=settings.typed_per_network_max,
            typed_per_hour_max=settings.typed_per_hour_max,
            subscriptions_per_network_max=settings.subscriptions_per_network_max,
            subscriptions_per_hour_max=settings.subscriptions_per_hour_max,
        ),
    )


def _make_mail_options(settings: Settings) -> MailOptions:
    return MailOptions(
        sender=None if settings.mail_from is None else read_sender(settings.mail_from),
        has_upstream=settings.upstream is not None,
        contact=settings.contact,
        lifetime=timedelta(hours=settings.message_hours),
        retention=timedelta(days=settings.message_days),
        confirmation_lifetime=timedelta(hours=settings.confirmation_hours),
        confirmation_window=timedelta(minutes=settings.confirmation_window_minutes),
    )


def _make_web_options(settings: Settings) -> WebOptions:
    from forbear.web.keys import WebOptions  # noqa: PLC0415 - as in serve_web

    return WebOptions(
        json_body_bytes_max=settings.json_body_bytes_max,
        addresses_max=settings.addresses_max,
        scrub_spill_bytes_max=settings.scrub_spill_bytes_max,
        scrubs_at_once_max=settings.scrubs_at_once_max,
        scrub_idle_seconds=settings.scrub_idle_seconds,
        trusted_proxies=settings.trusted_proxies,
        contact=settings.contact,
    )


def _write_json(line: object, **_how: Any) -> bytes:
    return orjson.dumps(line, default=str)


def _service_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise Misconfigured("DATABASE_URL is not set, and the data folder's server was not opened")
    return settings.database_url


def _role_of(url: str) -> str:
    user = urlsplit(url).username
    if not user:
        raise Misconfigured("DATABASE_URL names no user")
    return unquote(user)


def _now() -> datetime:
    return datetime.now(UTC)


def _write_secret(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secret + "\n")
    aside.replace(path)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def _serve_metrics(settings: Settings, context: Context) -> AsyncIterator[None]:
    if settings.metrics is None:
        yield
        return
    from forbear.web.metrics import make_metrics_app  # noqa: PLC0415 - as in serve_web
    from forbear.web.server import serve  # noqa: PLC0415

    host, port = split_host_port(settings.metrics)
    async with serve(make_metrics_app(context), _listen(host, port), shutdown_seconds=settings.shutdown_seconds):
        yield
