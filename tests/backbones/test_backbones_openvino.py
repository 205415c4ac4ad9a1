"""The CPU runtime: vectors of the same space as torch, a start without torch, and caches that may be damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support.tiny_checkpoints import ARCHITECTURES, EDGE, make_checkpoint
from vitsearch.backbones import Space, load_backbone, load_for_space
from vitsearch.backbones.graphs import StoredGraph, find_graph, graph_folder, installed_version, new_graph
from vitsearch.backbones.light_graph import levels_of
from vitsearch.backbones.openvino_runtime import OpenVINOBackbone
from vitsearch.backbones.torch_runtime import TorchBackbone
from vitsearch.errors import ModelError, NoTextTower

if TYPE_CHECKING:
    from pathlib import Path


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, EDGE, EDGE, 3), dtype=np.uint8)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1)


# Their towers are those of others in the list, or (CvT) take OpenVINO long to compile.
SLOW = ("deit", "clip", "siglip_vision_model", "cvt")


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in ARCHITECTURES],
)
def test_vectors_are_those_of_float32_torch_alone_and_in_any_batch(architecture, tmp_path):
    folder = make_checkpoint(architecture, tmp_path / architecture)
    pixels = noise(5)
    expected = load_backbone(str(folder), cache=tmp_path, runtime="torch").embed_batch(pixels)

    backbone = load_backbone(str(folder), cache=tmp_path, runtime="openvino", batch_size=2)
    found = backbone.embed_batch(pixels)
    alone = np.concatenate([backbone.embed_batch(pixels[i : i + 1]).rows for i in range(5)])

    assert cosines(expected.rows[:1], expected.rows[1:2])[0] < 0.99, "the photos must be told apart"
    assert cosines(found.rows, expected.rows).min() >= 0.999
    assert cosines(found.rows, alone).min() >= 0.999
    assert np.allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-5)
    assert np.allclose(found.norms, expected.norms, rtol=0.03)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A checkpoint, the cache with its graph, its space and what torch makes of some pixels."""
    root = tmp_path_factory.mktemp("exported")
    folder = make_checkpoint("vit", root / "vit")
    torch_backbone = load_backbone(str(folder), cache=root / "cache", runtime="torch")
    load_backbone(str(folder), cache=root / "cache", runtime="openvino")
    return root / "cache", torch_backbone.space, torch_backbone.embed_batch(noise(20)).rows


@pytest.fixture
def cached(exported, tmp_path):
    """The same with a cache of the test's own, which it may damage."""
    cache, space, expected = exported
    shutil.copytree(cache, tmp_path / "cache", ignore=shutil.ignore_patterns("calibration-*"))
    return tmp_path / "cache", space, expected


def test_the_cpu_runs_in_openvino_and_says_once_that_it_prepares_the_model(tmp_path):
    folder = make_checkpoint("clip_vision_model", tmp_path / "clip")
    said: list[str] = []
    first = load_backbone(str(folder), cache=tmp_path, device="cpu", notice=said.append)
    second = load_backbone(str(folder), cache=tmp_path, device="cpu", notice=said.append)
    assert type(first) is type(second) is OpenVINOBackbone
    assert said == [f"preparing {folder} for this CPU (once)"]
    with pytest.raises(NoTextTower):
        second.embed_texts(["a red shoe"])


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 17, 20])
def test_any_number_of_photos_comes_back_in_order(n, exported):
    cache, space, expected = exported
    found = load_for_space(space, cache=cache, runtime="openvino").embed_batch(noise(20)[:n])
    assert found.rows.shape == (n, space.dimension)
    assert found.norms.shape == (n,)
    assert (cosines(found.rows, expected[:n]) >= 0.999).all()


def test_full_batches_take_turns_through_the_settings_and_the_fastest_is_used_from_then_on(cached):
    cache, space, expected = cached
    backbone = load_for_space(space, cache=cache, runtime="openvino")
    for _ in range(8):
        found = backbone.embed_batch(noise(20))
        backbone.embed_batch(noise(7))
        assert cosines(found.rows, expected).min() >= 0.999
    assert list(graph_folder(space, cache=cache).glob("calibration-*")) == []
    backbone.embed_batch(noise(20))
    (note,) = graph_folder(space, cache=cache).glob("calibration-*")
    content = json.loads(note.read_text())
    rates = content["images_per_second"]
    assert f"{content['hint']} {content['images']}" == max(rates, key=rates.get)

    note.write_text(json.dumps({"hint": "THROUGHPUT", "images": 4}))
    again = load_for_space(space, cache=cache, runtime="openvino").embed_batch(noise(20))
    assert json.loads(note.read_text()) == {"hint": "THROUGHPUT", "images": 4}
    assert cosines(again.rows, expected).min() >= 0.999


