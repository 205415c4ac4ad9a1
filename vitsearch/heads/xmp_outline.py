"""XMP as elements with byte positions, so that edits leave everything else unchanged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError, ParserCreate

from vitsearch.errors import HeadError, in_words
from vitsearch.photos.xmp import encoding_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MOST_ELEMENTS = 100_000
_DEEPEST = 200
_START_TAG = re.compile(rb"<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*(/?)>")


@dataclass(slots=True)
class Element:
    """An element and its byte positions: start tag `start` to `inner`, end tag `close` to `end`."""

    name: tuple[str, str]
    prefix: str
    start: int
    inner: int
    empty: bool
    close: int = -1
    end: int = -1
    text: str = ""
    attributes: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Prefix and value, by name."""
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """Yield the element and all elements below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of some bytes."""

    start: int
    end: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """An XMP file: its text in UTF-8, which all positions refer to, its original encoding, and its root element."""

    content: bytes
    codec: str
    root: Element

    @classmethod
    def parsed(cls, raw: bytes, path: Path) -> Document:
        """Parse a file; a document type is refused, so that entities are never expanded. Raises `HeadError`."""
        codec = encoding_of(raw)
        try:
            content = raw.decode(codec)  # which checks UTF-8, too
            utf_8 = raw if codec == "utf-8" else content.encode()
            return cls(utf_8, codec, _Outline(utf_8).root())
        except (ExpatError, ValueError) as error:
            raise HeadError(
                f"{path} is not an XMP sidecar in UTF-8 or UTF-16 ({in_words(error)}): mend or remove it"
            ) from error

    def edited(self, edits: Sequence[Edit]) -> bytes:
        """Return the edited file in its original encoding; characters that it lacks become numeric references."""
        content = self.content
        for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
            content = content[: edit.start] + edit.content + content[edit.end :]
        return content if self.codec == "utf-8" else content.decode().encode(self.codec, "xmlcharrefreplace")

    def space_before(self, at: int) -> str:
        """Return the whitespace immediately before a position."""
        before = self.content[:at]
        return before[len(before.rstrip()) :].decode()

    def removal(self, element: Element) -> Edit:
        """Return the edit that removes an element and the whitespace before it."""
        return Edit(element.start - len(self.space_before(element.start)), element.end, b"")


def insert(element: Element, text: str, *, at: int) -> Edit:
    """Return the edit that inserts into an element, which is expanded if it is written as `<empty/>`."""
    if not element.empty:
        return Edit(at, at, text.encode())
    name = f"{element.prefix}:{element.name[1]}" if element.prefix else element.name[1]
    return Edit(element.inner - 2, element.inner, f">{text}</{name}>".encode())


class _Outline:
    """Collects expat's events into elements with byte positions."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._open: list[Element] = []
        self._root: Element | None = None
        self._count = 0
        self._parser = ParserCreate("utf-8", namespace_separator=" ")
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True  # each piece of a text on its own would be copied again and again
        self._parser.buffer_size = 1 << 16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def root(self) -> Element:
        self._parser.Parse(self._content, True)  # noqa: FBT003 - expat's own signature
        assert self._root is not None
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        uri, local, prefix = _name_parts(name)
        start = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._content, start)
        self._count += 1
        if tag is None or len(self._open) >= _DEEPEST or self._count > _MOST_ELEMENTS:
            raise ValueError(f"cannot follow its elements at byte {start}")
        element = Element((uri, local), prefix, start, tag.end(), tag[1] == b"/")
        for attribute, value in attributes.items():
            uri, local, prefix = _name_parts(attribute)
            element.attributes[uri, local] = (prefix, value)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        del name
        element = self._open.pop()
        if element.empty:
            element.close = element.end = element.inner
        else:
            element.close = self._parser.CurrentByteIndex
            element.end = self._content.index(b">", element.close) + 1

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _doctype(self, *declaration: object) -> None:
        del declaration
        raise ValueError("it declares a document type")


def _name_parts(name: str) -> tuple[str, str, str]:
    """Split a name from expat into namespace, local name and prefix."""
    uri, local, prefix = ([*name.split(" "), ""] if " " in name else ["", name, ""])[:3]
    return uri, local, prefix
