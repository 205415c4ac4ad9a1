"""Labels as keywords, and favourites as ratings, in XMP sidecar files, which photo programs read; no photo is changed.

The keywords go into `photo.jpg.xmp`, the name that digiKam, darktable, Immich and PhotoPrism give a sidecar and that is
unambiguous where a RAW file and a JPEG share a name. Adobe's form, `photo.xmp`, is read by Lightroom for RAW files only
(of a JPEG it reads nothing but the file itself). Where such a file exists and belongs to no other photo, it is
continued instead of starting a second one.

An existing sidecar is not parsed into a tree and written anew: keywords are spliced into its bytes, and whatever else
it holds, down to the spaces, stays as it is.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape

from vitsearch.errors import HeadError, in_words
from vitsearch.heads.head import check_labels
from vitsearch.storage.atomic import Draft, sync_folder
from vitsearch.storage.shared_files import is_written_to

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_SUBJECT = (_DC, "subject")
_XMP = "http://ns.adobe.com/xap/1.0/"
_RATING = (_XMP, "Rating")
# digiKam and Lightroom read their own list before dc:subject, so that where one exists it must be kept in step.
_OTHER_LISTS = (
    ("http://www.digikam.org/ns/1.0/", "TagsList"),
    ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject"),
)
_CONTAINERS = ((_RDF, "Bag"), (_RDF, "Seq"), (_RDF, "Alt"))

# Sidecars with drawn masks have some megabytes; of one as large as this, 150 MB are in memory at most.
_LARGEST_SIDECAR = 8 * 2**20
_MOST_ELEMENTS = 100_000
# How often a sidecar that another program has changed meanwhile is read again.
_TRIES, _PAUSE_SECONDS = 8, 0.02
_DEEPEST = 200
_START_TAG = re.compile(rb"<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*(/?)>")

_ATTRIBUTE = re.compile(rb"\s([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")

_EMPTY = f"""<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="vitsearch">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()


@dataclass(frozen=True, slots=True)
class SidecarChange:
    """What happened to a sidecar: the keywords that were new to it and those that were taken out."""

    path: Path
    added: tuple[str, ...]
    removed: tuple[str, ...]


def sidecar_path(photo: Path) -> Path:
    """Return where the keywords of a photo belong: `photo.jpg.xmp`, or an existing `photo.xmp` that is its own."""
    full = photo.with_name(photo.name + ".xmp")
    short = photo.with_suffix(".xmp")
    if full.exists() or not short.is_file() or short == photo:
        return full
    shared = any(
        path.stem == photo.stem and path.name not in (photo.name, short.name)
        for path in photo.parent.iterdir()
    )
    return full if shared else short


def read_keywords(photo: Path) -> tuple[str, ...]:
    """Return the keywords in a photo's sidecar, in its order; none if there is no sidecar.

    Raises `HeadError` when the sidecar is not XMP.
    """
    path = sidecar_path(photo)
    if not path.exists():
        return ()
    return tuple(keyword for _, keyword in _keywords(_find_list(_parse(_read(path), path), _SUBJECT)))


def write_keywords(photo: Path, keywords: Sequence[str], *, remove: Collection[str] = ()) -> SidecarChange:
    """Add keywords to a photo's sidecar and take others out; everything else in it stays.

    `remove` is for labels that were written before and are wrong now. Nothing is written when nothing changes.
    Raises `HeadError` when the photo has gone, or the sidecar is not XMP, is a symbolic link, or cannot be written.
    """
    if keywords:
        check_labels(list(dict.fromkeys(keywords)))
    gone = set(remove) - set(keywords)
    path, root, _ = _rewritten(photo, lambda root, content, path: _edits(root, content, path, keywords, gone))
    present = [keyword for _, keyword in _keywords(_find_list(root, _SUBJECT))]
    added = tuple(keyword for keyword in dict.fromkeys(keywords) if keyword not in present)
    removed = tuple(keyword for keyword in present if keyword in gone)
    return SidecarChange(path, added, removed)


def write_rating(photo: Path, stars: int) -> bool:
    """Put a rating of 1 to 5 stars into a photo's sidecar; everything else in it stays. Returns whether it is new.

    Raises `HeadError` as `write_keywords`.
    """
    return _rewritten(photo, lambda root, content, path: _rating_edits(root, content, path, str(stars)))[2]