def test_texts_are_embedded_beside_the_graph(tmp_path):
    folder = make_checkpoint("clip", tmp_path / "clip")
    texts = ["a photo of a red shoe", "green hat"]
    expected = load_backbone(str(folder), cache=tmp_path, runtime="torch").embed_texts(texts)
    backbone = load_backbone(str(folder), cache=tmp_path, runtime="openvino")
    assert cosines(backbone.embed_texts(texts).rows, expected.rows).min() >= 0.9999
    assert backbone.embed_texts([]).rows.shape == (0, backbone.space.dimension)


SEARCH = """
import json, sys
from pathlib import Path
import numpy as np
from vitsearch.backbones import Space, load_for_space

space = Space.from_json(sys.argv[1])
backbone = load_for_space(space, cache=Path(sys.argv[2]))
rows = backbone.embed_batch(np.zeros((1, 32, 32, 3), dtype=np.uint8)).rows
heavy = ("torch", "transformers", "huggingface_hub", "onnx", "openvino_telemetry", "openvino.tools.ovc")
print(json.dumps([type(backbone).__name__, rows.shape, [name for name in heavy if name in sys.modules]]))
"""


def test_a_search_starts_without_torch_and_ends_cleanly(exported):
    cache, space, _ = exported
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, space.to_json(), str(cache)],
        capture_output=True,
        text=True,
        check=False,
    )
    # OpenVINO ends the whole process with a signal if Python goes while one of its threads holds a Python object.
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["OpenVINOBackbone", [1, space.dimension], []]


READY = """
import sys
from pathlib import Path
from vitsearch.backbones.source import BackboneSource
from vitsearch.space import Space

space = Space.from_json(sys.argv[1])
source = BackboneSource(Path("library"), None, cache=Path(sys.argv[2]), device="cpu", batch_size=None, notice=print)
source.import_runtime()
print(type(source.of_space(space)).__name__)
unused = {"vitsearch.backbones.loading", "vitsearch.backbones.families", "importlib.metadata", "openvino.opset1"}
print(sorted(unused & set(sys.modules)))
import openvino.opset13
from openvino import opset1
print(openvino.opset13.multiply.__name__, opset1.add.__name__)
"""


