"""Sessions of the documentation: console blocks are run against a real service, and what is shown must come out.

A block marked `console` holds commands, each behind `$ `; one goes on over the lines that follow while it ends in a
backslash or has a quote open. What stands below it is its output, where `...` stands for anything on one line, and
alone on a line for any lines. JSON is compared by its values, in which `"..."` and `...` stand for any value.
All blocks of a page are one session on a new list, in a shell that finds the checkout's folders and the data folder
`var`. `scripts/forbear start` runs until the end of the page, on a free port that is put in for 127.0.0.1:8080.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT, running

START = "scripts/forbear start"
SHOWN = "127.0.0.1:8080"
_LAST_WORDS = "Stop it with Ctrl-C."
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY = object()


@dataclass(frozen=True)
class Step:
    """One command and the output that the page shows for it."""

    page: str
    line: int
    command: str
    output: str

    @property
    def is_start(self) -> bool:
        """Whether it starts the service."""
        return self.command.startswith(START)


def read_steps(page: Path) -> list[Step]:
    """Read the steps of a page, in order."""
    text = page.read_text()
    steps = []
    for block in _BLOCK.finditer(text):
        first_line = text[: block.start(1)].count("\n") + 1
        steps += _read_block(str(page.relative_to(ROOT)), first_line, block[1].splitlines())
    return steps


def _read_block(page: str, first_line: int, lines: Sequence[str]) -> Iterator[Step]:
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"{page}:{first_line}: a session begins with a command"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        size = 1
        while _goes_on("\n".join(lines[start : start + size])):
            size += 1
        command = "\n".join(lines[start : start + size])[2:]
        yield Step(page, first_line + start, command, "\n".join(lines[start + size : end]))


def _goes_on(command: str) -> bool:
    return command.endswith("\\") or command.count("'") % 2 == 1


async def run_page(page: Path, folder: Path) -> list[str]:
    """Run a page's session in an empty folder; every step that did not come out as shown."""
    for name in ("scripts", "examples", "docs"):
        (folder / name).symlink_to(ROOT / name)
    steps = read_steps(page)
    start = next((step for step in steps if step.is_start), None)
    others = [step for step in steps if not step.is_start]
    async with _started(start, folder) as (port, faults):
        for step, output in zip(others, await _run_shell(others, folder, port), strict=True):
            if not is_as_shown(output, step.output):
                faults.append(f"{step.page}:{step.line}: {step.command}\n--- shown\n{step.output}\n--- came\n{output}")
    return faults


@asynccontextmanager
async def _started(step: Step | None, folder: Path) -> AsyncIterator[tuple[int, list[str]]]:
    if step is None:
        yield 8080, []
        return
    environment = {"FORBEAR_DATA": str(folder / "var"), "FORBEAR_HTTP": "127.0.0.1:0"}
    stderr_file = folder / "stderr"
    async with running(
        ["bash", "-c", f"exec {step.command}"], environment=environment, stderr_file=stderr_file, folder=folder
    ) as process:
        words = await asyncio.wait_for(_read_words(process), 60)
        found = re.search(r"127\.0\.0\.1:(\d+)", words)
        assert found, stderr_file.read_text()
        shown = words.replace(found[0], SHOWN).replace(f"{ROOT}/", "")
        yield int(found[1]), [] if is_as_shown(shown, step.output) else [f"{step.page}:{step.line}\n{shown}"]
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _read_words(process: asyncio.subprocess.Process) -> str:
    lines = []
    while line := (await process.stdout.readline()).decode():
        lines.append(line)
        if line.strip() == _LAST_WORDS:
            break
    return "".join(lines)


async def _run_shell(steps: Sequence[Step], folder: Path, port: int) -> list[str]:
    """Run commands in one shell; the output of each, stdout and stderr as they come."""
    mark = f"mark-{os.urandom(8).hex()}"
    script = folder / "session"
    lines = [f"{step.command}\nstatus=$?; echo {mark}; (exit $status)\n" for step in steps]
    script.write_text("".join(lines).replace(SHOWN, f"127.0.0.1:{port}"))
    environment = {"FORBEAR_DATA": str(folder / "var"), "HOME": str(folder), "COLUMNS": "120"}
    async with running(["bash", "-c", "exec bash session 2>&1"], environment=environment, folder=folder) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 200)
    *outputs, _ = output.decode().replace(f"127.0.0.1:{port}", SHOWN).split(f"{mark}\n")
    return outputs


def is_as_shown(output: str, shown: str) -> bool:
    """Whether an output is what a page shows."""
    values = _read_json(output), _read_json(re.sub(r"(?<=[:\[,] )\.\.\.|(?<=\[)\.\.\.", '"..."', shown))
    if _ANY not in values:
        return _is_same(*values)
    return re.fullmatch(_make_pattern(shown.strip()), output.strip()) is not None


def _read_json(text: str) -> object:
    if not text.lstrip().startswith(("{", "[")):
        return _ANY
    try:
        return json.loads(text)
    except ValueError:
        return _ANY


def _is_same(value: object, shown: object) -> bool:
    """Whether a value fits what is shown of it; a page that shows an object shows every field."""
    match shown:
        case "...":
            return True
        case ["..."]:
            return isinstance(value, list)
        case str():
            return isinstance(value, str) and re.fullmatch(_make_pattern(shown), value) is not None
        case dict():
            return (
                isinstance(value, dict)
                and value.keys() == shown.keys()
                and all(_is_same(value[name], part) for name, part in shown.items())
            )
        case list():
            return (
                isinstance(value, list)
                and len(value) == len(shown)
                and all(_is_same(*pair) for pair in zip(value, shown, strict=True))
            )
        case _:
            return type(value) is type(shown) and value == shown


def _make_pattern(shown: str) -> str:
    lines = (line.rstrip() for line in shown.split("\n"))
    parts = (r"(?:.*\n)*?.*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*?") for line in lines)
    return r"[ ]*\n".join(parts) + "[ ]*"
