"""Filter a send list from a program, with nothing but Python.

    python3 filter_list.py LIST OUT

API_URL says where the service is, API_KEY is an API key with the permissions `scrub` and `links`.
OUT appears only when it is complete. While there is no complete answer, nobody is mailed.
"""

import os
import sys
import time
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ATTEMPTS = 5
QUESTION = {"purpose": "marketing", "scope": "maison/newsletter", "links": "true", "campaign": "spring"}


def filter_list(source: Path, out: Path) -> None:
    """Send a list and keep what comes back, trying again when the list cannot be asked."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            try_to_filter(source, out)
        except HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                sys.exit(f"refused: {error.read().decode()}")
            time.sleep(float(error.headers.get("Retry-After", 5)))
        except (OSError, IncompleteRead) as error:
            # The answer broke off: what came of it is right, but it is not all.
            if attempt == ATTEMPTS:
                sys.exit(f"given up: {error!r}")
            time.sleep(5 * attempt)
        else:
            return


def try_to_filter(source: Path, out: Path) -> None:
    """Send a list once; raises unless all of the answer has come."""
    headers = {
        "Authorization": f"Bearer {os.environ['API_KEY']}",
        "Content-Type": "text/csv",
        "Content-Length": str(source.stat().st_size),
    }
    url = f"{os.environ['API_URL']}/v1/scrubs?{urlencode(QUESTION)}"
    aside = out.with_name(f"{out.name}.partial")
    with source.open("rb") as rows:
        request = Request(url, data=rows, headers=headers)
        with urlopen(request, timeout=120) as answer, aside.open("wb") as kept:
            while chunk := answer.read(1024 * 1024):
                kept.write(chunk)
    aside.replace(out)


if __name__ == "__main__":
    filter_list(Path(sys.argv[1]), Path(sys.argv[2]))