def test_a_graph_that_is_ready_is_opened_without_what_knows_of_checkpoints(exported):
    cache, space, _ = exported
    done = subprocess.run(
        [sys.executable, "-c", READY, space.to_json(), str(cache)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["OpenVINOBackbone", "[]", "multiply add"]


@pytest.mark.parametrize("library", ["openvino", "torch", "transformers", "blake3"])
def test_the_version_in_a_graphs_name_is_the_one_that_is_installed(library):
    assert installed_version(library) == metadata.version(library)


EXPORT = """
import sys
from pathlib import Path

events = []
watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.posix_spawn")

def note(event, arguments):
    # Where trio is installed, its import asks ldconfig for a C library's name.
    if event in watched and not (event == "subprocess.Popen" and arguments[0].endswith("ldconfig")):
        events.append((event, str(arguments)))

sys.addaudithook(note)

import numpy as np
from vitsearch.backbones import load_backbone

backbone = load_backbone(sys.argv[1], cache=Path(sys.argv[2]), runtime="openvino")
backbone.embed_batch(np.zeros((9, 32, 32, 3), dtype=np.uint8))
print(type(backbone).__name__, "openvino_telemetry" in sys.modules, events)
"""


def test_exporting_and_running_a_model_connects_to_nothing(tmp_path, exported):
    _, space, _ = exported
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, space.model, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "OpenVINOBackbone False []"


def graph_file(cache, space, name):
    return graph_folder(space, cache=cache) / name


@pytest.mark.parametrize("damage", ["missing", "cut", "zeros"])
@pytest.mark.parametrize("name", ["manifest.json", "graph.xml", "graph.bin"])
def test_a_damaged_graph_is_made_again(name, damage, cached):
    cache, space, expected = cached
    path = graph_file(cache, space, name)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        # Weights of the right length could only be told apart by reading all of them; these are one byte too long.
        path.write_bytes(bytes(len(content) + (name == "graph.bin")))
    said: list[str] = []
    found = load_for_space(space, cache=cache, runtime="openvino", notice=said.append).embed_batch(noise(3))
    assert cosines(found.rows, expected[:3]).min() >= 0.999
    assert said == [f"preparing {space.model} for this CPU (once)"]
    assert find_graph(space, cache=cache) is not None


@pytest.mark.parametrize("content", [b"", b"not a compiled model" * 100])
def test_a_damaged_compiled_form_is_compiled_again(content, cached):
    cache, space, expected = cached
    (blob,) = graph_folder(space, cache=cache).glob("compiled-*/latency/*.blob")
    blob.chmod(0o600)
    blob.write_bytes(content)
    found = load_for_space(space, cache=cache, runtime="openvino").embed_batch(noise(3))
    assert cosines(found.rows, expected[:3]).min() >= 0.999


def test_a_damaged_calibration_is_ignored(cached):
    cache, space, expected = cached
    backbone = load_for_space(space, cache=cache, runtime="openvino")
    for _ in range(9):
        backbone.embed_batch(noise(20))
    (note,) = graph_folder(space, cache=cache).glob("calibration-*")
    note.write_text('{"hint": "FASTEST", "images": -1}')
    found = load_for_space(space, cache=cache, runtime="openvino").embed_batch(noise(20))
    assert cosines(found.rows, expected).min() >= 0.999


def graph_of(space: Space, cache: Path) -> StoredGraph:
    graph = find_graph(space, cache=cache)
    assert graph is not None
    return graph


def test_an_interrupted_export_leaves_nothing_and_a_new_one_replaces_that_of_other_versions(
    exported, tmp_path
):
    cache, space, _ = exported
    spec = graph_of(space, cache).spec
    folder = graph_folder(space, cache=tmp_path)

    def interrupted_export():
        with new_graph(spec, cache=tmp_path) as (staging, _):
            (staging / "graph.xml").write_text("half a gra")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_export()
    assert list(folder.parent.iterdir()) == []

    older = folder.with_name(folder.name.rpartition("-")[0] + "-0a0b0c0d")
    other_space = folder.with_name("f" * 24 + "-0a0b0c0d")
    older.mkdir()
    other_space.mkdir()
    with new_graph(spec, cache=tmp_path) as (staging, precisions):
        (staging / "graph.xml").write_text("a graph")
        precisions.append("f32")
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted([folder.name, other_space.name])
    assert graph_of(space, tmp_path).precisions == ("f32",)


def test_a_second_process_that_exports_the_same_model_leaves_the_firsts_graph_alone(exported, tmp_path):
    cache, space, _ = exported
    spec = graph_of(space, cache).spec
    for content in ("the first", "the second"):
        with new_graph(spec, cache=tmp_path) as (staging, _):
            (staging / "graph.xml").write_text(content)
    folder = graph_folder(space, cache=tmp_path)
    assert list(folder.parent.iterdir()) == [folder]
    assert (folder / "graph.xml").read_text() == "the first"


def test_the_same_weights_under_another_name_or_fit_share_a_graph_and_other_weights_do_not(
    exported, tmp_path
):
    _, space, _ = exported
    same = shutil.copytree(space.model, tmp_path / "other")
    padded = replace(space, model=str(same), preprocessing=replace(space.preprocessing, fit="pad"))
    darker = replace(space, preprocessing=replace(space.preprocessing, mean=(0.1, 0.1, 0.1)))
    folder = graph_folder(space, cache=tmp_path)
    assert graph_folder(padded, cache=tmp_path) == folder
    assert graph_folder(darker, cache=tmp_path) != folder
    assert graph_folder(replace(space, fingerprint="0" * 64), cache=tmp_path) != folder
    named, other = replace(space, model="a-name"), replace(space, model="somebody/on-the-hub")
    assert graph_folder(named, cache=tmp_path) == graph_folder(other, cache=tmp_path)


def edit_config(folder, **changes):
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))


def test_a_config_that_was_edited_gets_a_graph_of_its_own_in_place_of_the_old_one(tmp_path):
    folder = make_checkpoint("vit", tmp_path / "vit")
    copied = shutil.copytree(folder, tmp_path / "copy")
    load_backbone(str(folder), cache=tmp_path, runtime="openvino")
    edit_config(folder, layer_norm_eps=50.0)
    expected = load_backbone(str(folder), cache=tmp_path, runtime="torch").embed_batch(noise(3))
    found = load_backbone(str(folder), cache=tmp_path, runtime="openvino").embed_batch(noise(3))
    assert cosines(found.rows, expected.rows).min() >= 0.999
    (kept,) = (tmp_path / "graphs").iterdir()

    before = load_backbone(str(copied), cache=tmp_path, runtime="openvino").embed_batch(noise(3))
    assert cosines(before.rows, found.rows).max() < 0.99, "the edit must change vectors for this to mean much"
    assert len(list((tmp_path / "graphs").iterdir())) == 2
    assert kept.exists()


