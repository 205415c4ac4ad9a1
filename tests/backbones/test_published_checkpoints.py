"""Checkpoints as their authors publish them compute what their authors' models compute."""

import json
import os
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.support.fake_hub import fake_hub
from tests.support.published_models import NamedViT, OpenClip, TorchvisionViT, scatter
from tests.support.questions import ask
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.backbones import describe, load_backbone, load_for_space
from vitsearch.backbones.families.torchvision_files import recipe
from vitsearch.backbones.weights import canonical_name, is_cached, obtain
from vitsearch.errors import UnknownModel, WeightsUnavailable
from vitsearch.heads.from_checkpoint import import_head

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
FACEBOOK = {"resize": 256, "edge": 224, "resample": BICUBIC, "norm": IMAGENET}
DINOV2 = {"image": 518, "patch": 14, "mask": True, "scaled": True}


@pytest.fixture
def photos():
    generator = np.random.default_rng(7)
    sizes = [(300, 200), (200, 290), (512, 512)]
    coarse = [generator.integers(0, 256, (h // 20, w // 20, 3), dtype=np.uint8) for w, h in sizes]
    return [
        Image.fromarray(part).resize(size, Image.Resampling.BICUBIC)
        for part, size in zip(coarse, sizes, strict=True)
    ]


def prepared(photos, *, resize, edge, resample, norm, squash=False):
    """Prepare photos as torchvision's Resize, CenterCrop and Normalize do: (n, 3, edge, edge)."""
    values = []
    for photo in photos:
        short, long = min(photo.size), max(photo.size)
        width, height = (
            (resize, int(resize * long / short))
            if photo.width <= photo.height
            else (int(resize * long / short), resize)
        )
        resized = photo.resize((resize, resize) if squash else (width, height), resample)
        left, top = (resized.width - edge) // 2, (resized.height - edge) // 2
        cut = np.asarray(resized.crop((left, top, left + edge, top + edge)), np.float32) / 255
        values.append(((cut - norm[0]) / norm[1]).transpose(2, 0, 1))
    return torch.tensor(np.stack(values), dtype=torch.float32)


def cosines(one, two):
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def embedded(path, photos, tmp_path, **options):
    backbone = load_backbone(
        str(path), cache=tmp_path / "cache", device="cpu", **{"runtime": "torch"} | options
    )
    return backbone, backbone.embed_batch(np.stack([backbone.prepare(photo) for photo in photos]))


def check(model, path, photos, tmp_path, **preparation):
    """Ask that the file's vectors are the model's own, and that their cosines tell photos apart at all."""
    with torch.inference_mode():
        expected = model.features(prepared(photos, **preparation)).numpy()
    backbone, found = embedded(path, photos, tmp_path)
    assert cosines(expected[:1], expected[1:2]) < 0.99
    assert cosines(found.rows, expected).min() >= 0.9999
    assert np.allclose(found.norms, np.linalg.norm(expected, axis=1), rtol=1e-3)
    return backbone


def probabilities(head, backbone, photos):
    found = backbone.embed_batch(np.stack([backbone.prepare(photo) for photo in photos]))
    return head.probabilities(found.rows, found.norms)


# torchvision


def torchvision_file(folder, *, legacy=True, name="vit_b_16-c867db91.pth", **shape):
    model = scatter(TorchvisionViT(**shape))
    tensors = dict(model.state_dict())
    if legacy:
        for old, new in (("mlp.0.", "mlp.linear_1."), ("mlp.3.", "mlp.linear_2.")):
            tensors = {key.replace(old, new): value for key, value in tensors.items()}
    torch.save(tensors, folder / name)
    return model, folder / name


@pytest.mark.parametrize(
    ("legacy", "width", "heads", "patch"), [(True, 128, 2, 16), (False, 128, 2, 32), (True, 1280, 16, 14)]
)
def test_torchvision(photos, tmp_path, legacy, width, heads, patch):
    model, file = torchvision_file(tmp_path, legacy=legacy, width=width, heads=heads, patch=patch)
    resize, resample = (224, BICUBIC) if width == 1280 else (256, BILINEAR)
    check(model, file, photos, tmp_path, resize=resize, edge=224, resample=resample, norm=IMAGENET)


def test_torchvision_of_another_input_size_takes_it_without_a_margin(photos, tmp_path):
    model, file = torchvision_file(tmp_path, image=384, name="vit_b_16_swag-9ac1b537.pth")
    check(model, file, photos, tmp_path, resize=384, edge=384, resample=BICUBIC, norm=IMAGENET)


@pytest.mark.parametrize(
    ("digest", "name", "edge", "width", "patch", "expected"),
    [
        ("c867db91", "renamed.pth", 224, 768, 16, (256, 2, "not stated")),
        ("4e70ced5", "renamed.pth", 224, 768, 16, (224, 3, "CC-BY-NC-4.0")),
        ("9ac1b537", "vit_b_16_swag-9ac1b537.pth", 384, 768, 16, (384, 3, "CC-BY-NC-4.0")),
        ("d86f8d99", "vit_b_32-d86f8d99.pth", 224, 768, 32, (256, 2, "not stated")),
        ("852ce7e3", "vit_l_16-852ce7e3.pth", 224, 1024, 16, (242, 2, "not stated")),
        ("c7638314", "vit_l_32-c7638314.pth", 224, 1024, 32, (256, 2, "not stated")),
        ("c1eb923e", "vit_h_14_lc_swag-c1eb923e.pth", 224, 1280, 14, (224, 3, "CC-BY-NC-4.0")),
        ("00000000", "mine.pth", 224, 1024, 16, (242, 2, "not stated")),
        ("00000000", "my_swag.pth", 224, 768, 16, (224, 3, "not stated")),
    ],
)
def test_torchvision_prepares_each_published_file_in_its_own_way(digest, name, edge, width, patch, expected):
    assert recipe(sha256=digest + 56 * "0", name=name, edge=edge, width=width, patch=patch) == expected


def test_torchvision_classifier_gives_the_same_probabilities_under_imagenet_names(photos, tmp_path):
    model, file = torchvision_file(tmp_path)
    with torch.inference_mode():
        logits = model(prepared(photos, resize=256, edge=224, resample=BILINEAR, norm=IMAGENET))
    backbone, _ = embedded(file, photos, tmp_path)
    head = import_head("imagenet", str(file), cache=tmp_path / "cache")
    found = probabilities(head, backbone, photos)
    assert np.abs(found - logits.softmax(1).numpy()).max() <= 1e-4
    assert (found.argsort(1)[:, -5:] == logits.numpy().argsort(1)[:, -5:]).all()
    assert head.space == backbone.space
    names = head.labels[0], head.labels[134], head.labels[517], head.labels[999]
    assert names == (
        "tench, Tinca tinca",
        "crane",
        "crane (517)",
        "toilet tissue, toilet paper, bathroom tissue",
    )


# DINO and DINOv2


@pytest.mark.parametrize("patch", [16, 8])
def test_dino(photos, tmp_path, patch):
    model = scatter(NamedViT(patch=patch))
    torch.save(model.state_dict(), tmp_path / "dino_deitsmall16_pretrain.pth")
    check(model, tmp_path / "dino_deitsmall16_pretrain.pth", photos, tmp_path, **FACEBOOK)


@pytest.mark.parametrize("gated", [(), ("w12", "w3")])
@pytest.mark.parametrize("registers", [0, 4])
def test_dinov2(photos, tmp_path, registers, gated):
    model = scatter(NamedViT(**DINOV2, registers=registers, register_name="register_tokens", gated=gated))
    file = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save(model.state_dict(), file)
    backbone = check(model, file, photos, tmp_path, **FACEBOOK)
    described = describe(str(file), cache=tmp_path / "cache")
    assert described.spec.architecture == ("dinov2_with_registers" if registers else "dinov2")
    assert described.spec.tokens == f"256 + {1 + registers}"
    assert described.notes.startswith("read as DINOv2")
    assert described.spec.space == backbone.space


def test_a_checkpoint_runs_as_a_compiled_graph_too(photos, tmp_path):
    model = scatter(NamedViT(**DINOV2))
    torch.save(model.state_dict(), tmp_path / "dinov2_vits14_pretrain.pth")
    with torch.inference_mode():
        expected = model.features(prepared(photos, **FACEBOOK)).numpy()
    _, found = embedded(tmp_path / "dinov2_vits14_pretrain.pth", photos, tmp_path, runtime="openvino")
    assert cosines(found.rows, expected).min() >= 0.9999


# timm


def timm_folder(folder, model, architecture, *, norm=HALF, size=224, **config):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(model.state_dict()), folder / "model.safetensors")
    known = {
        "input_size": [3, size, size],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
        "mean": norm[0],
        "std": norm[1],
        "license": "apache-2.0",
        "classifier": "head",
    } | config.pop("pretrained_cfg", {})
    described = {"architecture": architecture, "num_features": model.cls_token.shape[-1], **config}
    (folder / "config.json").write_text(json.dumps(described | {"pretrained_cfg": known}))
    return folder


TIMM = {"resize": 248, "edge": 224, "resample": BICUBIC, "norm": HALF}
TIMM_MODELS: dict[str, dict[str, Any]] = {
    "vit_base_patch16_224": {},
    "vit_base_patch16_224.in1k": {"classes": 1000},
    "deit3_base_patch16_224": {"classes": 1000, "scaled": True, "embed_class": False},
    "flexivit_base": {"embed_class": False},
    "deit_base_distilled_patch16_224": {"classes": 1000, "distilled": True},
    "vit_small_patch14_dinov2": {"image": 224, "patch": 14, "scaled": True},
    "vit_giant_patch14_dinov2": {"image": 224, "patch": 14, "scaled": True, "gated": ("fc1", "fc2")},
    "vit_small_patch14_reg4_dinov2": {
        "image": 224,
        "patch": 14,
        "scaled": True,
        "registers": 4,
        "embed_class": False,
    },
}


@pytest.mark.parametrize("architecture", TIMM_MODELS)
def test_timm(photos, tmp_path, architecture):
    model = scatter(NamedViT(**TIMM_MODELS[architecture]))
    folder = timm_folder(tmp_path / "timm", model, architecture)
    backbone = check(model, folder, photos, tmp_path, **TIMM)
    alone = describe(str(folder / "model.safetensors"), cache=tmp_path / "cache").spec.space
    assert alone.fingerprint == backbone.space.fingerprint


@pytest.mark.parametrize(
    "architecture", ["vit_base_patch16_224.in1k", "deit3_base_patch16_224", "deit_base_distilled_patch16_224"]
)
def test_timm_classifiers_give_the_same_probabilities(photos, tmp_path, architecture):
    model = scatter(NamedViT(**TIMM_MODELS[architecture]))
    folder = timm_folder(tmp_path / "timm", model, architecture)
    with torch.inference_mode():
        expected = model(prepared(photos, **TIMM)).softmax(1).numpy()
    head = import_head("imagenet", str(folder), cache=tmp_path / "cache")
    backbone, _ = embedded(folder, photos, tmp_path, readout=head.space.readout)
    assert np.abs(probabilities(head, backbone, photos) - expected).max() <= 1e-4
    assert head.labels[1] == "goldfish, Carassius auratus"


def test_timm_labels_are_those_of_the_configuration(tmp_path):
    model = scatter(NamedViT(classes=3))
    named = {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "cat", "n3": "owl"}}
    folder = timm_folder(tmp_path / "timm", model, "vit_base_patch16_224", **named)
    assert import_head("mine", str(folder), cache=tmp_path / "cache").labels == ("cat", "n2", "owl")


def test_timm_can_squash_the_frame(photos, tmp_path):
    model = scatter(NamedViT())
    squash = {"crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bilinear"}
    folder = timm_folder(tmp_path / "timm", model, "vit_base_patch16_224", pretrained_cfg=squash)
    preparation = {"resize": 224, "edge": 224, "resample": BILINEAR, "norm": HALF, "squash": True}
    check(model, folder, photos, tmp_path, **preparation)


@pytest.mark.parametrize("quick", [True, False])
def test_timm_clip_towers_are_read_at_their_projection(photos, tmp_path, quick):
    model = scatter(NamedViT(pre_norm=True, classes=48, quick=quick))
    torch.nn.init.zeros_(model.head.bias)
    model.features = model.forward
    name = f"vit_base_patch16_clip{'_quickgelu' if quick else ''}_224"
    folder = timm_folder(tmp_path / "timm", model, name, norm=CLIP)
    check(model, folder, photos, tmp_path, resize=248, edge=224, resample=BICUBIC, norm=CLIP)


def test_timm_models_that_pool_patches_are_refused_in_one_line(tmp_path):
    model = scatter(NamedViT())
    model.add_module("fc_norm", torch.nn.LayerNorm(128))
    folder = timm_folder(tmp_path / "timm", model, "vit_medium_patch16_gap_240")
    with pytest.raises(WeightsUnavailable, match=r"pools its patches \(vit_medium_patch16_gap_240\)"):
        obtain(str(folder), cache=tmp_path / "cache", notice=print)


def test_a_model_of_timm_comes_from_the_hub_and_its_pickle_is_not_even_fetched(tmp_path):
    model = scatter(NamedViT(classes=1000))
    folder = timm_folder(tmp_path / "timm", model, "vit_tiny_patch16_224")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with fake_hub("timm/vit_tiny_patch16_224.augreg", folder) as (endpoint, fetched):
        kept = ask("obtain", "timm/vit_tiny_patch16_224.augreg", tmp_path, endpoint=endpoint)
        assert "converted" in kept
        asked = len(fetched)
        assert ask("obtain", "timm/vit_tiny_patch16_224.augreg", tmp_path, endpoint=endpoint) == kept
        assert len(fetched) == asked
    assert not any("pytorch_model" in path for path in fetched)


def test_pickled_weights_in_a_folder_or_on_the_hub_stay_refused(tmp_path):
    model = scatter(NamedViT(classes=1000))
    folder = timm_folder(tmp_path / "timm", model, "vit_tiny_patch16_224")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(WeightsUnavailable, match="has only pickled weights"):
        obtain(str(folder), cache=tmp_path / "cache", notice=print)
    with fake_hub("timm/vit_tiny_patch16_224.augreg", folder) as (endpoint, _):
        said = ask("obtain", "timm/vit_tiny_patch16_224.augreg", tmp_path, endpoint=endpoint)
    assert said.startswith("WeightsUnavailable")


# OpenCLIP


def open_clip_folder(folder, model, *, quick, tokenizer=True, head_width=64, **preprocess):
    if tokenizer:
        make_checkpoint("clip", folder)
        for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
            (folder / name).unlink()
    folder.mkdir(exist_ok=True)
    save_file(dict(model.state_dict()), folder / "open_clip_model.safetensors")
    cfg = {
        "embed_dim": 48,
        "quick_gelu": quick,
        "vision_cfg": {
            "image_size": 64,
            "layers": 2,
            "width": 128,
            "patch_size": 16,
            "head_width": head_width,
        },
        "text_cfg": {"context_length": 16, "vocab_size": 12, "width": 64, "heads": 1, "layers": 2},
    }
    described = {"model_cfg": cfg, "preprocess_cfg": {"mean": CLIP[0], "std": CLIP[1], **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(("quick", "head_width"), [(True, 64), (False, 32)])
def test_open_clip_reads_photos_and_words(photos, tmp_path, quick, head_width):
    model = scatter(OpenClip(quick=quick, head_width=head_width))
    folder = open_clip_folder(tmp_path / "open", model, quick=quick, head_width=head_width)
    backbone = check(model, folder, photos, tmp_path, resize=64, edge=64, resample=BICUBIC, norm=CLIP)
    texts = ["a photo of red shoe", "green hat"]
    # The tokenizer of these tests has twelve words, and ends a text with 2; OpenCLIP reads at the highest number.
    ids = torch.tensor([[10, 4, 5, 6, 7, 9, 11], [10, 8, 11, 0, 0, 0, 0]])
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    assert [words[word] for word in texts[0].split()] == [4, 5, 6, 7, 9]
    with torch.inference_mode():
        expected = model.encode_text(ids)[:1].numpy()
    vocabulary = {**words, "<s>": 10, "</s>": 11, "dress": 1, "hat": 2}
    tokenizer["model"]["vocab"] = vocabulary
    tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"] = [10]
    tokenizer["post_processor"]["special_tokens"]["</s>"]["ids"] = [11]
    for token in tokenizer["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    found = load_for_space(
        load_backbone(str(folder), cache=tmp_path / "fresh", device="cpu", runtime="torch").space,
        cache=tmp_path / "fresh",
        device="cpu",
        runtime="torch",
    ).embed_texts(texts[:1])
    assert cosines(found.rows, expected).min() >= 0.9999
    assert backbone.space.dimension == 48


def test_open_clip_without_a_tokenizer_reads_photos_and_says_so(photos, tmp_path):
    model = scatter(OpenClip())
    folder = open_clip_folder(
        tmp_path / "open", model, quick=False, tokenizer=False, interpolation="bilinear", resize_mode="squash"
    )
    preparation = {"resize": 64, "edge": 64, "resample": BILINEAR, "norm": CLIP, "squash": True}
    check(model, folder, photos, tmp_path, **preparation)
    described = describe(str(folder), cache=tmp_path / "cache")
    assert not described.spec.has_text
    assert described.notes == "read as a model of OpenCLIP, without its text tower"


def test_open_clip_weights_as_a_training_run_leaves_them(photos, tmp_path):
    model = scatter(OpenClip())
    folder = open_clip_folder(tmp_path / "open", model, quick=False)
    wrapped = {
        "epoch": 3,
        "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()},
    }
    torch.save(wrapped, folder / "epoch_3.pt")
    check(model, folder / "epoch_3.pt", photos, tmp_path, resize=64, edge=64, resample=BICUBIC, norm=CLIP)
    (folder / "open_clip_config.json").unlink()
    with pytest.raises(WeightsUnavailable, match=r"put the open_clip_config\.json .* beside it"):
        obtain(str(folder / "epoch_3.pt"), cache=tmp_path / "cache", notice=print)


# What is kept


def test_what_was_read_is_kept_as_safetensors_and_outlives_its_file(photos, tmp_path, monkeypatch):
    _, file = torchvision_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    backbone, found = embedded(f"./{file.name}", photos, tmp_path)
    assert backbone.space.model == str(file) == canonical_name(f"./{file.name}")
    first = obtain(str(file), cache=tmp_path / "cache", notice=print)
    written = (first.folder / "model.safetensors").stat()
    assert obtain(str(file), cache=tmp_path / "cache", notice=print) == first
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == written.st_mtime_ns
    file.unlink()
    again = load_for_space(backbone.space, cache=tmp_path / "cache", device="cpu", runtime="torch")
    rows = again.embed_batch(np.stack([again.prepare(photo) for photo in photos])).rows
    assert np.allclose(rows, found.rows, atol=1e-6)
    assert not is_cached(str(file), cache=tmp_path / "cache")


def test_another_file_at_the_same_path_is_another_model(photos, tmp_path):
    _, file = torchvision_file(tmp_path)
    one, _ = embedded(file, photos, tmp_path)
    torch.save(scatter(TorchvisionViT(), seed=1).state_dict(), file)
    os.utime(file, ns=(1, 1))
    two, _ = embedded(file, photos, tmp_path)
    assert one.space.fingerprint != two.space.fingerprint


def test_half_precision_is_read_as_float32(photos, tmp_path):
    model = scatter(NamedViT()).half().float()
    torch.save({name: value.half() for name, value in model.state_dict().items()}, tmp_path / "half.pth")
    check(model, tmp_path / "half.pth", photos, tmp_path, **FACEBOOK)


# What is refused


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    ("suffix", "writer"), [(".pth", "torch"), (".pt", "legacy"), (".bin", "pickle"), (".ckpt", "torch")]
)
def test_a_hostile_pickle_is_refused_and_nothing_in_it_runs(tmp_path, suffix, writer):
    mark, file = tmp_path / "was-run", tmp_path / f"vit_b_16{suffix}"
    content = {**TorchvisionViT().state_dict(), "extra": Hostile(mark)}
    if writer == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(WeightsUnavailable, match=r"is refused: .* nothing in it was run"):
        obtain(str(file), cache=tmp_path / "cache", notice=print)
    assert not mark.exists()
    assert not is_cached(str(file), cache=tmp_path / "cache")
    pickle.loads(file.read_bytes()) if writer == "pickle" else torch.load(file, weights_only=False)
    assert mark.exists()


def test_a_tensor_that_claims_more_values_than_the_file_holds_is_refused(tmp_path):
    content = TorchvisionViT().state_dict() | {"class_token": torch.zeros(1).expand(1, 1, 10**12)}
    torch.save(content, tmp_path / "vast.pth")
    with pytest.raises(WeightsUnavailable, match="claims more values than there are"):
        obtain(str(tmp_path / "vast.pth"), cache=tmp_path / "cache", notice=print)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"fc.weight": torch.zeros(3, 3)}, "is no checkpoint of a known family"),
        (
            {**NamedViT().state_dict(), "head.weight": torch.zeros(9, 128)},
            "has a classifier and no config.json",
        ),
        ([1, 2], "holds no tensors by name"),
        ({"class_token": "x"}, "holds class_token, which is no tensor"),
        (
            {**TorchvisionViT().state_dict(), "heads.pre_logits.weight": torch.zeros(2, 2)},
            "has heads.pre_logits.weight, which its family's published models do not have",
        ),
        (
            {k: v for k, v in TorchvisionViT(layers=3).state_dict().items() if "_layer_1." not in k},
            "lacks some of its blocks",
        ),
        (
            {k: v for k, v in TorchvisionViT().state_dict().items() if "layer_1.ln_2" not in k},
            "calls vit.encoder.layer.1.layernorm_after.weight|calls vit.encoder.layer.1.layernorm_after.bias",
        ),
        (
            {**TorchvisionViT().state_dict(), "encoder.pos_embedding": torch.zeros(3)},
            "not its shapes",
        ),
        (TorchvisionViT(width=96).state_dict(), "is 96 wide"),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused_in_one_line(tmp_path, content, said):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsUnavailable, match=said) as refused:
        load_backbone(str(tmp_path / "odd.pth"), cache=tmp_path / "cache", device="cpu", runtime="torch")
    assert len(str(refused.value).splitlines()) == 1


def test_files_that_are_no_checkpoints_say_what_is_one(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    make_checkpoint("vit", tmp_path / "vit")
    cache = tmp_path / "cache"
    with pytest.raises(WeightsUnavailable, match="is no checkpoint: name a folder, or a file that ends in"):
        describe(str(tmp_path / "photo.jpg"), cache=cache)
    with pytest.raises(WeightsUnavailable, match="is refused"):
        describe(str(tmp_path / "cut.pth"), cache=cache)
    with pytest.raises(WeightsUnavailable, match="belongs to a transformers checkpoint: name its folder"):
        describe(str(tmp_path / "vit" / "model.safetensors"), cache=cache)
    with pytest.raises(UnknownModel, match="there is no file weights/missing"):
        describe("weights/missing.pth", cache=cache)
