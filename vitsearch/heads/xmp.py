"""Labels as keywords, and favourites as ratings, in XMP sidecar files, which photo programs read; no photo is changed.

The keywords go into `photo.jpg.xmp`, the name that digiKam, darktable, Immich and PhotoPrism give a sidecar and that is
unambiguous where a RAW file and a JPEG share a name. Adobe's form, `photo.xmp`, is read by Lightroom for RAW files only
(of a JPEG it reads nothing but the file itself). Where such a file exists and belongs to no other photo, it is
continued instead of starting a second one; either may be spelt in capitals.

An existing sidecar is not parsed into a tree and written anew: keywords are spliced into its bytes, and whatever else
it holds, down to the spaces, stays as it is.

Which keywords are a head's is written into the sidecar too, as a list of "head/keyword" in a namespace of our own, as
each of the others has one for what is its alone; they keep what they do not know. So the note goes wherever the sidecar
goes, and with it when somebody makes a new one. A keyword that was there before, or that stands in a hierarchy as well,
is a person's: it is never noted, or not any more.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from vitsearch.errors import HeadError
from vitsearch.heads.head import check_labels
from vitsearch.heads.xmp_outline import Document, Edit, Element, insert
from vitsearch.photos.sidecars import SidecarFolders
from vitsearch.storage.atomic import Draft, sync_folder
from vitsearch.storage.shared_files import is_written_to

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_SUBJECT = (_DC, "subject")
_XMP = "http://ns.adobe.com/xap/1.0/"
_RATING = (_XMP, "Rating")
# digiKam and Lightroom read lists of their own before dc:subject: where one exists it must be kept in step. What stands
# between the levels of their keywords is the last column.
_OTHER_LISTS = (
    (("http://www.digikam.org/ns/1.0/", "TagsList"), "/"),
    (("http://ns.microsoft.com/photo/1.0/", "LastKeywordXMP"), "/"),
    (("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject"), "|"),
    (("http://ns.iview-multimedia.com/mediapro/1.0/", "CatalogSets"), "|"),
)
_OURS = "vitsearch:ns:1.0/"
_NOTED = (_OURS, "Keywords")
_CONTAINERS = ((_RDF, "Bag"), (_RDF, "Seq"), (_RDF, "Alt"))

# Sidecars with drawn masks have some megabytes; of one as large as this, 150 MB are in memory at most.
_LARGEST_SIDECAR = 8 * 2**20
# How often a sidecar that another program has changed meanwhile is read again.
_TRIES, _PAUSE_SECONDS = 8, 0.02
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
    """Return where the keywords of a photo belong, as `SidecarFolders` does for many."""
    return SidecarFolders().sidecar_path(photo)


def read_keywords(photo: Path) -> tuple[str, ...]:
    """Return the keywords in a photo's sidecar, in its order; none if there is no sidecar, or nothing in it.

    Raises `HeadError` when the sidecar is not XMP.
    """
    path = sidecar_path(photo)
    content = _read(path) if path.exists() else b""
    return tuple(_present(Document.parsed(content, path).root)) if content.strip() else ()


def write_keywords(photo: Path, keywords: Sequence[str], *, remove: Collection[str] = ()) -> SidecarChange:
    """Add keywords to a photo's sidecar and take others out; everything else in it stays.

    Nothing is written when nothing changes.
    Raises `HeadError` when the photo has gone, or the sidecar is not XMP, is a symbolic link, or cannot be written.
    """
    if keywords:
        check_labels(list(dict.fromkeys(keywords)))
    gone = set(remove) - set(keywords)

    def edits_of(document: Document, path: Path) -> list[Edit]:
        return _edits(document, path, list(dict.fromkeys(keywords)), gone, None)

    written = _rewritten(photo, edits_of, SidecarFolders())
    present = _present(written.before)
    return SidecarChange(
        written.path,
        tuple(keyword for keyword in dict.fromkeys(keywords) if keyword not in present),
        tuple(keyword for keyword in present if keyword in gone),
    )


def write_labels(
    photo: Path, labels: Sequence[str], *, head: str, folders: SidecarFolders | None = None
) -> SidecarChange:
    """Make what a head says of a photo now the head's keywords in its sidecar.

    What the head wrote there before and does not say any more is taken out, unless another head wrote it as well or it
    is a person's; no labels take all of it out. Nothing is written when nothing changes.
    Raises `HeadError` as `write_keywords`.
    """
    if labels:
        check_labels(list(dict.fromkeys(labels)))
    head, wanted = head.strip(), list(dict.fromkeys(label.strip() for label in labels))
    places = folders or SidecarFolders()
    if not wanted and not _may_be_noted(places.sidecar_path(photo)):
        return SidecarChange(places.sidecar_path(photo), (), ())

    def edits_of(document: Document, path: Path) -> list[Edit]:
        gone, noted = _taken_back(document.root, wanted, head)
        return _edits(document, path, wanted, gone, noted)

    written = _rewritten(photo, edits_of, places)
    present = _present(written.before)
    gone, _ = _taken_back(written.before, wanted, head)
    added = tuple(label for label in wanted if label not in present)
    return SidecarChange(written.path, added, tuple(keyword for keyword in present if keyword in gone))


def write_rating(photo: Path, stars: int, *, folders: SidecarFolders | None = None) -> bool:
    """Put a rating of 1 to 5 stars into a photo's sidecar; everything else in it stays. Returns whether it is new.

    Raises `HeadError` as `write_keywords`.
    """
    return _rewritten(
        photo, lambda document, path: _rating_edits(document, path, str(stars)), folders or SidecarFolders()
    ).is_new


@dataclass(frozen=True, slots=True)
class _Written:
    """A sidecar, what was in it before, and whether that has changed."""

    path: Path
    before: Element
    is_new: bool


def _rewritten(
    photo: Path, edits_of: Callable[[Document, Path], list[Edit]], folders: SidecarFolders
) -> _Written:
    """Edit a photo's sidecar as it is when it is written.

    What another program saves meanwhile is read again. Raises `HeadError`.
    """
    if not photo.is_file():
        raise HeadError(f"{photo} is not there any more: run `vitsearch index`, and try again")
    for tries in range(_TRIES):
        path = folders.sidecar_path(photo)
        content = _read(path) if path.exists() else None
        # An empty file is what a full disk or a cancelled copy leaves: there is nothing in it to be kept.
        document = Document.parsed(content if content and content.strip() else _EMPTY, path)
        edits = edits_of(document, path)
        if edits and path.is_symlink():
            raise HeadError(f"{path} is a symbolic link: write to the file that it stands for, or remove it")
        if not edits or _write(path, content, document.edited(edits)):
            return _Written(path, document.root, bool(edits))
        folders.forget(photo.parent)
        time.sleep(_PAUSE_SECONDS * tries)
    raise HeadError(f"another program keeps changing {path}: try again when it has finished")


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


def _may_be_noted(path: Path) -> bool:
    """Whether a sidecar may name keywords that are a head's, in whatever encoding; one that cannot be read may not."""
    try:
        content = _read(path) if path.exists() else b""
    except HeadError:
        return False
    return _OURS.encode() in content.replace(b"\0", b"")