def test_labels_and_notes_in_a_config_make_no_other_graph(tmp_path):
    folder = make_checkpoint("vit", tmp_path / "vit")
    space = load_backbone(str(folder), cache=tmp_path, runtime="openvino").space
    before = graph_folder(space, cache=tmp_path)
    edit_config(folder, id2label={"0": "cat"}, transformers_version="9", _name_or_path="elsewhere")
    assert graph_folder(space, cache=tmp_path) == before
    edit_config(folder, hidden_act="relu")
    assert graph_folder(space, cache=tmp_path) != before


def test_without_openvino_the_cpu_runs_in_torch_and_says_so(cached, monkeypatch):
    cache, space, expected = cached
    monkeypatch.setitem(sys.modules, "openvino", None)
    said: list[str] = []
    backbone = load_for_space(space, cache=cache, notice=said.append)
    assert type(backbone) is TorchBackbone
    assert "OpenVINO cannot be imported" in said[-1]
    assert "running in torch" in said[-1]
    assert cosines(backbone.embed_batch(noise(3)).rows, expected[:3]).min() >= 0.9999
    with pytest.raises(ModelError, match="install the package `openvino`"):
        load_for_space(space, cache=cache, runtime="openvino")


def test_a_space_with_a_graph_needs_its_checkpoint_no_more(exported):
    cache, space, expected = exported
    moved = Space.from_json(space.to_json().replace(space.model, "/a/folder/that/is/gone"))
    found = load_for_space(moved, cache=cache, runtime="openvino")
    assert found.space == moved
    assert cosines(found.embed_batch(noise(2)).rows, expected[:2]).min() >= 0.999


def in_eight_bits(folder):
    """Round the matrices of a checkpoint to whole multiples of a scale for each row, as those in eight bits are."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and name.endswith("weight"):
            scale = np.abs(tensor).max(axis=1, keepdims=True) / 127
            levels = np.rint(tensor / scale)
            levels[:, 0] = 1
            tensors[name] = (levels * scale).astype(np.float32)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def published_in_eight_bits(tmp_path_factory):
    """A checkpoint whose weights have eight bits; then as `exported`, of more images."""
    root = tmp_path_factory.mktemp("eight-bits")
    folder = in_eight_bits(make_checkpoint("clip_vision_model", root / "clip"))
    torch_backbone = load_backbone(str(folder), cache=root / "cache", runtime="torch")
    load_backbone(str(folder), cache=root / "cache", runtime="openvino")
    return root / "cache", torch_backbone.space, torch_backbone.embed_batch(noise(40)).rows


@pytest.fixture
def light(published_in_eight_bits, tmp_path):
    """The same with a cache of the test's own, and the folder of the light graph."""
    cache, space, expected = published_in_eight_bits
    shutil.copytree(cache, tmp_path / "cache")
    (folder,) = graph_folder(space, cache=tmp_path / "cache").glob("compiled-*/light-*")
    return tmp_path / "cache", space, expected, folder


def runs_light(backbone):
    return "LIGHT" in backbone._requests


def test_a_few_images_through_weights_in_eight_bits_get_the_vectors_that_a_batch_gets(
    published_in_eight_bits,
):
    cache, space, expected = published_in_eight_bits
    backbone = load_for_space(space, cache=cache, runtime="openvino")
    found = np.concatenate([backbone.embed_batch(noise(40)[i : i + 1]).rows for i in (0, 1, 2)])
    two = backbone.embed_batch(noise(40)[3:5]).rows
    assert runs_light(backbone), "no weights in eight bits were used"
    batch = backbone.embed_batch(noise(40)).rows
    assert not runs_light(backbone), "the weights are held twice"
    assert cosines(found, batch[:3]).min() >= 0.9999
    assert cosines(two, batch[3:5]).min() >= 0.9999
    assert cosines(found, expected[:3]).min() >= 0.999


def test_a_process_that_goes_on_asking_gets_the_graph_whose_weights_are_packed(published_in_eight_bits):
    cache, space, expected = published_in_eight_bits
    backbone = load_for_space(space, cache=cache, runtime="openvino")
    for turn in range(12):
        rows = backbone.embed_batch(noise(40)[turn : turn + 1]).rows
        assert cosines(rows, expected[turn : turn + 1]).min() >= 0.999
    assert not runs_light(backbone), "the weights are held twice"


