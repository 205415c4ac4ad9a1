"""Attention maps against transformers' own attention, their place on the photo, and the command."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from scripts.terminal_screen import on_terminal
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.backbones import Preprocessing, Space, describe, load_backbone
from vitsearch.backbones.preprocessing import prepare
from vitsearch.cli import cli
from vitsearch.errors import BadQuery, HeadError, ModelError, SpaceMismatch, UnreadablePhoto
from vitsearch.explain.attention import AttentionModel, _forget_kept_tensors
from vitsearch.explain.explanation import apart_gradient, label_gradient
from vitsearch.explain.picture import draw_heads, draw_heat, seen_box
from vitsearch.explain.rollout import attention_rollout, weighted_rollout
from vitsearch.heads.files import save_head
from vitsearch.heads.head import Head
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from vitsearch.space import Fit

WITH_CLASS_TOKEN = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "beit", "clip")
PREFIX = {"deit": 2, "dinov2_with_registers": 5, "dinov3_vit": 5}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory):
    """Make each tiny checkpoint once."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made: dict[str, Path] = {}

    def get(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = make_checkpoint(architecture, folder / architecture)
        return made[architecture]

    return get


@pytest.fixture
def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


def model_of(folder: Path, cache: Path) -> AttentionModel:
    return AttentionModel(describe(str(folder), cache=cache).spec.space, cache=cache)


def run_directly(folder: Path, model: AttentionModel, photo: Image.Image):
    """Transformers' own model and output on the same photo, with its attention in the graph."""
    import torch
    import transformers

    pre = model.spec.space.preprocessing
    values = (np.asarray(prepare(photo, pre)) / 255 - np.array(pre.mean)) / np.array(pre.std)
    pixels = torch.from_numpy(values.astype(np.float32).transpose(2, 0, 1)[None])
    loaded = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tower = getattr(loaded, "vision_model", loaded)
    _forget_kept_tensors(tower)
    return loaded, tower(pixel_values=pixels, output_attentions=True)


def rollout_directly(attentions: tuple[torch.Tensor, ...]) -> np.ndarray:
    product = np.eye(attentions[0].shape[-1])
    for layer in attentions:
        mixed = layer[0].detach().numpy().astype(np.float64).mean(axis=0) + np.eye(layer.shape[-1])
        product = mixed / mixed.sum(axis=1, keepdims=True) @ product
    return product


@pytest.mark.parametrize("architecture", WITH_CLASS_TOKEN)
def test_maps_agree_with_the_attention_that_transformers_returns(architecture, checkpoints, noise, tmp_path):
    model = model_of(checkpoints(architecture), tmp_path)
    _, output = run_directly(checkpoints(architecture), model, noise)
    prefix = PREFIX.get(architecture, 1)
    pixels = prepare(noise, model.spec.space.preprocessing)

    expected = rollout_directly(output.attentions)[0, prefix:].reshape(4, 4)
    np.testing.assert_allclose(model.rollout(pixels), expected, atol=1e-6, rtol=1e-5)

    expected = output.attentions[-1][0, :, 0, prefix:].detach().numpy().reshape(2, 4, 4)
    np.testing.assert_allclose(model.last_layer(pixels), expected, atol=1e-6, rtol=1e-5)


def test_siglip_counts_from_the_probe_of_its_pooling_head(checkpoints, noise, tmp_path):
    import torch

    model = model_of(checkpoints("siglip"), tmp_path)
    loaded, output = run_directly(checkpoints("siglip"), model, noise)
    attention = loaded.vision_model.head.attention
    with torch.no_grad():
        query_weight, key_weight, _ = attention.in_proj_weight.chunk(3)
        query_bias, key_bias, _ = attention.in_proj_bias.chunk(3)
        query = (loaded.vision_model.head.probe[0] @ query_weight.T + query_bias).view(1, 2, 16)
        keys = (output.last_hidden_state[0] @ key_weight.T + key_bias).view(16, 2, 16)
        pool = torch.einsum("qhd,khd->hk", query, keys).div(4).softmax(-1).numpy()
    pixels = prepare(noise, model.spec.space.preprocessing)
    np.testing.assert_allclose(model.last_layer(pixels), pool.reshape(2, 4, 4), atol=1e-6)
    expected = pool.mean(axis=0) @ rollout_directly(output.attentions)
    np.testing.assert_allclose(model.rollout(pixels), expected.reshape(4, 4), atol=1e-6)


@pytest.mark.parametrize(("readout", "weights"), [("mean", (0, 1 / 16)), ("cls+mean", (1 / 2, 1 / 32))])
def test_a_mean_readout_counts_from_the_patches(readout, weights, checkpoints, noise, tmp_path):
    space = describe(str(checkpoints("dinov2")), cache=tmp_path).spec.space
    model = AttentionModel(
        replace(space, readout=readout, dimension=64 if "+" in readout else 32), cache=tmp_path
    )
    _, output = run_directly(checkpoints("dinov2"), model, noise)
    product = rollout_directly(output.attentions)
    expected = weights[0] * product[0, 1:] + weights[1] * product[1:, 1:].sum(axis=0)
    found = model.rollout(prepare(noise, space.preprocessing))
    np.testing.assert_allclose(found, expected.reshape(4, 4), atol=1e-6)


def test_a_readout_of_two_tokens_counts_from_both(checkpoints, noise, tmp_path):
    space = describe(str(checkpoints("deit")), cache=tmp_path).spec.space
    model = AttentionModel(replace(space, readout="cls+distillation", dimension=64), cache=tmp_path)
    _, output = run_directly(checkpoints("deit"), model, noise)
    product = rollout_directly(output.attentions)
    expected = product[:2, 2:].mean(axis=0)
    found = model.rollout(prepare(noise, space.preprocessing))
    np.testing.assert_allclose(found, expected.reshape(4, 4), atol=1e-6)


@pytest.mark.parametrize(("architecture", "says"), [("swin", "within windows"), ("siglip2", "NaFlex")])
def test_a_model_without_attention_over_the_whole_photo_is_refused(architecture, says, checkpoints, tmp_path):
    with pytest.raises(ModelError, match=f"{says}.*--model"):
        model_of(checkpoints(architecture), tmp_path)


def test_other_weights_than_those_of_the_space_are_refused(checkpoints, tmp_path):
    space = describe(str(checkpoints("vit")), cache=tmp_path).spec.space
    with pytest.raises(SpaceMismatch, match="not those that its vectors were made with"):
        AttentionModel(replace(space, fingerprint="0" * 64), cache=tmp_path)


def test_rollout_of_one_layer_can_be_worked_out_by_hand():
    attention = np.array([[[[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]], [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]]]])
    start = np.array([1, 0, 0], np.float32)
    assert attention_rollout(attention, start).tolist() == [0.75, 0.125, 0.125]


