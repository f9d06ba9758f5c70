"""What messages say: templates, one folder a message, in the language of whoever gets it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import jinja2

from forbear.language import translations_for

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message in words."""

    language: str
    subject: str
    text: str
    html: str


def render_message(kind: str, language: str, values: Mapping[str, object]) -> Rendered:
    """Say what a kind of message says; every value that its templates name must be given."""
    templates = _load_templates(language)
    subject, text, html = (
        templates.get_template(f"{kind}/{name}").render(language=language, **values)
        for name in ("subject.txt", "body.txt", "body.html")
    )
    paragraphs = re.sub(r"\n{3,}", "\n\n", text.strip())
    return Rendered(language, " ".join(subject.split()), paragraphs + "\n", html)


@lru_cache(maxsize=16)
def _load_templates(language: str) -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations, installed = translations_for(language), cast("Any", templates)
    installed.policies["ext.i18n.trimmed"] = True
    installed.install_gettext_callables(translations.ugettext, translations.ungettext, newstyle=True)
    return templates
