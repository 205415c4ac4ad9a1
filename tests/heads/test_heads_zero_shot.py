"""Heads written in words agree with CLIP's and SigLIP's own logits."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.backbones import load_backbone
from vitsearch.errors import HeadError, NoTextTower
from vitsearch.heads.zero_shot import head_from_text, read_label_list

LABELS = ("red shoe", "green dress", "hat")
MODELS = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def open_model(architecture, tmp_path, cache):
    folder = make_checkpoint(architecture, tmp_path / "model")
    return folder, load_backbone(str(folder), cache=cache, device="cpu", runtime="torch")


@pytest.mark.parametrize("architecture", ["clip", "siglip"])
def test_logits_and_probabilities_are_those_of_the_model_itself(architecture, tmp_path, cache):
    folder, backbone = open_model(architecture, tmp_path, cache)
    head = head_from_text("things", LABELS, backbone, cache=cache, templates=["a photo of {}"])
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3), np.uint8)
    pixels = np.stack([backbone.prepare(Image.fromarray(each).resize((70, 50))) for each in coarse])
    found = backbone.embed_batch(pixels)

    pre = backbone.space.preprocessing
    values = (
        torch.from_numpy((pixels / 255 - np.array(pre.mean)) / np.array(pre.std)).float().permute(0, 3, 1, 2)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": True} if architecture == "clip" else {"padding": "max_length", "max_length": 16}
    tokens = tokenizer([f"a photo of {label}" for label in LABELS], return_tensors="pt", **padding)
    model = MODELS[architecture].from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(pixel_values=values, **tokens).logits_per_image
    assert expected.std() > 1e-2, "logits that are all alike would show nothing"
    np.testing.assert_allclose(head.logits(found.rows, found.norms), expected, atol=1e-3)

    chances = expected.softmax(dim=1) if architecture == "clip" else expected.sigmoid()
    np.testing.assert_allclose(head.probabilities(found.rows, found.norms), chances, atol=1e-3)
    assert head.kind == ("softmax" if architecture == "clip" else "sigmoid")


def test_weights_are_the_mean_direction_of_the_prompts(tmp_path, cache):
    _, backbone = open_model("clip", tmp_path, cache)
    head = head_from_text("things", ("hat", "shoe"), backbone, cache=cache, templates=["a {}", "red {}"])
    rows = backbone.embed_texts(["a hat", "red hat", "a shoe", "red shoe"]).rows
    means = rows.reshape(2, 2, -1).mean(axis=1)
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(
        head.weight / np.linalg.norm(head.weight, axis=1, keepdims=True), expected, atol=1e-5
    )
    assert head.details == {"templates": ["a {}", "red {}"]}


def test_many_labels_are_embedded_in_batches_with_the_same_result(tmp_path, cache):
    _, backbone = open_model("siglip", tmp_path, cache)
    words = ["red", "green", "shoe", "dress", "hat", "photo", "of"]
    labels = [f"{a} {b} {c}" for a in words for b in words for c in words]
    head = head_from_text("many", labels, backbone, cache=cache)
    assert head.labels == tuple(labels)
    alone = head_from_text("one", labels[300:301], backbone, cache=cache)
    np.testing.assert_allclose(head.weight[300], alone.weight[0], atol=1e-4)


def test_braces_in_a_label_are_just_characters(tmp_path, cache):
    _, backbone = open_model("clip", tmp_path, cache)
    assert head_from_text("odd", ["{0.__class__}", "{}"], backbone, cache=cache).labels == (
        "{0.__class__}",
        "{}",
    )


def test_a_model_without_a_text_tower_says_which_one_has_it(tmp_path, cache):
    _, backbone = open_model("vit", tmp_path, cache)
    with pytest.raises(NoTextTower, match="has no text tower"):
        head_from_text("things", LABELS, backbone, cache=cache)


@pytest.mark.parametrize("templates", [["a photo"], [], ["{}", "no place"]])
def test_a_template_without_a_place_for_the_label_is_refused(tmp_path, cache, templates):
    _, backbone = open_model("clip", tmp_path, cache)
    with pytest.raises(HeadError, match="where the label goes"):
        head_from_text("things", LABELS, backbone, cache=cache, templates=templates)


def test_a_label_list_is_one_label_a_line(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffbeach\n\n  old town \r\nねこ\n", encoding="utf-8")
    assert read_label_list(path) == ("beach", "old town", "ねこ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs labels"),
        (b"a\nb\na\n", "'a' is there twice"),
        (b"\xff\xfe", r"\(its byte 1 is not UTF-8\): it must be a UTF-8 text file"),
    ],
)
def test_a_label_list_that_cannot_be_used_is_refused(tmp_path, content, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(HeadError, match=message):
        read_label_list(path)
