"""What `forbear start` prints once everything is up."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

_EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "campaign.csv"


@dataclass(frozen=True, slots=True, repr=False)
class Announcement:
    """Where the service is; the fields are the JSON form, on which scripts rely."""

    http: str
    api_key: str
    database_url: str
    pid: int

    def print_json(self) -> None:
        """Print one JSON object on one line of stdout."""
        sys.stdout.write(json.dumps(asdict(self)) + "\n")
        sys.stdout.flush()

    def print_words(self) -> None:
        """Print what a person needs for the first steps."""
        console = Console(highlight=False, soft_wrap=True)
        console.print("\n[bold green]Forbear is ready.[/]\n")
        console.print(f"  [bold]HTTP[/]     {self.http}  (its reference: {self.http}/docs)", markup=True)
        console.print(f"  [bold]API key[/]  {self.api_key}\n")
        console.print(f"Filter {'the example' if _EXAMPLE.exists() else 'a'} list:\n")
        console.print(self._curl(), style="cyan", markup=False)
        console.print("\nStop it with Ctrl-C.")

    def _curl(self) -> str:
        example = os.path.relpath(_EXAMPLE) if _EXAMPLE.is_relative_to(Path.cwd()) else str(_EXAMPLE)
        if not _EXAMPLE.exists():  # an installed package brings no examples
            example = "LIST.csv"
        lines = (
            f'curl -sS -H "Authorization: Bearer {self.api_key}" -H "Content-Type: text/csv"',
            f"--data-binary {shlex.quote(f'@{example}')}",
            f'"{self.http}/v1/scrubs?purpose=marketing&scope=*&column=email"',
        )
        return "  " + " \\\n    ".join(lines)
