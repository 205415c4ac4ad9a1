"""Labels as keywords in XMP sidecars, which photo programs read; photos themselves are never changed.

Keywords are written to `photo.jpg.xmp`, the name that digiKam, darktable, Immich and PhotoPrism use, which is
unambiguous if a RAW file and a JPEG share a name. Lightroom reads Adobe's form, `photo.xmp`, for RAW files only, and
no sidecars of JPEGs. If a file of that form exists and belongs to no other photo, it is used instead; either may be
spelt in capitals.

An existing sidecar is not parsed and serialised again: keywords are spliced into its bytes, and everything else stays
as it is, down to the whitespace.

The sidecar also records which keywords a head wrote, as a list of "head/keyword" in a namespace of vitsearch's own;
other programs preserve unknown namespaces. This record therefore moves with the sidecar, and disappears if the sidecar
is created anew. A keyword that existed before, or that is also part of a hierarchy, belongs to the user and is never
recorded.
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
    """A change of a sidecar: the keywords that were added and removed."""

    path: Path
    added: tuple[str, ...]
    removed: tuple[str, ...]


def sidecar_path(photo: Path) -> Path:
    """Return the path of a photo's sidecar; `SidecarFolders` is faster for many photos."""
    return SidecarFolders().sidecar_path(photo)


def write_labels(
    photo: Path, labels: Sequence[str], *, head: str, folders: SidecarFolders | None = None
) -> SidecarChange:
    """Write the current labels of a photo under a head as the head's keywords in the photo's sidecar.

    Keywords that the head wrote earlier and no longer predicts are removed, unless another head wrote them too or they
    belong to the user; without labels, all of them are. Nothing is written if nothing changes.

    Raises:
        HeadError: the photo is gone, or the sidecar is not XMP, is a symbolic link, or cannot be written.

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
    """Return (head, keyword) for each keyword that a head wrote."""
    notes = (note.partition("/") for _, note in items_of(find_list(root, _NOTED)))
    return [(head, keyword) for head, _, keyword in notes]


def _taken_back(
    root: Element, wanted: Sequence[str], head: str
) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """Return the keywords that a head removes, and the updated record of which head wrote which."""
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
    """Return the keywords that are part of a hierarchy: "Rome" of "Places/Rome"."""
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
    notes: list[tuple[str, str]],
) -> list[Edit]:
    """Return the edits that add keywords to all lists, remove others, and update the record of heads' keywords."""
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
    if set(notes) != set(_notes(root)):
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