def test_weighted_rollout_keeps_only_what_speaks_for_the_figure():
    attention = np.full((1, 1, 3, 3), 1 / 4, np.float32)
    gradient = np.zeros((1, 1, 3, 3), np.float32)
    gradient[0, 0, 0] = [0, 2, -2]
    start = np.array([1, 0, 0], np.float32)
    assert weighted_rollout(attention, gradient, start).tolist() == [0, 0.5, 0]


def make_head(space: Space, **changes: object) -> Head:
    random = np.random.default_rng(1)
    weight = random.normal(size=(3, space.dimension)).astype(np.float32)
    bias = random.normal(size=3).astype(np.float32)
    fields: dict[str, Any] = {"kind": "softmax", "origin": "trained", "temperature": 0.5} | changes
    return Head("pets", ("cat", "dog", "fish"), weight, bias, space, **fields)


@pytest.mark.parametrize("architecture", ["vit", "dinov2_with_registers", "clip"])
def test_what_speaks_for_a_label_agrees_with_a_direct_computation(architecture, checkpoints, noise, tmp_path):
    import torch

    model = model_of(checkpoints(architecture), tmp_path)
    head = make_head(model.spec.space)
    loaded, output = run_directly(checkpoints(architecture), model, noise)
    if architecture == "clip":
        raw = loaded.visual_projection(output.pooler_output)[0]
    else:
        raw = output.last_hidden_state[0, 0]
    logits = (torch.from_numpy(head.weight) @ (raw / raw.norm()) + torch.from_numpy(head.bias)) / 0.5
    odds = logits[1] - torch.logsumexp(logits[[0, 2]], 0)
    relevance = torch.eye(output.attentions[0].shape[-1])
    for layer, gradient in zip(output.attentions, torch.autograd.grad(odds, output.attentions), strict=True):
        relevance = relevance + (layer * gradient)[0].clamp(min=0).mean(dim=0) @ relevance
    expected = relevance[0, PREFIX.get(architecture, 1) :].detach().numpy().reshape(4, 4)

    pixels = prepare(noise, model.spec.space.preprocessing)
    found = model.rollout_towards(pixels, label_gradient(head, "dog"))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-3)
    assert found.max() > 0


