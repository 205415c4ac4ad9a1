"""The cache of exported graphs: one complete folder per space and set of library versions."""

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
# What a config.json says that changes no vector.
_DESCRIBES = frozenset(
    {"architectures", "dtype", "id2label", "label2id", "torch_dtype", "transformers_version"}
)


@dataclass(frozen=True, slots=True)
class StoredGraph:
    """An exported graph, and what is needed to run it without torch and transformers.

    `precisions`: those verified against torch when the graph was exported.
    """

    folder: Path
    spec: BackboneSpec
    precisions: tuple[str, ...]

    @property
    def model_file(self) -> Path:
        """The graph's XML file; its weights are next to it."""
        return self.folder / "graph.xml"


def graph_folder(space: Space, *, cache: Path) -> Path:
    """Return where a space's graph is kept: keyed by what is in the graph and by the versions that made it.

    The way a frame is fitted and the name that the weights go by are not in the graph. What becomes of the weights is
    said by the config.json beside them, which somebody may edit where a model is a folder: it is part of the key then.
    """
    parts = [_key(space), *filter(None, [_config_key(space.model)]), _versions_key()]
    return cache / "graphs" / "-".join(parts)


def _key(space: Space) -> str:
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
    return f"{space.fingerprint[:16]}-{_digest(content)[:16]}"


def _versions_key() -> str:
    return _digest([_FORMAT, *map(installed_version, _LIBRARIES)])[:8]


def _config_key(model: str) -> str | None:
    """Return what tells apart configurations of a model that is a folder, "" for others, None where it has gone."""
    folder = Path(model)
    if not folder.is_absolute() or folder.is_file():
        return ""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return _digest(_without_labels(config))[:8]


def _without_labels(config: object) -> object:
    """Return a configuration without what only describes it, in the order of its names."""
    if not isinstance(config, dict):
        return config
    return {
        name: _without_labels(value)
        for name, value in sorted(config.items())
        if name not in _DESCRIBES and not name.startswith("_")
    }


def _digest(content: object) -> str:
    import blake3

    return blake3.blake3(json.dumps(content).encode()).hexdigest()


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
    """Return the graph of a space if it exists and its files are complete.

    For a model whose folder is gone, returns the latest graph.
    """
    if _config_key(space.model) is not None:
        return _read(graph_folder(space, cache=cache), space)
    made = (cache / "graphs").glob(f"{_key(space)}-*{_versions_key()}")
    found = [graph for folder in made if (graph := _read(folder, space)) is not None]
    return max(found, key=lambda graph: graph.model_file.stat().st_mtime_ns, default=None)


def _read(folder: Path, space: Space) -> StoredGraph | None:
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

    Graphs of the same space that other library versions, or another configuration of the same folder, left behind are
    removed, because each is as large as the weights.
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
        for other in folder.parent.glob(f"{_key(spec.space)}-*"):
            if other != folder and (_other_versions(other, folder) or _source_of(other) == spec.source):
                shutil.rmtree(other, ignore_errors=True)
        _move_into_place(staging, folder, spec.space, cache=cache)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _other_versions(other: Path, folder: Path) -> bool:
    return other.name.rpartition("-")[0] == folder.name.rpartition("-")[0]


def _source_of(folder: Path) -> str | None:
    """Return the folder of the checkpoint that a graph was made from."""
    try:
        return str(json.loads((folder / _MANIFEST).read_text("utf-8"))["spec"]["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