def _rewritten(
    photo: Path, edits_of: Callable[[_Element, bytes, Path], list[_Edit]]
) -> tuple[Path, _Element, bool]:
    """Edit a photo's sidecar as it is when it is written; return where it is, what was in it, and if it has changed.

    What another program saves meanwhile is read again. Raises `HeadError`.
    """
    for tries in range(_TRIES):
        path, content, root = _sidecar(photo)
        edits = edits_of(root, _EMPTY if content is None else content, path)
        if not edits or _write(path, content, _splice(_EMPTY if content is None else content, edits)):
            return path, root, bool(edits)
        time.sleep(_PAUSE_SECONDS * tries)
    raise HeadError(f"another program keeps changing {path}: try again when it has finished")


def _sidecar(photo: Path) -> tuple[Path, bytes | None, _Element]:
    """Return where a photo's sidecar is or will be, what is in it if it is there, and its outermost element.

    Raises `HeadError` if it cannot be written, or there is no photo that it would belong to.
    """
    if not photo.is_file():
        raise HeadError(f"{photo} is not there any more: run `vitsearch index`, and try again")
    path = sidecar_path(photo)
    if path.is_symlink():
        raise HeadError(f"{path} is a symbolic link: write to the file that it stands for, or remove it")
    content = _read(path) if path.exists() else None
    return path, content, _parse(_EMPTY if content is None else content, path)


def _write(path: Path, before: bytes | None, after: bytes) -> bool:
    """Write a sidecar if it is what it was before (None: not there); return whether it was. Raises `HeadError`."""
    try:
        draft = Draft(path)
        try:
            draft.file.write(after)
            draft.finish()
            if before is not None:
                return draft.publish_over(lambda found: _is_still(found, before))
            draft.publish(new=True)
        except (FileExistsError, FileNotFoundError):  # made, or removed, at that moment
            return False
        finally:
            draft.discard()
            sync_folder(path.parent)
    except OSError as error:
        raise HeadError(f"cannot write {path}: {error.strerror or error}") from error
    return True


def _is_still(path: Path, before: bytes) -> bool:
    """Whether a file is what was read, and nobody is about to write something else into it."""
    if path.is_symlink():
        return False
    with path.open("rb") as file:
        return not is_written_to(file) and file.read(len(before) + 1) == before


@dataclass(slots=True)
class _Element:
    """An element and where in the bytes it is: start tag `start` to `inner`, end tag `close` to `end`."""

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
    children: list[_Element] = field(default_factory=list)

    def walk(self) -> Iterator[_Element]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    content: bytes


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SIDECAR + 1)
    except OSError as error:
        raise HeadError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _LARGEST_SIDECAR:
        raise HeadError(f"{path} is too large for a sidecar: look at it, or remove it")
    return content


def _parse(content: bytes, path: Path) -> _Element:
    """Return the outermost element of a sidecar. Entities are never expanded: a document type is refused."""
    try:
        content.decode("utf-8")
        return _Outline(content).root()
    except (ExpatError, ValueError) as error:
        raise HeadError(
            f"{path} is not an XMP sidecar in UTF-8 ({in_words(error)}): mend or remove it"
        ) from error