def _read(path: Path) -> bytes:
    if not path.is_file():  # nobody may ever write to a pipe
        raise HeadError(f"{path} is no file that could be a sidecar: look at it, or remove it")
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SIDECAR + 1)
    except OSError as error:
        raise HeadError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _LARGEST_SIDECAR:
        raise HeadError(f"{path} is too large for a sidecar: look at it, or remove it")
    return content


def _find_list(root: Element, name: tuple[str, str]) -> Element | None:
    return next((element for element in root.walk() if element.name == name), None)


def _container(subject: Element) -> Element | None:
    return next((child for child in subject.children if child.name in _CONTAINERS), None)


def _keywords(subject: Element | None) -> list[tuple[Element, str]]:
    container = _container(subject) if subject else None
    if container is None:
        return []
    return [(item, item.text.strip()) for item in container.children if item.name == (_RDF, "li")]


def _present(root: Element) -> list[str]:
    return [keyword for _, keyword in _keywords(_find_list(root, _SUBJECT))]


def _notes(root: Element) -> list[tuple[str, str]]:
    """The heads that wrote keywords, each with one of these."""
    notes = (note.partition("/") for _, note in _keywords(_find_list(root, _NOTED)))
    return [(head, keyword) for head, _, keyword in notes]


def _taken_back(
    root: Element, wanted: Sequence[str], head: str
) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """Return what a head takes out of the keywords, and the notes of who wrote which that are true then."""
    present = set(_present(root))
    # Of a keyword that is not there any more, a person has taken care.
    noted = [(writer, keyword) for writer, keyword in _notes(root) if keyword in present]
    others = [(writer, keyword) for writer, keyword in noted if writer != head]
    written = {keyword for _, keyword in noted}
    own = {keyword for writer, keyword in noted if writer == head}
    kept = {keyword for _, keyword in others} | _in_hierarchies(root)
    notes = [(head, keyword) for keyword in wanted if keyword not in present or keyword in written]
    return frozenset(own - set(wanted) - kept), [*others, *notes]


