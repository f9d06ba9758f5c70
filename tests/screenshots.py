"""Photographs of every state of the recipients' pages; run by scripts/screenshots."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser

from forbear import bootstrap
from forbear.config import Settings
from forbear.local.cluster import open_cluster
from forbear.local.credentials import OWNER, SERVICE
from forbear.services.context import Context
from tests.folders import make_home
from tests.page_states import STATES, Site, open_browser, open_site

# Width, height and pixels per pixel: the smallest phone, a usual one, a desktop.
SIZES = ((320, 568, 2), (375, 667, 2), (1280, 800, 1))


@asynccontextmanager
async def open_new_list() -> AsyncIterator[Context]:
    """An empty list on a PostgreSQL of its own, gone afterwards."""
    with make_home(is_fast=True) as home:
        home.mkdir(mode=0o711)
        cluster = await open_cluster(home)
        await cluster.start()
        try:
            urls = {"database_url": cluster.url(SERVICE), "migrate_url": cluster.url(OWNER)}
            settings = Settings(**urls, keys=home / "keys.json")
            await bootstrap.set_up(settings)
            async with bootstrap.open_context(settings) as context:
                yield context
        finally:
            await cluster.stop()


async def photograph(browser: Browser, site: Site, folder: Path, size: tuple[int, int, int], scheme: str) -> None:
    """Write one picture of every state, as long as the page is, to STATE-WIDTH-SCHEME.png."""
    width, height, density = size
    opened = await browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=density,
        color_scheme=scheme,
        java_script_enabled=False,
    )
    async with opened:
        page = await opened.new_page()
        for name, (_, enter) in STATES.items():
            await enter(page, site)
            await page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


async def main(folder: Path) -> None:
    """Photograph everything."""
    folder.mkdir(parents=True, exist_ok=True)
    bootstrap.configure_logging(as_json=False)
    async with open_new_list() as context, open_site(context) as site, open_browser() as browser:
        for size in SIZES:
            for scheme in ("light", "dark"):
                await photograph(browser, site, folder, size, scheme)
    print(f"{len(SIZES) * 2 * len(STATES)} pictures in {folder}")  # noqa: T201 - it is a command


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
