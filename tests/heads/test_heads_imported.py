"""Classifiers that come with a checkpoint label photos as transformers itself does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny_checkpoints import ARCHITECTURES, EDGE, make_checkpoint

from vitsearch.backbones import load_backbone, load_for_space
from vitsearch.errors import HeadError, SpaceMismatch
from vitsearch.heads.from_checkpoint import import_head

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": EDGE,
    "patch_size": 8,
}
DINO = {name: value for name, value in VIT.items() if name != "intermediate_size"}
SWIN = {
    "image_size": EDGE,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": (1, 1),
    "num_heads": (2, 2),
    "window_size": 4,
}
CVT = {"embed_dim": (8, 16, 32), "num_heads": (1, 1, 2), "depth": (1, 2, 3)}
LABELS = {
    "id2label": {0: "tench", 1: "crane", 2: "hen, bird", 3: "ice  cream", 4: "owl", 5: "crane", 6: "ox"}
}

t = transformers
CLASSIFIERS = {
    "vit": lambda: t.ViTForImageClassification(t.ViTConfig(**VIT, **LABELS)),
    "deit": lambda: t.DeiTForImageClassification(t.DeiTConfig(**VIT, **LABELS)),
    "deit-distilled": lambda: t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**VIT, **LABELS)),
    "beit": lambda: t.BeitForImageClassification(t.BeitConfig(**VIT, **LABELS)),
    "beit-cls": lambda: t.BeitForImageClassification(t.BeitConfig(**VIT, **LABELS, use_mean_pooling=False)),
    "dinov2": lambda: t.Dinov2ForImageClassification(t.Dinov2Config(**DINO, **LABELS)),
    "dinov2_with_registers": lambda: t.Dinov2WithRegistersForImageClassification(
        t.Dinov2WithRegistersConfig(**DINO, **LABELS)
    ),
    "swin": lambda: t.SwinForImageClassification(t.SwinConfig(**SWIN, **LABELS)),
    "cvt": lambda: t.CvtForImageClassification(t.CvtConfig(**CVT, **LABELS)),
}


def save_classifier(architecture: str, folder: Path) -> torch.nn.Module:
    """Save a classifier of distinct weights with the preprocessing of its architecture; return the model."""
    make_checkpoint(architecture.split("-")[0], folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.manual_seed(0)
    model = CLASSIFIERS[architecture]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    return model


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
    with pytest.raises(SpaceMismatch, match=r"cls\+mean, 64 dimensions.*cls, 32 dimensions"):
        head.check_space(cls.space)


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
    t.ViTModel(t.ViTConfig(**VIT)).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(config)
    with pytest.raises(HeadError, match="has no classifier weights"):
        import_head("none", str(tmp_path / "model"), cache=tmp_path / "cache")
