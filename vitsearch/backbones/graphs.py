"""The cache of exported graphs: one folder for each space and set of library versions, whole or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.space import BackboneSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitsearch.space import Space

_FORMAT = 1
_TOWER = "the last block computes what the readout needs"
_LIBRARIES = ("openvino", "torch", "transformers")
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class StoredGraph:
    """An exported graph and what must be known to use it without torch and transformers.

    `precisions` are those whose vectors were checked against torch when the graph was exported.
    """

    folder: Path
    spec: BackboneSpec
    precisions: tuple[str, ...]

    @property
    def model_file(self) -> Path:
        """The graph's XML file, which has its weights beside it."""
        return self.folder / "graph.xml"


def graph_folder(space: Space, *, cache: Path) -> Path:
    """Return where a space's graph is kept: keyed by what is in the graph and by the versions that made it.

    The way a frame is fitted and the name that the weights go by are not in the graph.
    """
    import blake3

    pre = space.preprocessing
    content = [
        space.fingerprint,
        space.readout,
        space.dimension,
        pre.height,
        pre.width,
        pre.mean,
        pre.std,
        _TOWER,
    ]
    versions = [_FORMAT, *map(installed_version, _LIBRARIES)]
    keys = [blake3.blake3(json.dumps(part).encode()).hexdigest() for part in (content, versions)]
    return cache / "graphs" / f"{space.fingerprint[:16]}-{keys[0][:16]}-{keys[1][:8]}"


def installed_version(library: str) -> str:
    """Return what `importlib.metadata` says, whose import takes a search longer than all else here."""
    spec = find_spec(library)
    places = [os.path.dirname(place) for place in spec.submodule_search_locations or ()] if spec else []  # noqa: PTH120
    start, end = f"{library}-", ".dist-info"
    found = {
        name.removeprefix(start).removesuffix(end)
        for place in places
        for name in os.listdir(place)  # noqa: PTH208 - hundreds of names
        if name.startswith(start) and name.endswith(end)
    }
    if len(found) == 1:
        return found.pop()
    from importlib import metadata

    return metadata.version(library)


def find_graph(space: Space, *, cache: Path) -> StoredGraph | None:
    """Return the graph of a space if it is there and all of its files have their full length."""
    folder = graph_folder(space, cache=cache)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        sizes = manifest["sizes"]
        if not sizes or any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        spec = BackboneSpec(space=space, **manifest["spec"])
        return StoredGraph(folder, spec, tuple(manifest["precisions"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@contextmanager
def new_graph(spec: BackboneSpec, *, cache: Path) -> Iterator[tuple[Path, list[str]]]:
    """Give a folder to export into and a list to name the checked precisions in; then move the folder into place.

    Graphs of the same space that other library versions left behind are removed, because each is as large as the
    weights.
    """
    folder = graph_folder(spec.space, cache=cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".incoming-"))
    precisions: list[str] = []
    try:
        yield staging, precisions
        fields = asdict(spec)
        del fields["space"]
        sizes = {path.name: path.stat().st_size for path in staging.iterdir()}
        manifest = {"spec": fields, "sizes": sizes, "precisions": precisions}
        (staging / _MANIFEST).write_text(json.dumps(manifest), "utf-8")
        for other in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        _move_into_place(staging, folder, spec.space, cache=cache)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_into_place(staging: Path, folder: Path, space: Space, *, cache: Path) -> None:
    """Rename a finished graph to its place, unless another process put a whole one there in the meantime."""
    if find_graph(space, cache=cache) is not None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        staging.rename(folder)
    except OSError:
        if find_graph(space, cache=cache) is None:
            raise


def remove_graph(graph: StoredGraph) -> None:
    """Remove a graph that turned out to be damaged."""
    shutil.rmtree(graph.folder, ignore_errors=True)


def remove_graphs(fingerprint: str, *, cache: Path) -> tuple[Path, ...]:
    """Remove all graphs that were exported from these weights, and return their folders."""
    folders = tuple(sorted((cache / "graphs").glob(f"{fingerprint[:16]}-*")))
    for folder in folders:
        shutil.rmtree(folder)
    return folders
