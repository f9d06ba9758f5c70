"""MIME as it really comes (RFC 2045, 2046, 2047, 5322): bytes become a tree of parts, and nothing is refused.

The standard library's parser costs several times as much, may raise on broken input, and has no limits.
"""

from __future__ import annotations

import re
from binascii import Error as BinaryError
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from typing import Final
from urllib.parse import unquote_to_bytes

from forbear.domain.errors import TooLarge
from forbear.feedback.limits import LIMITS, Limits

_END_OF_HEADER: Final = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_FIELD: Final = re.compile(rb"([!-9;-~]{1,80})[ \t]*:(.*)")
_PARAMETER: Final = re.compile(r';\s*([\w-]{1,40})(\*0?\*?)?\s*=\s*(?:"([^"]*)"|([^\s;"]*))')
_WORD: Final = re.compile(r"=\?([\w-]{1,30})(?:\*\w{1,9})?\?([bqBQ])\?([^?\s]*)\?=(?:\s+(?==\?))?")
_TAG: Final = re.compile(r"<(?:style|script)\b[^<]*</|<[^<>]{0,2000}>", re.IGNORECASE)
_BREAK: Final = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d)\b[^<>]{0,500}>", re.IGNORECASE)
_NESTED: Final = frozenset(("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"))
_CHARSETS: Final = re.compile(
    r"utf-?8|(us-)?ascii|iso-?8859-?\d{1,2}|latin-?1|(windows-|cp)125\d|iso-2022-(jp|kr)(-\d)?|shift_?jis|"
    r"euc-(jp|kr)|koi8-[ru]|gb2312|gbk|gb18030|big5(-hkscs)?|cp(932|437|850|866)|windows-31j|utf-?16([bl]e)?"
)
"""Those that mail is written in. Python's other codecs (zip, punycode...) are no character sets, or cost too much."""


