"""Labels as keywords in XMP sidecar files, which photo programs read; no photo is changed.

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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.heads.head import check_labels
from vitsearch.heads.sidecar_editing import (
    OURS,
    RDF,
    bag,
    container_of,
    find_list,
    first_description,
    items_of,
    list_items,
    may_have_notes,
    new_list,
    read_sidecar,
    rewritten,
)
from vitsearch.heads.xmp_outline import Document, Edit, Element, insert
from vitsearch.photos.sidecars import SidecarFolders

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_DC = "http://purl.org/dc/elements/1.1/"
_SUBJECT = (_DC, "subject")
# digiKam and Lightroom read lists of their own before dc:subject: where one exists it must be kept in step. What stands
# between the levels of their keywords is the last column.
_OTHER_LISTS = (
    (("http://www.digikam.org/ns/1.0/", "TagsList"), "/"),
    (("http://ns.microsoft.com/photo/1.0/", "LastKeywordXMP"), "/"),
    (("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject"), "|"),
    (("http://ns.iview-multimedia.com/mediapro/1.0/", "CatalogSets"), "|"),
)
_NOTED = (OURS, "Keywords")


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
    content = read_sidecar(path) if path.exists() else b""
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

    written = rewritten(photo, edits_of, SidecarFolders())
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
    if not wanted and not may_have_notes(places.sidecar_path(photo)):
        return SidecarChange(places.sidecar_path(photo), (), ())

    def edits_of(document: Document, path: Path) -> list[Edit]:
        gone, noted = _taken_back(document.root, wanted, head)
        return _edits(document, path, wanted, gone, noted)

    written = rewritten(photo, edits_of, places)
    present = _present(written.before)
    gone, _ = _taken_back(written.before, wanted, head)
    added = tuple(label for label in wanted if label not in present)
    return SidecarChange(written.path, added, tuple(keyword for keyword in present if keyword in gone))


def _present(root: Element) -> list[str]:
    return [keyword for _, keyword in items_of(find_list(root, _SUBJECT))]


def _notes(root: Element) -> list[tuple[str, str]]:
    """The heads that wrote keywords, each with one of these."""
    notes = (note.partition("/") for _, note in items_of(find_list(root, _NOTED)))
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
        for _, keyword in items_of(find_list(root, name))
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
        subject = find_list(root, name)
        if subject is None:
            if name == _SUBJECT and keywords:
                new_lists.append(new_list("dc", _SUBJECT, keywords))
            continue
        present = items_of(subject)
        edits += [document.removal(item) for item, keyword in present if keyword in gone]
        known = {keyword for _, keyword in present} | (filed if name != _SUBJECT else set())
        new = [keyword for keyword in keywords if keyword not in known]
        if new:
            edits.append(_addition(document, subject, present, new))
    if notes is not None and set(notes) != set(_notes(root)):
        old = find_list(root, _NOTED)
        written = [f"{head}/{keyword}" for head, keyword in notes]
        if old is None:
            new_lists.append(new_list("vitsearch", _NOTED, written))
        elif not notes:
            edits.append(document.removal(old))
        elif old.empty:
            edits.append(insert(old, bag(written), at=old.close))
        else:
            edits.append(Edit(old.inner, old.close, bag(written).encode()))
    if new_lists:
        parent = first_description(root, path)
        edits.append(insert(parent, f"{''.join(new_lists)}\n  ", at=parent.close))
    return edits


def _addition(
    document: Document, subject: Element, present: list[tuple[Element, str]], keywords: Sequence[str]
) -> Edit:
    container = container_of(subject)
    if container is None:
        # A lone text in place of a list is some program's only keyword: it becomes the list's first.
        lone = [subject.text.strip()] if subject.text.strip() else []
        bag = f'<rdf:Bag xmlns:rdf="{RDF}">{list_items([*lone, *keywords], "rdf", "")}</rdf:Bag>'
        if subject.empty:
            return insert(subject, bag, at=subject.close)
        return Edit(subject.inner, subject.close, bag.encode())
    last = present[-1][0] if present else None
    indent = document.space_before(last.start) if last else ""
    items = list_items(keywords, container.prefix, indent)
    return insert(container, items, at=last.end if last else container.inner)
