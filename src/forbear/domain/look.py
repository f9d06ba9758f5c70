"""How a brand looks on its pages: two accent colours that can be read, and a logo that can do nothing.

A colour has to stand out from the background that it lies on by 4.5 to 1 (WCAG 2.2, criterion 1.4.3), because text
is written in it. A logo is rebuilt from what is known to be harmless: of a PNG (ISO/IEC 15948) the chunks that hold
the picture, of an SVG the elements and attributes that draw. Whatever else stood in the file is gone.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET
from xml.parsers import expat

from forbear.domain.errors import InvalidInput

LIGHT_PAPER: Final = "#faf7f2"
DARK_PAPER: Final = "#191614"
"""The backgrounds of the pages; a test compares them with the stylesheet."""
CONTRAST_MIN: Final = 4.5
LOGO_BYTES_MAX: Final = 128 * 1024
_PIXELS_MAX: Final = 4096
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NEARLY_BLACK: Final = 0.04045
"""Up to here sRGB is linear (IEC 61966-2-1)."""


@dataclass(frozen=True, slots=True)
class Look:
    """A brand's accent colours, `#rrggbb`: one for the light background, one for the dark."""

    accent: str
    accent_dark: str


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture that was made safe, and its type."""

    media_type: str
    content: bytes


def make_look(accent: str, accent_dark: str) -> Look:
    """Check colours. Raises `InvalidInput` that says which one cannot be read on its background."""
    for name, colour, paper in (("accent", accent, LIGHT_PAPER), ("accent_dark", accent_dark, DARK_PAPER)):
        if not _COLOUR.fullmatch(colour):
            raise InvalidInput(f"{name} is a colour such as #80581f")
        ratio = contrast(colour, paper)
        if ratio < CONTRAST_MIN:
            raise InvalidInput(
                f"{name}: {colour} stands out from {paper} by {ratio:.1f} to 1 only; text needs {CONTRAST_MIN} to 1"
            )
    return Look(accent.lower(), accent_dark.lower())


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= _NEARLY_BLACK else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def make_logo(content: bytes) -> Logo:
    """Rebuild a PNG or an SVG from its harmless parts. Raises `InvalidInput`."""
    if len(content) > LOGO_BYTES_MAX:
        raise InvalidInput(f"a logo has {LOGO_BYTES_MAX // 1024} KiB at most")
    if content.startswith(_PNG):
        return Logo("image/png", _rebuild_png(content))
    return Logo("image/svg+xml", _rebuild_svg(content))


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _rebuild_png(content: bytes) -> bytes:
    kept = [_PNG]
    place, name = len(_PNG), b""
    while name != b"IEND":
        length = int.from_bytes(content[place : place + 4])
        name, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        check = content[place + 8 + length : place + 12 + length]
        if len(check) < 4 or int.from_bytes(check) != zlib.crc32(name + body):  # noqa: PLR2004 - octets of a CRC
            raise InvalidInput("the logo is a broken PNG")
        if place == len(_PNG) and (name != b"IHDR" or not _is_size_fit(body)):
            raise InvalidInput(f"the logo is no PNG of at most {_PIXELS_MAX} pixels a side")
        if name in _PNG_KEPT:
            kept.append(content[place : place + 12 + length])
        place += 12 + length
    return b"".join(kept)


def _is_size_fit(header: bytes) -> bool:
    if len(header) != 13:  # noqa: PLR2004 - what IHDR has
        return False
    return all(1 <= side <= _PIXELS_MAX for side in struct.unpack(">II", header[:8]))


_SVG: Final = "http://www.w3.org/2000/svg"
_DRAWING_ELEMENTS = (
    "svg g defs title desc path rect circle ellipse line polyline polygon text tspan linearGradient radialGradient "
    "stop clipPath mask"
)
_DRAWING_ATTRIBUTES = (
    "id viewBox width height x y x1 y1 x2 y2 cx cy r rx ry fx fy d points transform fill fill-opacity fill-rule "
    "stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit stroke-dasharray "
    "stroke-dashoffset opacity offset stop-color stop-opacity gradientUnits gradientTransform spreadMethod clip-path "
    "clip-rule mask clipPathUnits maskUnits maskContentUnits font-family font-size font-weight font-style "
    "letter-spacing text-anchor dominant-baseline preserveAspectRatio dx dy version"
)
_ELEMENTS: Final = frozenset(_DRAWING_ELEMENTS.split())
_ATTRIBUTES: Final = frozenset(_DRAWING_ATTRIBUTES.split())
# Values name colours, numbers and places of the same picture; a url() leads to a part of it and nowhere else.
_OWN_PART = re.compile(r"url\(\s*['\"]?#[\w-]+['\"]?\s*\)")
_OUTWARD = re.compile(r"url|javascript|data:|//|@import|expression|&|\\", re.IGNORECASE)
_DEPTH_MAX: Final = 64
_NODES_MAX: Final = 5000


def _rebuild_svg(content: bytes) -> bytes:
    root = _parse_svg(content)
    if root.tag != f"{{{_SVG}}}svg":
        raise InvalidInput("the logo is neither a PNG nor an SVG")
    ET.register_namespace("", _SVG)
    budget = [_NODES_MAX]
    rebuilt: bytes = ET.tostring(_copy_safely(root, _DEPTH_MAX, budget), encoding="utf-8", xml_declaration=False)
    return rebuilt


def _parse_svg(content: bytes) -> ET.Element:
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = lambda tag, attributes: builder.start(_qualify(tag), _qualify_all(attributes))
    parser.EndElementHandler = lambda tag: builder.end(_qualify(tag))
    parser.CharacterDataHandler = builder.data
    # Without a document type there are no entities, and so nothing that grows or is fetched.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, AssertionError) as error:
        raise InvalidInput("the logo is neither a PNG nor an SVG") from error


def _refuse_doctype(*_: object) -> None:
    raise InvalidInput("an SVG with a document type is not taken; save it without")


def _qualify(name: str) -> str:
    return "{" + name if "}" in name else name


def _qualify_all(attributes: Mapping[str, str]) -> dict[str, str]:
    return {_qualify(name): value for name, value in attributes.items()}


def _copy_safely(element: ET.Element, depth: int, budget: list[int]) -> ET.Element:
    budget[0] -= 1
    if depth == 0 or budget[0] < 0:
        raise InvalidInput("the logo has too many parts")
    safe = ET.Element(
        element.tag,
        {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES and _is_inward(value)},
    )
    safe.text, safe.tail = element.text, element.tail
    for child in element:
        if child.tag.startswith(f"{{{_SVG}}}") and child.tag.partition("}")[2] in _ELEMENTS:
            safe.append(_copy_safely(child, depth - 1, budget))
    return safe


def _is_inward(value: str) -> bool:
    return not _OUTWARD.search(_OWN_PART.sub("", value))
