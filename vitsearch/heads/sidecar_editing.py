"""Edit sidecar files while other programs may be editing them, too."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from vitsearch.errors import HeadError
from vitsearch.heads.xmp_outline import Document, Edit, Element
from vitsearch.storage.atomic import Draft, sync_folder
from vitsearch.storage.shared_files import is_written_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from vitsearch.photos.sidecars import SidecarFolders

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OURS = "vitsearch:ns:1.0/"
_CONTAINERS = ((RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt"))

# Sidecars with drawn masks have some megabytes; of one as large as this, 150 MB are in memory at most.
_LARGEST_SIDECAR = 8 * 2**20
# How often a sidecar that another program has changed meanwhile is read again.
_TRIES, _PAUSE_SECONDS = 8, 0.02

_EMPTY = f"""<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="vitsearch">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()


@dataclass(frozen=True, slots=True)
class Written:
    """A sidecar, its content before the edit, and whether it has changed."""

    path: Path
    before: Element
    is_new: bool


def rewritten(
    photo: Path, edits_of: Callable[[Document, Path], list[Edit]], folders: SidecarFolders
) -> Written:
    """Edit the latest version of a photo's sidecar.

    If another program saves it meanwhile, it is read and edited again. Raises `HeadError`.
    """
    if not photo.is_file():
        raise HeadError(f"{photo} is not there any more: run `vitsearch index`, and try again")
    for tries in range(_TRIES):
        path = folders.sidecar_path(photo)
        content = read_sidecar(path) if path.exists() else None
        # An empty file is what a full disk or a cancelled copy leaves: there is nothing in it to be kept.
        try:
            document = Document.parsed(content if content and content.strip() else _EMPTY, path)
        except HeadError:
            if tries == _TRIES - 1 or content is None or not _is_half_written(path, content):
                raise
            time.sleep(_PAUSE_SECONDS * tries)
            continue
        edits = edits_of(document, path)
        if edits and path.is_symlink():
            raise HeadError(f"{path} is a symbolic link: write to the file that it stands for, or remove it")
        if not edits or _write(path, content, document.edited(edits)):
            return Written(path, document.root, bool(edits))
        folders.forget(photo.parent)
        time.sleep(_PAUSE_SECONDS * tries)
    raise HeadError(f"another program keeps changing {path}: try again when it has finished")


def _is_half_written(path: Path, content: bytes) -> bool:
    """Return whether another program was writing the sidecar while it was read."""
    try:
        with path.open("rb") as file:
            return is_written_to(file) or file.read(_LARGEST_SIDECAR + 1) != content
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _write(path: Path, before: bytes | None, after: bytes) -> bool:
    """Write a sidecar if it is unchanged (None: it did not exist); return whether it was. Raises `HeadError`."""
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
    """Return whether a file is unchanged since it was read, and no other program has it open for writing."""
    if path.is_symlink():
        return False
    with path.open("rb") as file:
        return not is_written_to(file) and file.read(len(before) + 1) == before


def may_have_notes(path: Path) -> bool:
    """Return whether a sidecar may contain vitsearch's records, in any encoding; False if it cannot be read."""
    try:
        content = read_sidecar(path) if path.exists() else b""
    except HeadError:
        return False
    return OURS.encode() in content.replace(b"\0", b"")


def read_sidecar(path: Path) -> bytes:
    """Return the content of a sidecar. Raises `HeadError` if it cannot be read, is not a file, or is too large."""
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


def find_list(root: Element, name: tuple[str, str]) -> Element | None:
    """Return the first element of this name."""
    return next((element for element in root.walk() if element.name == name), None)


def container_of(subject: Element) -> Element | None:
    """Return the container of a list: its Bag, Seq or Alt."""
    return next((child for child in subject.children if child.name in _CONTAINERS), None)


def items_of(subject: Element | None) -> list[tuple[Element, str]]:
    """Return the items of a list, each with its text; empty if there is no list."""
    container = container_of(subject) if subject else None
    if container is None:
        return []
    return [(item, item.text.strip()) for item in container.children if item.name == (RDF, "li")]


def new_list(prefix: str, name: tuple[str, str], items: Iterable[str]) -> str:
    """Return a new list to insert at the end of an rdf:Description."""
    space, local = name
    return f'\n   <{prefix}:{local} xmlns:{prefix}="{space}">{bag(items)}</{prefix}:{local}>'


def bag(items: Iterable[str]) -> str:
    """Return the content of a new list."""
    inner = list_items(items, "rdf", "\n     ")
    return f'\n    <rdf:Bag xmlns:rdf="{RDF}">{inner}\n    </rdf:Bag>\n   '


def first_description(root: Element, path: Path) -> Element:
    """Return the first rdf:Description. Raises `HeadError` if there is none."""
    parent = next(
        (
            child
            for element in root.walk()
            if element.name == (RDF, "RDF")
            for child in element.children
            if child.name == (RDF, "Description")
        ),
        None,
    )
    if parent is None:
        raise HeadError(f"{path} is no XMP sidecar: it has no rdf:Description; mend or remove it")
    return parent


def list_items(keywords: Iterable[str], prefix: str, indent: str) -> str:
    """Return items for a list whose elements have this prefix."""
    name = f"{prefix}:li" if prefix else "li"
    return "".join(f"{indent}<{name}>{escape(keyword)}</{name}>" for keyword in keywords)
