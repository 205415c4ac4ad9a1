"""Small random checkpoints of every supported architecture, saved the way transformers saves real ones."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import transformers

EDGE = 32
_SQUARE = {"height": EDGE, "width": EDGE}
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": EDGE,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 12,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_PROCESSORS = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": _SQUARE},
    "deit": {
        "image_processor_type": "DeiTImageProcessor",
        "size": {"height": 40, "width": 40},
        "crop_size": _SQUARE,
        **_IMAGENET,
    },
    "beit": {"image_processor_type": "BeitImageProcessor", "size": _SQUARE},
    "dinov2": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 40},
        "crop_size": _SQUARE,
        **_IMAGENET,
    },
    "dinov3_vit": {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": _SQUARE, **_IMAGENET},
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": EDGE},
        "crop_size": _SQUARE,
    },
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": _SQUARE},
    "siglip2": {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8, "max_num_patches": 16},
    "cvt": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": EDGE}},
}
_PROCESSOR_OF = {
    "dinov2_with_registers": "dinov2",
    "clip_vision_model": "clip",
    "siglip_vision_model": "siglip",
    "swin": "vit",
}
ARCHITECTURES = (
    "vit",
    "deit",
    "beit",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "clip",
    "clip_vision_model",
    "siglip",
    "siglip_vision_model",
    "siglip2",
    "swin",
    "cvt",
)


def make_checkpoint(architecture: str, folder: Path, *, seed: int = 0) -> Path:
    """Save a random checkpoint of an architecture, with its processor's configuration and a tokenizer if it reads."""
    model = _scatter(_model(architecture), seed)
    model.save_pretrained(folder)
    processor = _PROCESSORS[_PROCESSOR_OF.get(architecture, architecture)]
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    if architecture in ("clip", "siglip", "siglip2"):
        _save_tokenizer(folder)
    return folder


def _model(architecture: str) -> transformers.PreTrainedModel:
    import transformers as t

    dino = {name: value for name, value in _VIT.items() if name != "intermediate_size"} | {
        "image_size": 2 * EDGE
    }
    naflex = {name: value for name, value in _VIT.items() if name != "image_size"} | {"num_patches": 16}
    swin = {"image_size": EDGE, "patch_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (2, 2)}
    cvt = {"embed_dim": (8, 16, 32), "num_heads": (1, 1, 2), "depth": (1, 2, 3)}
    text = _TEXT | {"projection_size": 32}
    build = {
        "vit": lambda: t.ViTForImageClassification(t.ViTConfig(**_VIT)),
        "deit": lambda: t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**_VIT)),
        "beit": lambda: t.BeitForImageClassification(t.BeitConfig(**_VIT, use_relative_position_bias=True)),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**dino)),
        "dinov2_with_registers": lambda: t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**dino)),
        "dinov3_vit": lambda: t.DINOv3ViTModel(t.DINOv3ViTConfig(**_VIT, num_register_tokens=4)),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(text_config=_TEXT, vision_config=_VIT, projection_dim=20)),
        "clip_vision_model": lambda: t.CLIPVisionModelWithProjection(
            t.CLIPVisionConfig(**_VIT, projection_dim=20)
        ),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=_VIT)),
        "siglip_vision_model": lambda: t.SiglipVisionModel(t.SiglipVisionConfig(**_VIT)),
        "siglip2": lambda: t.Siglip2Model(t.Siglip2Config(text_config=text, vision_config=naflex)),
        "swin": lambda: t.SwinModel(t.SwinConfig(**swin, window_size=4)),
        "cvt": lambda: t.CvtForImageClassification(t.CvtConfig(**cvt)),
    }
    return build[architecture]()


def _scatter(model: transformers.PreTrainedModel, seed: int) -> transformers.PreTrainedModel:
    """Give the weights the spread of trained ones: transformers' own start leaves all images nearly alike."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(1.5 * noise / math.sqrt(parameter[0].numel()))
            elif name.endswith("weight") or "lambda" in name or "layer_scale" in name:
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(0.1 * noise)
    return model.eval()


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", "a", "photo", "of", "red", "green", "shoe", "dress", "hat"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    wrapped.save_pretrained(folder)
