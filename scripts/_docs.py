"""Writes the pages that are made from the program, those of `PAGES`.

Called by scripts/docs. With --check nothing is written: it names what is stale and ends with 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import typer
from pydantic.fields import FieldInfo

from forbear.cli import app
from forbear.config import SECRETS, Settings, name_variable
from forbear.domain.party import Party, PartyKind
from forbear.domain.suppression import EVERYTHING, Entry, Grant, Outcome, Purpose, Reason, Source, decide, is_wide
from forbear.feedback.events import Effect
from forbear.feedback.rules import OTHER_STATUSES, RULES

ROOT = Path(__file__).resolve().parents[1]
_MADE = "Made by `scripts/docs` from {source}; change it there."
_BRAND = "maison"
_BOUNDS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}"}


def main() -> int:
    """Write every page, or with --check compare; the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not is_check:
        sys.stderr.write("usage: scripts/docs [--check]\n")
        return 2
    stale = [name for name, write in PAGES.items() if _read(ROOT / name) != write()]
    for name in stale:
        if is_check:
            print(f"{name} is stale: run scripts/docs")
        else:
            (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and is_check else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write_configuration() -> str:
    """docs/configuration.md."""
    head = f"""\
# Configuration

{_MADE.format(source="`src/forbear/config.py`")}

Every setting is a variable of the environment, and only there: no file is read but those that the environment names.
[.env.example](../.env.example) lists all of them. Some commands take the same by an option, which comes first
([command line](command-line.md)). All faults are reported at once, and nothing starts with a wrong setting.

A variable that is empty counts as not set. Numbers are plain digits; yes and no are `true` and `false`. A secret may
stand in a file instead, whose path is in {_list_secret_files()}.

| setting | default | what it is |
| --- | --- | --- |
"""
    rows = (f"| `{name}` | {_show_default(field)} | {_describe(field)} |\n" for name, field in _list_settings())
    return head + "".join(rows)


def write_environment() -> str:
    """.env.example."""
    head = """\
# Every setting of Forbear with its default; see docs/configuration.md. Made by scripts/docs.
# For a shell:   set -a; . ./.env; set +a
# For systemd:   EnvironmentFile=/etc/forbear.env
# honcho and other runners of a Procfile read a file .env beside it. The program itself does not.
"""
    return head + "".join(
        f"\n{_write_comment(_describe(field))}\n#{name}={_write_default(field)}\n" for name, field in _list_settings()
    )


def _write_comment(text: str) -> str:
    return fill(text, 118, initial_indent="# ", subsequent_indent="# ")


def _list_secret_files() -> str:
    return " and ".join(f"`{name}_FILE`" for name in SECRETS)


def _list_settings() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        yield name_variable(name), field


def _describe(field: FieldInfo) -> str:
    bounds = [
        text.format(_group(value))
        for item in field.metadata
        for kind, text in _BOUNDS.items()
        if (value := getattr(item, kind, None)) is not None
    ]
    return f"{field.description} ({', '.join(bounds)})" if bounds else str(field.description)


def _group(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _show_default(field: FieldInfo) -> str:
    text = _write_default(field)
    return f"`{text}`" if text else "none"


def _write_default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case bool(value):
            return str(value).lower()
        case value:
            return str(value)


def write_decision_table() -> str:
    """docs/decision-table.md."""
    head = f"""\
# The decision table

{_MADE.format(source="`src/forbear/domain/suppression.py`")}

Which message an entry blocks, by the entry's reason and the message's purpose. `x` is blocked. Where several entries
block, the verdict names the reason that stands highest here. `FORBEAR_ALSO_BLOCKS` adds cells; none can be taken away.

| reason | {" | ".join(Purpose)} | a later grant overrides it | covers other spellings |
| --- | {"--- | " * len(Purpose)}--- | --- |
"""
    return head + "".join(_write_rows()) + _NOTES.format(kinds="".join(_write_kinds()))


_NOTES = """
- **Scope.** An entry blocks a send when its scope equals the send's, contains it, or lies within it: a send covers all
  that lies under its scope. A send of `*` is blocked by an entry of any scope, and an entry of `*` blocks every send.
- **Grants.** A grant is a proven opt-in for one scope. It overrides entries that are older than itself, for sends that
  lie within its scope. A complaint is overridden only by a grant of the complaint's very scope, a bounce by none. For
  `sharing` it overrides nothing, unless its scope is about sharing (below). An entry that comes after the grant blocks
  again.
- **Other spellings** are plus-tags and Gmail's dots, for the domains in `src/forbear/domain/wide_domains.py`. Entries
  that came by `phone` or `letter` cover them too, whatever their reason, unless it is a bounce.
  `FORBEAR_WIDE_MATCHING=false` makes new entries cover the given spelling alone.
- **Whole domains.** An entry for `@example.com` blocks every address at that very domain, not at its subdomains.
- **Sharing, to whom.** A question for `sharing` may name a party. A `no_sharing` is then about the party when its scope
  overlaps the send's, or is `sharing`, `sharing/KIND` or `sharing/NAME`:

{kinds}
  What is needed is a basis that no `no_sharing` about the party came after. Without one the verdict is `suppress`
  with the reason `no_basis`, which stands behind every other reason. A later grant in a scope that overrides takes
  older `no_sharing` entries out of the way, and no entry of another reason.
- **Sharing, without a party.** The verdict is the list's answer only: nobody has said no, in any scope of `sharing`
  or in one that overlaps the send's.
- **Time.** No entry ends by itself.
"""


def _write_kinds() -> Iterator[str]:
    yield "  | kind of party | needs a grant in | older `no_sharing` is overridden by a grant in |\n"
    yield "  | --- | --- | --- |\n"
    for kind in PartyKind:
        if kind is PartyKind.PROCESSOR:
            yield f"  | `{kind}` | is no question: it works on our behalf | |\n"
        else:
            party = Party("NAME", kind)
            needed = _list_scopes(party.basis_scopes) or "nothing"
            yield f"  | `{kind}` | {needed} | {_list_scopes(party.opt_in_scopes)} |\n"


def _list_scopes(scopes: Iterable[str]) -> str:
    return " or ".join(f"`{scope}`" for scope in sorted(scopes, reverse=True))


def _write_rows() -> Iterator[str]:
    for reason in Reason:
        if reason is Reason.UNSUBSCRIBE:
            yield _write_row(f"`{reason}` of everything (`*`)", reason, EVERYTHING)
            yield _write_row(f"`{reason}` of a brand or topic", reason, _BRAND)
        else:
            yield _write_row(f"`{reason}`", reason, EVERYTHING)


def _write_row(label: str, reason: Reason, scope: str) -> str:
    blocked = [purpose for purpose in Purpose if _is_blocked((Entry(reason, scope),), purpose, scope)]
    cells = ["x" if purpose in blocked else " " for purpose in Purpose]
    wide = "yes" if is_wide(reason, Source.API) else "no"
    return f"| {label} | {' | '.join(cells)} | {_describe_grants(reason, blocked[0])} | {wide} |\n"


def _describe_grants(reason: Reason, purpose: Purpose) -> str:
    entry = Entry(reason, _BRAND)
    by_same, by_wider = (not _is_blocked((entry, Grant(scope)), purpose, _BRAND) for scope in (_BRAND, EVERYTHING))
    return {(True, True): "yes", (True, False): "of the same scope", (False, False): "no"}[by_same, by_wider]


def _is_blocked(rules: tuple[Entry | Grant, ...], purpose: Purpose, scope: str) -> bool:
    return decide(rules, purpose, scope).outcome is Outcome.SUPPRESS


def write_command_line() -> str:
    """docs/command-line.md."""
    group = typer.main.get_command(app)
    head = f"""\
# Command line

{_MADE.format(source="`src/forbear/cli/`")}

`scripts/forbear COMMAND` in a checkout, `forbear COMMAND` where the package is installed. Every command works on the
data folder that `--data`, else `FORBEAR_DATA` names; else on the database of `DATABASE_URL`; else on the folder `var`
(of the checkout, with `scripts/forbear`). Answers go to stdout, everything else to stderr. Addresses may come on
stdin, one a line, which keeps them out of the shell's history and the process list.

Exit codes: 0 done; 1 bad input, or something that a person must put right; 2 usage; 75 the list cannot be asked now,
try again ([what each message means](operating.md#messages-and-what-to-do)); 130 ended by Ctrl-C.
"""
    return head + "".join(_describe_commands(group, ()))


def _describe_commands(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    # typer brings its own copy of click in some releases, so what a thing is, is asked by what it has.
    children: Mapping[str, Any] = getattr(command, "commands", {})
    for name, child in children.items():
        if getattr(child, "commands", None):
            yield from _describe_commands(child, (*path, name))
        elif not child.hidden:
            yield _describe_command(child, " ".join((*path, name)))


def _describe_command(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    # What --help shows is all that is asked for: typer carries a copy of click whose objects differ by release.
    records = [(item, item.get_help_record(context)) for item in command.get_params(context) if item.name != "help"]
    usage = [_show_name(record[0]) for item, record in records if record and item.param_type_name == "argument"]
    rows = [f"| `{_show_name(record[0])}` | {_show_help(record[1])} |\n" for _, record in records if record]
    words = " ".join(("forbear", name, *usage, "[OPTIONS]"))
    return f"\n## {name}\n\n{' '.join(command.help.split())}\n\n    {words}\n\n| | |\n| --- | --- |\n{''.join(rows)}"


def _show_name(text: str) -> str:
    return re.sub(r" <[^>]*>", "", text)


def _show_help(text: str) -> str:
    text = re.sub(r"\s*\[default: (.*)\]$", r" Default: `\1`.", text)
    text = re.sub(r"(?<=[^.\s])\s+\[required\]$", ". Required.", text)
    return re.sub(r"\s*\[required\]$", " Required.", text).strip()


def write_feedback_rules() -> str:
    """docs/feedback-rules.md."""
    head = f"""\
# Why deliveries fail

{_MADE.format(source="`src/forbear/feedback/rules.py`")}

What a server's answer means, and what follows ([how answers are read](feedback.md#bounces)). The first rule that fits
wins. A rule fits by its phrases, which stand in that file; its codes count where no phrase of any rule fits.

| cause | effect | is about | codes |
| --- | --- | --- | --- |
"""
    rows = [(rule.cause, rule.effect, rule.meaning, ", ".join(rule.statuses)) for rule in RULES]
    rows += [
        (cause, effect, f"any other code of class {number}", "") for number, (cause, effect) in OTHER_STATUSES.items()
    ]
    rows.append(("incomplete", Effect.NONE, "a report that lacks what RFC 3464 requires", ""))
    return head + "".join(
        f"| `{cause}` | `{effect}` | {meaning} | {codes} |\n" for cause, effect, meaning, codes in rows
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/configuration.md": write_configuration,
    "docs/decision-table.md": write_decision_table,
    "docs/command-line.md": write_command_line,
    "docs/feedback-rules.md": write_feedback_rules,
    ".env.example": write_environment,
}

if __name__ == "__main__":
    sys.exit(main())
