"""How a brand looks: colours that can be read, logos that can do nothing."""

import re
import struct
import zlib

import pytest

from forbear.domain.errors import InvalidInput
from forbear.domain.look import DARK_PAPER, LIGHT_PAPER, LOGO_BYTES_MAX, contrast, make_logo, make_look
from tests.processes import ROOT

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">{}</svg>'


def make_png(*extra: tuple[bytes, bytes], width: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            header,
            *(chunk(*one) for one in extra),
            chunk(b"IDAT", zlib.compress(b"\0ab")),
            chunk(b"IEND", b""),
        )
    )


def test_the_backgrounds_are_those_of_the_pages():
    css = (ROOT / "src/forbear/web/static/pages.css").read_text()
    assert re.findall(r"--paper: (#\w+);", css)[:2] == [LIGHT_PAPER, DARK_PAPER]


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_that_can_be_read_are_taken():
    look = make_look("#80581F", "#d9b477")
    assert (look.accent, look.accent_dark) == ("#80581f", "#d9b477")


@pytest.mark.parametrize(
    ("accent", "accent_dark", "name"),
    [
        ("#d9b477", "#d9b477", "accent"),
        ("#80581f", "#211d18", "accent_dark"),
        ("red", "#d9b477", "accent"),
        ("#80581f", "#fff", "accent_dark"),
        ("#80581f;}", "#d9b477", "accent"),
    ],
)
def test_other_colours_are_refused_by_name(accent, accent_dark, name):
    with pytest.raises(InvalidInput, match=rf"^{name}\b"):
        make_look(accent, accent_dark)


def test_a_png_keeps_its_picture_and_nothing_else():
    logo = make_logo(make_png((b"tEXt", b"Author\0somebody"), (b"eXIf", b"where")))
    assert logo.media_type == "image/png"
    assert logo.content == make_png()


@pytest.mark.parametrize(
    "content",
    [make_png()[:-3], make_png().replace(b"IDAT", b"IDAX"), make_png(width=5000), b"\x89PNG\r\n\x1a\n", b""],
)
def test_a_broken_or_huge_png_is_refused(content):
    with pytest.raises(InvalidInput):
        make_logo(content)


def test_an_svg_keeps_what_draws():
    drawn = '<defs><linearGradient id="a"><stop offset="0" stop-color="#fff"/></linearGradient></defs>'
    content = make_logo(SVG.format(f'{drawn}<path d="M0 0h9" fill="url(#a)"/>').encode()).content.decode()
    assert 'fill="url(#a)"' in content
    assert 'stop-color="#fff"' in content


@pytest.mark.parametrize(
    "harm",
    [
        "<script>alert(1)</script>",
        '<path d="M0 0" onload="alert(1)"/>',
        '<a href="https://example.com"><path d="M0 0"/></a>',
        '<image href="https://example.com/pixel"/>',
        '<use xlink:href="https://example.com#a"/>',
        "<style>@import 'https://example.com';</style>",
        '<path style="fill:url(https://example.com)"/>',
        '<path fill="url(https://example.com#a)"/>',
        "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'>alert(1)</body></foreignObject>",
        '<animate attributeName="href" to="javascript:alert(1)"/>',
        "<?xml-stylesheet href='https://example.com'?>",
    ],
)
def test_an_svg_loses_what_acts_or_reaches_out(harm):
    content = make_logo(SVG.format(f'<rect width="1"/>{harm}').encode()).content.decode()
    assert "<rect" in content
    assert not re.search(r"alert|example\.com|href|style|on\w+=", content)


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a",
        b"<html xmlns='http://www.w3.org/1999/xhtml'/>",
        b"<!DOCTYPE svg [<!ENTITY a 'aaaa'>]>" + SVG.format("&a;").encode(),
        SVG.format("<g>" * 100 + "</g>" * 100).encode(),
        SVG.format("<rect/>" * 6000).encode(),
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + b" " * LOGO_BYTES_MAX,
    ],
)
def test_what_is_no_picture_or_too_much_is_refused(content):
    with pytest.raises(InvalidInput):
        make_logo(content)