def _in_hierarchies(root: Element) -> set[str]:
    """The keywords that somebody has put into a tree: "Rome" of "Places/Rome"."""
    ours = {keyword for _, keyword in _notes(root)}  # a label may look like a branch
    levels = (
        keyword.split(between)
        for name, between in _OTHER_LISTS
        for _, keyword in _keywords(_find_list(root, name))
        if keyword not in ours
    )
    return {level.strip() for path in levels if len(path) > 1 for level in path}


def _edits(
    document: Document,
    path: Path,
    keywords: Sequence[str],
    gone: Collection[str],
    notes: list[tuple[str, str]] | None,
) -> list[Edit]:
    """Add keywords to all lists that there are, take others out, and make these the notes of whose they are."""
    root = document.root
    edits: list[Edit] = []
    new_lists: list[str] = []
    filed = _in_hierarchies(root)
    for name in (_SUBJECT, *(name for name, _ in _OTHER_LISTS)):
        subject = _find_list(root, name)
        if subject is None:
            if name == _SUBJECT and keywords:
                new_lists.append(_list("dc", _SUBJECT, keywords))
            continue
        present = _keywords(subject)
        edits += [document.removal(item) for item, keyword in present if keyword in gone]
        known = {keyword for _, keyword in present} | (filed if name != _SUBJECT else set())
        new = [keyword for keyword in keywords if keyword not in known]
        if new:
            edits.append(_addition(document, subject, present, new))
    if notes is not None and set(notes) != set(_notes(root)):
        old = _find_list(root, _NOTED)
        written = [f"{head}/{keyword}" for head, keyword in notes]
        if old is None:
            new_lists.append(_list("vitsearch", _NOTED, written))
        elif not notes:
            edits.append(document.removal(old))
        elif old.empty:
            edits.append(insert(old, _bag(written), at=old.close))
        else:
            edits.append(Edit(old.inner, old.close, _bag(written).encode()))
    if new_lists:
        parent = _description(root, path)
        edits.append(insert(parent, f"{''.join(new_lists)}\n  ", at=parent.close))
    return edits


def _rating_edits(document: Document, path: Path, stars: str) -> list[Edit]:
    """An attribute or an element that is there is changed, or an element is put into the first rdf:Description."""
    root = document.root
    for element in root.walk():
        if element.name == _RATING:
            if element.text.strip() == stars:
                return []
            if element.empty:
                return [insert(element, stars, at=element.close)]
            return [Edit(element.inner, element.close, stars.encode())]
        if _RATING in element.attributes:
            prefix, value = element.attributes[_RATING]
            if value.strip() == stars:
                return []
            name = f"{prefix}:{_RATING[1]}".encode()
            # One attribute after the other: the value of another one may look like it.
            found = next(
                one
                for one in _ATTRIBUTE.finditer(document.content, element.start, element.inner)
                if one[1] == name
            )
            return [Edit(found.start(2), found.end(2), f'"{stars}"'.encode())]
    parent = _description(root, path)
    rating = f'\n   <xmp:Rating xmlns:xmp="{_XMP}">{stars}</xmp:Rating>\n  '
    return [insert(parent, rating, at=parent.close)]


def _list(prefix: str, name: tuple[str, str], items: Iterable[str]) -> str:
    """A new list for the end of an rdf:Description."""
    space, local = name
    return f'\n   <{prefix}:{local} xmlns:{prefix}="{space}">{_bag(items)}</{prefix}:{local}>'


def _bag(items: Iterable[str]) -> str:
    inner = _items(items, "rdf", "\n     ")
    return f'\n    <rdf:Bag xmlns:rdf="{_RDF}">{inner}\n    </rdf:Bag>\n   '


def _description(root: Element, path: Path) -> Element:
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
    document: Document, subject: Element, present: list[tuple[Element, str]], keywords: Sequence[str]
) -> Edit:
    container = _container(subject)
    if container is None:
        # A lone text in place of a list is some program's only keyword: it becomes the list's first.
        lone = [subject.text.strip()] if subject.text.strip() else []
        bag = f'<rdf:Bag xmlns:rdf="{_RDF}">{_items([*lone, *keywords], "rdf", "")}</rdf:Bag>'
        if subject.empty:
            return insert(subject, bag, at=subject.close)
        return Edit(subject.inner, subject.close, bag.encode())
    last = present[-1][0] if present else None
    indent = document.space_before(last.start) if last else ""
    items = _items(keywords, container.prefix, indent)
    return insert(container, items, at=last.end if last else container.inner)


def _items(keywords: Iterable[str], prefix: str, indent: str) -> str:
    name = f"{prefix}:li" if prefix else "li"
    return "".join(f"{indent}<{name}>{escape(keyword)}</{name}>" for keyword in keywords)
