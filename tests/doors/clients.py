"""The HTTP clients that people filter lists with, each as its own documentation shows it."""

import asyncio
import http.client
import inspect
import subprocess
import urllib.request
from pathlib import Path

import aiohttp
import httpx
import requests

from tests.doors.streams import PATIENCE_SECONDS


def send_by_urllib(url: str, path: Path, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, path.read_bytes(), headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
        return answer.read()


def send_by_urllib_from_a_file(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        length = {"Content-Length": str(path.stat().st_size)}
        request = urllib.request.Request(url, file, headers | length, method="PUT")  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
            return answer.read()


def send_by_requests(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        answer = requests.post(url, data=file, headers=headers, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    return answer.content


def send_by_requests_in_chunks(url: str, path: Path, headers: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        parts = iter(lambda: file.read(100_000), b"")
        return requests.post(url, data=parts, headers=headers, timeout=PATIENCE_SECONDS).content


def send_by_httpx(url: str, path: Path, headers: dict[str, str]) -> bytes:
    answer = httpx.post(url, content=path.read_bytes(), headers=headers, timeout=PATIENCE_SECONDS)
    return answer.raise_for_status().content


async def send_by_aiohttp(url: str, path: Path, headers: dict[str, str]) -> bytes:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        with path.open("rb") as file:
            async with session.post(url, data=file, headers=headers) as answer:
                return await answer.read()


def send_by_curl(*how: str):
    def send(url: str, path: Path, headers: dict[str, str]) -> bytes:
        options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
        last = f"@{path}" if how[-1] == "--data-binary" else str(path)
        command = ["curl", "-sSf", *options, *how, last, url]
        return subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS).stdout

    return send


CLIENTS = {
    "urllib": send_by_urllib,
    "urllib from a file": send_by_urllib_from_a_file,
    "requests": send_by_requests,
    "requests in chunks": send_by_requests_in_chunks,
    "httpx": send_by_httpx,
    "aiohttp": send_by_aiohttp,
    "curl --data-binary": send_by_curl("--data-binary"),
    "curl -T": send_by_curl("-T"),
    "curl -X POST -T": send_by_curl("-X", "POST", "-T"),
}

# How each of them says that an answer is refused, or not whole.
INCOMPLETE = (
    http.client.HTTPException,
    OSError,
    requests.RequestException,
    httpx.HTTPError,
    aiohttp.ClientError,
    subprocess.CalledProcessError,
)


async def send(name: str, url: str, path: Path, headers: dict[str, str]) -> bytes:
    """Send a list by one of the clients; the body of the answer."""
    if inspect.iscoroutinefunction(CLIENTS[name]):
        return await CLIENTS[name](url, path, headers)
    return await asyncio.to_thread(CLIENTS[name], url, path, headers)
