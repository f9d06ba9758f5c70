"""Brings the catalogues up to date with the sentences that pages and messages say.

Called by scripts/catalogues. A sentence that is new stands there untranslated, and one that nobody says any more is
taken out. With --check nothing is written: it names what is stale or not translated, and ends with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from forbear.language import DOMAIN, ENGLISH, LANGUAGES, catalogue_path, read_catalogue

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "forbear"
_METHODS = [("web/templates/**.html", "jinja2"), ("mailer/templates/**", "jinja2"), ("**.py", "python")]
_OPTIONS = {"**": {"trimmed": "true", "silent": "false", "encoding": "utf-8"}}
_KEYWORDS = {"gettext": None, "ngettext": (1, 2), "_": None, "N_": None}
_WIDTH = 0
"""Sentences are not wrapped, so that a change of one is a change of one line."""


def main() -> int:
    """Write every catalogue, or with --check compare; the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not is_check:
        sys.stderr.write("usage: scripts/catalogues [--check]\n")
        return 2
    faults = [fault for language in LANGUAGES if language != ENGLISH for fault in _update(language, is_check=is_check)]
    print("\n".join(faults) if is_check else f"{len(faults)} sentences are not translated")
    return 1 if faults and is_check else 0


def list_sentences() -> Catalog:
    """All sentences that the program says, in the order of the files."""
    catalog = Catalog(domain=DOMAIN, project="Forbear", fuzzy=False)
    found = extract_from_dir(PACKAGE, _METHODS, _OPTIONS, keywords=_KEYWORDS)
    for name, _, message, _, _ in sorted(found, key=lambda line: (line[0], line[1])):
        catalog.add(message, locations=[(name, None)])
    return catalog


def _update(language: str, *, is_check: bool) -> Iterator[str]:
    path = catalogue_path(language)
    old = read_catalogue(language) if path.exists() else Catalog()
    new = Catalog(locale=language.replace("-", "_"), domain=DOMAIN, project="Forbear", fuzzy=False)
    for message in list_sentences():
        if message.id:
            known = old.get(message.id)
            new.add(message.id, known.string if known else None, locations=message.locations)
            if known is None or not all(known.string if isinstance(known.string, tuple) else (known.string,)):
                yield f"{language}: not translated: {message.id}"
    text = BytesIO()
    write_po(text, new, width=_WIDTH, omit_header=False, sort_output=False, no_location=False)
    lines = [line for line in text.getvalue().splitlines(keepends=True) if not line.startswith(_VARYING)]
    if not path.exists() or path.read_bytes() != b"".join(lines):
        if is_check:
            yield f"{language} is stale: run scripts/catalogues"
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(lines))


_VARYING = (
    b'"POT-Creation-Date',
    b'"PO-Revision-Date',
    b'"Last-Translator',
    b'"Language-Team',
    b'"Report-Msgid',
    b"# ",
)
"""Lines that differ at every run, or name whom there is not."""

if __name__ == "__main__":
    sys.exit(main())