@dataclass(frozen=True)
class Part:
    """One part: its fields in order, names in lower case, values on one line; its body; and the parts inside."""

    fields: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    parts: tuple[Part, ...] = ()
    limits: Limits = field(default=LIMITS, repr=False)

    def get(self, name: str) -> str:
        """The first value of a field, by its name in lower case; empty where there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def get_all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.fields if key == name]

    @cached_property
    def content_type(self) -> str:
        """Such as `text/plain`, in lower case."""
        return _read_type(self.get("content-type"))

    def parameter(self, name: str) -> str:
        """A parameter of the content type (RFC 2231's split forms are not needed here)."""
        return _read_parameter(self.get("content-type"), name)

    @cached_property
    def text(self) -> str:
        """The body as text, lines ended by LF, as far as the limit goes. Markup is taken out of HTML."""
        encoding = self.get("content-transfer-encoding").strip().lower()
        raw = _decode_transfer(self.body[: 2 * self.limits.text_bytes_max], encoding)
        text = _decode_charset(raw[: self.limits.text_bytes_max], self.parameter("charset"))
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return _strip_markup(text) if self.content_type == "text/html" else text

    def walk(self) -> Iterator[Part]:
        """This part and all inside, in order, but for what lies inside of returned messages."""
        yield self
        if self.content_type not in _NESTED:
            for part in self.parts:
                yield from part.walk()

    def find(self, *content_types: str) -> Part | None:
        """The first part of one of these types."""
        return next((part for part in self.walk() if part.content_type in content_types), None)

    @property
    def returned(self) -> Part | None:
        """The returned message, or its header, where it is a part of its own (RFC 6522)."""
        nested = self.find(*_NESTED)
        return nested.parts[0] if nested and nested.parts else None


def parse_message(raw: bytes, limits: Limits = LIMITS) -> Part:
    """Read a message. Raises `TooLarge`."""
    if len(raw) > limits.report_bytes_max:
        raise TooLarge(f"a report has at most {limits.report_bytes_max:,} bytes")
    return _Reader(limits).read(_strip_envelope_line(raw), 0)


def decode_words(value: str) -> str:
    """A field's value with its encoded words read (RFC 2047)."""
    return _WORD.sub(_decode_word, value) if "=?" in value else value


class _Reader:
    """Reads one message; counts its parts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0

    def read(self, raw: bytes, depth: int) -> Part:
        self._count += 1
        if self._count > self._limits.parts_max or depth > self._limits.depth_max:
            raise TooLarge(f"a report has at most {self._limits.parts_max} parts, {self._limits.depth_max} deep")
        end = _END_OF_HEADER.search(raw)
        head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")
        fields = tuple(_read_fields(head[: self._limits.header_bytes_max]))
        content_type = next((value for name, value in fields if name == "content-type"), "")
        return Part(fields, body, tuple(self._read_inside(content_type, fields, body, depth)), self._limits)

    def _read_inside(
        self, content_type: str, fields: tuple[tuple[str, str], ...], body: bytes, depth: int
    ) -> Iterator[Part]:
        kind = _read_type(content_type)
        if kind.startswith("multipart/"):
            boundary = _read_parameter(content_type, "boundary").encode("latin-1", "replace")
            for piece in _split(body, boundary):
                yield self.read(piece, depth + 1)
        elif kind in _NESTED:
            encoding = next((value for name, value in fields if name == "content-transfer-encoding"), "")
            yield self.read_returned(_decode_transfer(body, encoding.strip().lower()))

    def read_returned(self, raw: bytes) -> Part:
        """A returned message: its header counts, and what it holds is not looked into."""
        end = _END_OF_HEADER.search(raw.lstrip(b"\r\n"))
        raw = raw.lstrip(b"\r\n")
        head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")
        return Part(tuple(_read_fields(head[: self._limits.header_bytes_max])), body, (), self._limits)


def parse_fields(text: str) -> tuple[tuple[str, str], ...]:
    """Fields that stand in a text, as in the groups of a report."""
    return tuple(_read_fields(text.encode("utf-8", "surrogatepass")))


def _strip_envelope_line(raw: bytes) -> bytes:
    raw = raw.lstrip(b"\r\n")
    return raw.partition(b"\n")[2] if raw.startswith((b"From ", b">From ")) else raw


def _read_fields(head: bytes) -> Iterator[tuple[str, str]]:
    for line in _FOLD.sub(b" ", head).splitlines():
        found = _FIELD.match(line)
        if found:
            yield found[1].decode("ascii").lower(), _read_value(found[2].strip())


def _read_value(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _read_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower() or "text/plain"


def _read_parameter(content_type: str, name: str) -> str:
    for found in _PARAMETER.finditer(content_type):
        if found[1].lower() == name:
            value = found[3] if found[3] is not None else found[4]
            return unquote_to_bytes(value.rpartition("'")[2]).decode("latin-1") if found[2] else value
    return ""


def _split(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """The pieces between the lines of a boundary; the last may lack its end (RFC 2046, section 5.1.1)."""
    begin: int | None = None
    for place, after in _find_lines(body, b"--" + boundary) if boundary else ():
        if begin is not None:
            yield body[begin:place].removesuffix(b"\n").removesuffix(b"\r")
        end = body.find(b"\n", after)
        if body.startswith(b"--", after) or end < 0:
            return
        begin = end + 1
    if begin is not None:
        yield body[begin:]


def _find_lines(body: bytes, mark: bytes) -> Iterator[tuple[int, int]]:
    """Where lines stand that are this mark, with or without the two hyphens that end a multipart."""
    place = 0 if body.startswith(mark) else body.find(b"\n" + mark) + 1
    is_there = body.startswith(mark)
    while is_there or place:
        after = place + len(mark)
        # One boundary may be the beginning of another.
        if body.startswith(b"--", after) or not body[after : after + 1].strip():
            yield place, after
        place, is_there = body.find(b"\n" + mark, after) + 1, False


def _decode_transfer(raw: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        try:
            return a2b_base64(raw)
        except BinaryError:
            # A cut end is the usual fault: whole quanta before it are good.
            clean = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
            return a2b_base64(clean[: len(clean) // 4 * 4])
    return a2b_qp(raw) if encoding == "quoted-printable" else raw


def _decode_charset(raw: bytes, charset: str) -> str:
    name = charset.strip().lower()
    if _CHARSETS.fullmatch(name) and name not in {"utf-8", "utf8", "us-ascii", "ascii"}:
        try:
            return raw.decode(name, "replace")
        except LookupError:
            pass
    return _read_value(raw)


def _decode_word(found: re.Match[str]) -> str:
    charset, encoding, text = found.groups()
    raw = text.encode("utf-8", "surrogatepass")
    decoded = _decode_transfer(raw, "base64") if encoding in "bB" else a2b_qp(raw, header=True)
    return _decode_charset(decoded, charset)


def _strip_markup(text: str) -> str:
    return unescape(_TAG.sub(" ", _BREAK.sub("\n", text)))
