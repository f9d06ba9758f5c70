"""What the application carries, and the options it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from forbear.services.context import Context


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The settings that the HTTP door needs, free of where they came from."""

    json_body_bytes_max: int
    addresses_max: int
    scrub_spill_bytes_max: int
    scrubs_at_once_max: int
    scrub_idle_seconds: float
    trusted_proxies: tuple[str, ...]
    contact: str | None


CONTEXT: Final = web.AppKey("context", Context)
OPTIONS: Final = web.AppKey("options", WebOptions)
