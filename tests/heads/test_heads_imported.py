"""Classifiers that come with a checkpoint label photos as transformers itself does."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tests.support.classifiers import CLASSIFIERS, VIT, save_classifier
from tests.support.tiny_checkpoints import ARCHITECTURES, make_checkpoint
from vitsearch.backbones import load_backbone, load_for_space
from vitsearch.errors import HeadError
from vitsearch.heads.from_checkpoint import import_head


def pictures(count: int = 3) -> list[Image.Image]:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 5, 7, 3), np.uint8)
    return [Image.fromarray(pixels).resize((70, 50), Image.Resampling.BICUBIC) for pixels in coarse]


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_an_imported_head_agrees_with_transformers(architecture, tmp_path):
    model = save_classifier(architecture, tmp_path / "model")
    head = import_head("imagenet", str(tmp_path / "model"), cache=tmp_path / "cache")
    backbone = load_for_space(head.space, cache=tmp_path / "cache", device="cpu", runtime="torch")
    pixels = np.stack([backbone.prepare(picture) for picture in pictures()])
    found = backbone.embed_batch(pixels)

    pre = head.space.preprocessing
    values = (pixels / 255 - np.array(pre.mean)) / np.array(pre.std)
    with torch.inference_mode():
        expected = model(torch.from_numpy(values).float().permute(0, 3, 1, 2)).logits
    assert expected.std(dim=0).min() > 1e-3, "pictures that all give the same logits would show nothing"
    np.testing.assert_allclose(head.logits(found.rows, found.norms), expected, atol=1e-3)

    top = expected.softmax(dim=1).topk(5)
    for labelling, indices, probabilities in zip(
        head.top(found.rows, found.norms, k=5), top.indices.tolist(), top.values.tolist(), strict=True
    ):
        assert [each.label for each in labelling.labels] == [head.labels[index] for index in indices]
        assert [each.probability for each in labelling.labels] == pytest.approx(probabilities, abs=1e-3)
        assert not labelling.abstained


def test_labels_are_the_checkpoints_own_and_a_second_crane_goes_by_its_number(tmp_path):
    save_classifier("vit", tmp_path / "model")
    head = import_head("imagenet", str(tmp_path / "model"), cache=tmp_path / "cache")
    assert head.labels == ("tench", "crane", "hen, bird", "ice cream", "owl", "crane (5)", "ox")
    assert (head.kind, head.origin, head.uses_norms) == ("softmax", "imported", True)


def test_the_head_fits_no_other_readout_of_its_model(tmp_path):
    save_classifier("dinov2", tmp_path / "model")
    head = import_head("imagenet", str(tmp_path / "model"), cache=tmp_path / "cache")
    cls = load_backbone(str(tmp_path / "model"), cache=tmp_path / "cache", device="cpu", readout="cls")
    assert (head.space.readout, head.space.dimension) == ("cls+mean", 64)
    assert (cls.space.readout, cls.space.dimension) == ("cls", 32)


def test_a_multi_label_checkpoint_becomes_sigmoids(tmp_path):
    save_classifier("vit", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["problem_type"] = "multi_label_classification"
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    assert import_head("tags", str(tmp_path / "model"), cache=tmp_path / "cache").kind == "sigmoid"


def test_half_precision_weights_are_read(tmp_path):
    model = save_classifier("vit", tmp_path / "model")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "model")
    head = import_head("half", str(tmp_path / "model"), cache=tmp_path / "cache")
    np.testing.assert_array_equal(head.weight, model.classifier.weight.float().detach().numpy())


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"vit", "deit", "beit", "cvt"}))
def test_a_checkpoint_without_a_linear_classifier_says_what_would_do(architecture, tmp_path):
    make_checkpoint(architecture, tmp_path / "model")
    with pytest.raises(
        HeadError, match=r"has no classifier that can be imported \(it is a \w+\): use a checkpoint of"
    ):
        import_head("none", str(tmp_path / "model"), cache=tmp_path / "cache")


def test_a_classifier_whose_weights_are_missing_is_refused(tmp_path):
    save_classifier("vit", tmp_path / "model")
    config = (tmp_path / "model" / "config.json").read_text()
    transformers.ViTModel(transformers.ViTConfig(**VIT)).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(config)
    with pytest.raises(HeadError, match="has no classifier weights"):
        import_head("none", str(tmp_path / "model"), cache=tmp_path / "cache")
