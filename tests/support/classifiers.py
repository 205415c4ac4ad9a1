"""Small checkpoints with a classifier of each architecture that has one, as transformers saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import transformers as t

from tests.support.tiny_checkpoints import EDGE, make_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

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


def save_classifier(architecture: str, folder: Path) -> t.PreTrainedModel:
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