def test_a_model_that_embedded_photos_before_can_still_be_asked_what_speaks_for_a_label(
    checkpoints, noise, tmp_path
):
    """BEiT keeps tensors for all its models, and embedding runs in inference mode."""
    folder = checkpoints("beit")
    backbone = load_backbone(str(folder), cache=tmp_path, device="cpu", runtime="torch")
    model = model_of(folder, tmp_path)
    pixels = backbone.prepare(noise)
    row = backbone.embed_batch(pixels[None]).rows[0]
    seen: list[np.ndarray] = []

    def target(found: np.ndarray, norm: float) -> np.ndarray:
        seen.append(found)
        return np.ones(32, np.float32)

    model.rollout_towards(pixels, target)
    np.testing.assert_allclose(seen[0], row, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": "sigmoid"},
        {"uses_norms": True},
        {"kind": "sigmoid", "uses_norms": True, "temperature": 2.0},
    ],
)
def test_the_gradient_of_a_label_is_that_of_its_log_odds(changes):
    pre = Preprocessing(8, 8, 8, "squeeze", 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    head = make_head(Space("fake", "0" * 64, pre, "cls", 6), **changes)
    raw = np.random.default_rng(2).normal(size=6)

    def log_odds(raw: np.ndarray) -> float:
        norm = np.linalg.norm(raw)
        scaled = (head.weight @ (raw if head.uses_norms else raw / norm) + head.bias) / head.temperature
        if head.kind == "sigmoid":
            return scaled[1]
        return scaled[1] - np.log(np.exp(scaled[0]) + np.exp(scaled[2]))

    steps = 1e-4 * np.eye(6)
    expected = [(log_odds(raw + step) - log_odds(raw - step)) / 2e-4 for step in steps]
    norm = float(np.linalg.norm(raw))
    found = label_gradient(head, "dog")((raw / norm).astype(np.float32), norm)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_label_that_the_head_does_not_have_is_named():
    pre = Preprocessing(8, 8, 8, "squeeze", 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(HeadError, match="no label 'bird': it has 'cat', 'dog', 'fish'"):
        label_gradient(make_head(Space("fake", "0" * 64, pre, "cls", 6)), "bird")


FITS: dict[str, tuple[Fit, int]] = {
    "crop": ("crop", 40),
    "crop of a smaller frame": ("crop", 24),
    "squeeze": ("squeeze", 32),
    "squeeze, then crop": ("squeeze", 40),
    "pad": ("pad", 32),
}


@pytest.mark.parametrize("size", [(300, 200), (150, 310), (90, 90)])
@pytest.mark.parametrize("fit", FITS)
def test_the_seen_box_is_where_the_prepared_pixels_come_from(fit, size):
    """Each pixel's colour says where it was; the line through them leads to the edges of the input."""
    width, height = size
    across = np.broadcast_to((np.arange(width) + 0.5) / width * 250, (height, width))
    down = np.broadcast_to(((np.arange(height) + 0.5) / height * 250)[:, None], (height, width))
    place = Image.fromarray(
        np.stack([across, down, np.full((height, width), 250)], axis=2).round().astype(np.uint8)
    )
    pre = Preprocessing(32, 32, FITS[fit][1], FITS[fit][0], 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    pixels = prepare(place, pre).astype(float)
    left, top, right, bottom = seen_box(size, pre)
    real = pixels[..., 2] > 200
    # Within a pixel of the frame's edge, resampling mixes unevenly.
    inner = real & (pixels[..., :2] > 12).all(axis=2) & (pixels[..., :2] < 238).all(axis=2)
    rows, columns = np.nonzero(inner)
    assert len(rows) > 200
    seen_x = left + (columns + 0.5) / 32 * (right - left)
    seen_y = top + (rows + 0.5) / 32 * (bottom - top)
    np.testing.assert_allclose(seen_x, pixels[inner][:, 0] / 250 * width, atol=0.006 * width)
    np.testing.assert_allclose(seen_y, pixels[inner][:, 1] / 250 * height, atol=0.006 * height)


def test_the_heat_lies_where_the_patch_was_and_the_rest_is_grey_and_dark(checkpoints, tmp_path):
    model = model_of(checkpoints("clip"), tmp_path)  # 4 x 4 patches of the centre square
    photo = Image.new("RGB", (400, 200), (40, 120, 200))
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    drawn = np.asarray(draw_heat(photo, heat, model.spec)).astype(int)
    assert drawn.shape == (200, 400, 3)
    outside = np.concatenate([drawn[:, :100], drawn[:, 300:]], axis=1)
    assert (outside == outside[0, 0, 0]).all()
    assert outside[0, 0, 0] < 50
    # The patch in row 1, column 2 of the square from x = 100 has its centre at (225, 75).
    y, x = np.unravel_index(drawn[..., 0].argmax(), drawn.shape[:2])
    assert abs(x - 225) <= 15
    assert abs(y - 75) <= 15
    assert drawn[75, 225, 0] == 188  # 0.7 of the brightest colour
    assert drawn[150, 150].tolist() == [22, 66, 110]


def test_a_photo_that_is_attended_to_evenly_shows_no_heat(checkpoints, tmp_path):
    model = model_of(checkpoints("clip"), tmp_path)
    photo = Image.new("RGB", (64, 64), (100, 100, 100))
    drawn = np.asarray(draw_heat(photo, np.full((4, 4), 0.2, np.float32), model.spec))
    assert (drawn == 55).all()


def test_large_photos_are_drawn_smaller_and_heads_on_one_sheet(checkpoints, tmp_path):
    model = model_of(checkpoints("clip"), tmp_path)
    photo = Image.new("RGB", (3000, 2000), (90, 90, 90))
    assert draw_heat(photo, np.eye(4, dtype=np.float32), model.spec).size == (1200, 800)
    sheet = draw_heads(photo, np.stack([np.eye(4, dtype=np.float32)] * 5), model.spec)
    assert sheet.size == (4 * 270 + 10, 2 * (173 + 24 + 10) + 10)


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


@pytest.fixture
def command(checkpoints, tmp_path):
    def call(*arguments: object):
        options = ["--library", tmp_path / "library", "--cache", tmp_path / "cache"]
        return CliRunner().invoke(cli, [str(part) for part in (*options, "explain", *arguments)])

    return call


def test_the_picture_is_that_of_the_upright_photo(command, checkpoints, noise, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise.save(tmp_path / "upright.png")
    noise.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "stored.png", exif=exif)
    model = checkpoints("dinov2")
    for name in ("upright", "stored"):
        done = command(
            tmp_path / f"{name}.png", "--out", tmp_path / f"{name}-seen.png", "--model", model, "--json"
        )
        assert json.loads(done.stdout) == {
            "path": str(tmp_path / f"{name}-seen.png"),
            "image": str(tmp_path / f"{name}.png"),
            "model": str(model),
            "rows": 4,
            "columns": 4,
        }
    assert size_of(tmp_path / "upright-seen.png") == (70, 50)
    assert (tmp_path / "upright-seen.png").read_bytes() == (tmp_path / "stored-seen.png").read_bytes()


def test_a_library_s_own_model_is_used_and_can_show_what_sets_a_photo_apart(
    command, checkpoints, noise, tmp_path
):
    photos = tmp_path / "photos"
    photos.mkdir()
    random = np.random.default_rng(3)
    for number in range(16):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(photos / f"{number}.png")
    noise.save(tmp_path / "query.png")
    with Library.open(tmp_path / "library", cache=tmp_path / "cache") as library:
        library.index([photos], model=str(checkpoints("vit")))
        space = library.catalog.require_space().space
        rows = library.neighbours().rows(library.neighbours().ids())
        mean = rows.mean(axis=0)
        raw = random.normal(size=32).astype(np.float32)
        row, norm = raw / np.linalg.norm(raw), float(np.linalg.norm(raw))
        expected = (row - mean - row * float((row - mean) @ row)) / norm
        np.testing.assert_allclose(apart_gradient(library.catalog)(row, norm), expected, atol=1e-5)

    pictures = {}
    for name, options in (("default", []), ("apart", ["--apart"]), ("rollout", ["--layer", "rollout"])):
        done = command(tmp_path / "query.png", "--out", tmp_path / f"{name}.png", *options, "--json")
        assert json.loads(done.stdout)["model"] == space.model
        pictures[name] = (tmp_path / f"{name}.png").read_bytes()
    assert pictures["default"] == pictures["apart"] != pictures["rollout"]


def test_a_library_of_few_photos_gets_attention_alone_and_says_so(command, checkpoints, noise, tmp_path):
    (tmp_path / "photos").mkdir()
    noise.save(tmp_path / "photos" / "one.png")
    with Library.open(tmp_path / "library", cache=tmp_path / "cache") as library:
        library.index([tmp_path / "photos"], model=str(checkpoints("vit")))
    query = tmp_path / "photos" / "one.png"
    done = command(query, "--out", tmp_path / "default.png")
    assert done.stderr == "showing attention alone: there is no library of enough photos to compare with\n"
    assert command(query, "--out", tmp_path / "rollout.png", "--layer", "rollout").stderr == ""
    assert (tmp_path / "default.png").read_bytes() == (tmp_path / "rollout.png").read_bytes()


def test_apart_needs_photos_to_be_apart_from(library, picture, tmp_path):
    picture(tmp_path / "photos" / "one.png")
    library.index([tmp_path / "photos"])
    with pytest.raises(BadQuery, match="holds 1 photos, too few"):
        apart_gradient(library.catalog)


def test_a_head_of_the_library_says_which_model_and_what_label(command, checkpoints, noise, tmp_path):
    space = describe(str(checkpoints("vit")), cache=tmp_path / "cache").spec.space
    save_head(make_head(space), tmp_path / "pets.safetensors")
    with Library.open(tmp_path / "library", cache=tmp_path / "cache") as library:
        HeadStore(library).load(tmp_path / "pets.safetensors")
    noise.save(tmp_path / "query.png")
    arguments = (tmp_path / "query.png", "--out", tmp_path / "why.png", "--head")
    assert command(*arguments, "pets", "--label", "cat").exit_code == 0
    assert size_of(tmp_path / "why.png") == (70, 50)
    assert "no label 'bird'" in str(command(*arguments, "pets", "--label", "bird").exception)
    assert "no head 'plants'" in str(command(*arguments, "plants", "--label", "cat").exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--head", "pets"),
        ("--label", "cat"),
        ("--layer", "last", "--apart"),
        ("--apart", "--model", "vit-base"),
        ("--layer", "third"),
    ],
)
def test_options_that_do_not_fit_together_are_wrong_usage(command, arguments):
    assert command("photo.jpg", "--out", "seen.png", *arguments).exit_code == 2


def test_a_picture_of_an_unknown_kind_and_a_photo_that_is_not_there_are_errors(
    command, checkpoints, noise, tmp_path
):
    noise.save(tmp_path / "query.png")
    done = command(tmp_path / "query.png", "--out", tmp_path / "seen.xyz", "--model", checkpoints("vit"))
    assert "cannot write the picture" in str(done.exception)
    assert not (tmp_path / "seen.xyz").exists()
    done = command(tmp_path / "nothing.png", "--out", tmp_path / "seen.png")
    assert isinstance(done.exception, UnreadablePhoto)


def test_a_person_who_waits_sees_what_is_being_done(checkpoints, noise, tmp_path):
    noise.save(tmp_path / "query.png")
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        tmp_path / "library",
        "explain",
        tmp_path / "query.png",
    ]
    done = on_terminal([*command, "--out", tmp_path / "seen.png", "--model", checkpoints("vit")])
    assert (done.status, done.lines) == (0, [str(tmp_path / "seen.png")])
    assert "loading the model" in done.sent