def test_the_light_graph_is_made_once_also_for_a_graph_of_an_earlier_version(light):
    cache, space, expected, folder = light
    shutil.rmtree(folder)  # as it was before there was one
    said: list[str] = []
    for _ in range(2):
        backbone = load_for_space(space, cache=cache, runtime="openvino", notice=said.append)
        assert cosines(backbone.embed_batch(noise(40)[:2]).rows, expected[:2]).min() >= 0.999
        assert runs_light(backbone)
    assert said == [f"preparing {space.model} for quick searches on this CPU (once)"]
    whole = graph_file(cache, space, "graph.bin").stat().st_size
    assert (folder / "graph.bin").stat().st_size < 0.6 * whole


@pytest.mark.parametrize("damage", ["missing", "cut", "zeros"])
@pytest.mark.parametrize("name", ["light.json", "graph.xml", "graph.bin"])
def test_a_damaged_light_graph_costs_no_answer(name, damage, light):
    cache, space, expected, folder = light
    path = folder / name
    content = path.read_bytes()
    shutil.rmtree(folder / "compiled")
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(bytes(len(content) + (name == "graph.bin")))
    found = load_for_space(space, cache=cache, runtime="openvino").embed_batch(noise(40)[:3])
    assert cosines(found.rows, expected[:3]).min() >= 0.999
    assert runs_light(load_for_space(space, cache=cache, runtime="openvino"))


def test_a_graph_that_is_damaged_is_made_again_though_its_light_one_is_whole(light):
    cache, space, expected, _ = light
    path = graph_file(cache, space, "graph.xml")
    path.write_bytes(bytes(path.stat().st_size))
    said: list[str] = []
    found = load_for_space(space, cache=cache, runtime="openvino", notice=said.append).embed_batch(noise(40))
    assert cosines(found.rows, expected).min() >= 0.999
    assert said[0] == f"preparing {space.model} for this CPU (once)"


def test_a_light_graph_with_other_vectors_is_not_used(light, monkeypatch):
    cache, space, expected, folder = light
    shutil.rmtree(folder)
    monkeypatch.setattr("vitsearch.backbones.light_graph._FAITHFUL", 1.01)  # nothing agrees so well
    for _ in range(2):
        backbone = load_for_space(space, cache=cache, runtime="openvino")
        assert not runs_light(backbone)
        assert cosines(backbone.embed_batch(noise(40)[:2]).rows, expected[:2]).min() >= 0.999
    assert [path.name for path in folder.iterdir()] == ["light.json"]


def test_weights_of_more_than_eight_bits_have_no_light_graph(exported):
    cache, space, _ = exported
    said: list[str] = []
    backbone = load_for_space(space, cache=cache, runtime="openvino", notice=said.append)
    assert not runs_light(backbone)
    assert said == []


def test_a_matrix_is_split_into_levels_and_scales_only_where_nothing_is_lost():
    levels = np.random.default_rng(0).integers(-127, 128, (20, 300))
    levels[:, 5] = 1
    scale = np.random.default_rng(1).uniform(1e-5, 3, (20, 1)).astype(np.float32)
    rows = levels.astype(np.float32) * scale
    rows[7] = 0
    split = levels_of(rows)
    assert split is not None
    whole, scales = split
    assert whole.dtype == np.int8
    assert np.array_equal(whole * scales, rows)
    rows[19, 299] = np.nextafter(rows[19, 299], np.float32(9))
    assert levels_of(rows) is None
    assert levels_of(np.random.default_rng(2).standard_normal((20, 300)).astype(np.float32)) is None


def test_a_full_disk_costs_no_graph_where_its_light_one_cannot_be_kept(light, monkeypatch):
    cache, space, expected, folder = light
    shutil.rmtree(folder)  # as a version before made it
    graph = graph_file(cache, space, "graph.bin")
    before = graph.stat().st_ino

    def full(*_arguments, **_options):
        raise RuntimeError("basic_ios::clear: iostream error")  # what OpenVINO says when nothing more fits

    monkeypatch.setattr("openvino.save_model", full)
    said: list[str] = []
    backbone = load_for_space(space, cache=cache, runtime="openvino", notice=said.append)
    assert cosines(backbone.embed_batch(noise(40)[:2]).rows, expected[:2]).min() >= 0.999
    assert graph.stat().st_ino == before, "the graph was thrown away and exported again"
    assert not any("for this CPU" in line for line in said)