class _Outline:
    """Expat's events, gathered into elements with byte positions."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._open: list[_Element] = []
        self._root: _Element | None = None
        self._count = 0
        self._parser = ParserCreate("utf-8", namespace_separator=" ")
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True  # each piece of a text on its own would be copied again and again
        self._parser.buffer_size = 1 << 16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def root(self) -> _Element:
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
        element = _Element((uri, local), prefix, start, tag.end(), tag[1] == b"/")
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
    """Namespace, local name and prefix, as expat joins them."""
    uri, local, prefix = ([*name.split(" "), ""] if " " in name else ["", name, ""])[:3]
    return uri, local, prefix


def _find_list(root: _Element, name: tuple[str, str]) -> _Element | None:
    return next((element for element in root.walk() if element.name == name), None)


def _container(subject: _Element) -> _Element | None:
    return next((child for child in subject.children if child.name in _CONTAINERS), None)


def _keywords(subject: _Element | None) -> list[tuple[_Element, str]]:
    container = _container(subject) if subject else None
    if container is None:
        return []
    return [(item, item.text.strip()) for item in container.children if item.name == (_RDF, "li")]


def _edits(
    root: _Element, content: bytes, path: Path, keywords: Sequence[str], gone: Collection[str]
) -> list[_Edit]:
    edits: list[_Edit] = []
    for name in (_SUBJECT, *_OTHER_LISTS):
        subject = _find_list(root, name)
        if subject is None:
            if name == _SUBJECT and keywords:
                edits.append(_new_subject(root, path, keywords))
            continue
        present = _keywords(subject)
        edits += [_removal(content, item) for item, keyword in present if keyword in gone]
        known = {keyword for _, keyword in present}
        new = [keyword for keyword in dict.fromkeys(keywords) if keyword not in known]
        if new:
            edits.append(_addition(content, subject, present, new))
    return edits


def _rating_edits(root: _Element, content: bytes, path: Path, stars: str) -> list[_Edit]:
    """An attribute or an element that is there is changed, or an element is put into the first rdf:Description."""
    for element in root.walk():
        if element.name == _RATING:
            if element.text.strip() == stars:
                return []
            if element.empty:
                return [_insert(element, stars, at=element.close)]
            return [_Edit(element.inner, element.close, stars.encode())]
        if _RATING in element.attributes:
            prefix, value = element.attributes[_RATING]
            if value.strip() == stars:
                return []
            name = f"{prefix}:{_RATING[1]}".encode()
            # One attribute after the other: the value of another one may look like it.
            found = next(
                one for one in _ATTRIBUTE.finditer(content, element.start, element.inner) if one[1] == name
            )
            return [_Edit(found.start(2), found.end(2), f'"{stars}"'.encode())]
    parent = _description(root, path)
    rating = f'\n   <xmp:Rating xmlns:xmp="{_XMP}">{stars}</xmp:Rating>\n  '
    return [_insert(parent, rating, at=parent.close)]


def _new_subject(root: _Element, path: Path, keywords: Sequence[str]) -> _Edit:
    """Put a dc:subject at the end of the first rdf:Description."""
    parent = _description(root, path)
    items = _items(list(dict.fromkeys(keywords)), "rdf", "\n     ")
    bag = f"\n    <rdf:Bag>{items}\n    </rdf:Bag>\n   "
    subject = f'\n   <dc:subject xmlns:dc="{_DC}" xmlns:rdf="{_RDF}">{bag}</dc:subject>'
    return _insert(parent, f"{subject}\n  ", at=parent.close)


def _description(root: _Element, path: Path) -> _Element:
    """The first rdf:Description."""
    parent = next(
        (
            child
            for element in root.walk()
            if element.name == (_RDF, "RDF")
            for child in element.children
            if child.name == (_RDF, "Description")
        ),
        None,
    )
    if parent is None:
        raise HeadError(f"{path} is no XMP sidecar: it has no rdf:Description; mend or remove it")
    return parent


def _addition(
    content: bytes, subject: _Element, present: list[tuple[_Element, str]], keywords: Sequence[str]
) -> _Edit:
    container = _container(subject)
    if container is None:
        # A lone text in place of a list is some program's only keyword: it becomes the list's first.
        lone = [subject.text.strip()] if subject.text.strip() else []
        bag = f'<rdf:Bag xmlns:rdf="{_RDF}">{_items([*lone, *keywords], "rdf", "")}</rdf:Bag>'
        if subject.empty:
            return _insert(subject, bag, at=subject.close)
        return _Edit(subject.inner, subject.close, bag.encode())
    last = present[-1][0] if present else None
    indent = _space_before(content, last.start) if last else ""
    items = _items(keywords, container.prefix, indent)
    return _insert(container, items, at=last.end if last else container.inner)


def _insert(element: _Element, text: str, *, at: int) -> _Edit:
    """Insert into an element, which is opened up first if it is written as `<empty/>`."""
    if not element.empty:
        return _Edit(at, at, text.encode())
    name = f"{element.prefix}:{element.name[1]}" if element.prefix else element.name[1]
    return _Edit(element.inner - 2, element.inner, f">{text}</{name}>".encode())


def _items(keywords: Sequence[str], prefix: str, indent: str) -> str:
    name = f"{prefix}:li" if prefix else "li"
    return "".join(f"{indent}<{name}>{escape(keyword)}</{name}>" for keyword in keywords)


def _removal(content: bytes, item: _Element) -> _Edit:
    return _Edit(item.start - len(_space_before(content, item.start)), item.end, b"")


def _space_before(content: bytes, at: int) -> str:
    before = content[:at]
    return before[len(before.rstrip()) :].decode()


def _splice(content: bytes, edits: list[_Edit]) -> bytes:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        content = content[: edit.start] + edit.content + content[edit.end :]
    return content
