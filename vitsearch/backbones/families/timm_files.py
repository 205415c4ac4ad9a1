"""timm's Vision Transformers (Wightman 2019): the weights, and the config.json that says how photos are prepared."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.published import (
    BICUBIC,
    BILINEAR,
    Published,
    Translated,
    UnfitCheckpoint,
    cropped,
    id2label,
    linear,
    need,
    patch_edge,
    squashed,
)
from vitsearch.backbones.families.vision_transformer import (
    dinov2_config,
    dinov2_tensors,
    vit_config,
    vit_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from vitsearch.backbones.families.published import Source, Tensors

_RESAMPLE = {"bicubic": BICUBIC, "bilinear": BILINEAR}
# Published by their authors with another activation than timm's model of that name computes.
_QUICK_GELU = ("openai", "dfn2b", "dfn5b", "metaclip")


def _recognises(source: Source) -> bool:
    config = source.configs.get("config.json", {})
    first = source.tensors.get("blocks.0.attn.qkv.weight")
    # A file of DINO's may lie beside the config.json of another model.
    return (
        "architecture" in config
        and first is not None
        and config.get("num_features") in (None, first.shape[-1])
    )


def _translate(source: Source) -> Translated:
    config = source.configs["config.json"]
    pretrained = config.get("pretrained_cfg", {})
    tensors = dict(source.tensors)
    need(tensors, ["patch_embed.proj.weight", "pos_embed"])
    if "cls_token" not in tensors or any(name.startswith(("attn_pool.", "fc_norm.")) for name in tensors):
        raise UnfitCheckpoint(
            f"pools its patches ({config['architecture']}); of timm's, those that are read at the class token can be "
            "loaded"
        )
    edge, patch = _input_edge(pretrained), patch_edge(tensors["patch_embed.proj.weight"])
    _embed_class_token(tensors, grid=(edge // patch) ** 2)
    head, distilled_head = _pop(tensors, "head"), _pop(tensors, "head_dist")
    if "norm_pre.weight" in tensors:
        made, result = _clip(tensors, head, edge, _is_quick(config, pretrained))
    elif "reg_token" in tensors or (".ls1." in " ".join(tensors) and head is None):
        if head is not None:
            raise UnfitCheckpoint("has registers and a classifier, which cannot be read together")
        made, result = _dinov2(tensors, edge)
    else:
        made, result = _vit(_without_layer_scale(tensors), head, distilled_head, edge, config)
    return Translated(
        made,
        _preprocessor(pretrained, edge),
        result,
        f"read as timm's {config['architecture']}",
        str(pretrained.get("license") or "see its model card"),
    )


def _vit(
    tensors: Tensors,
    head: tuple[torch.Tensor, torch.Tensor] | None,
    distilled_head: tuple[torch.Tensor, torch.Tensor] | None,
    edge: int,
    described: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    config = vit_config(tensors, image_size=edge)
    if head is None:
        return config, vit_tensors(tensors)
    result = vit_tensors(tensors, prefix=f"{config['model_type']}.")
    classifiers = {"classifier": head}
    if distilled_head is not None:
        config["architectures"] = ["DeiTForImageClassificationWithTeacher"]
        classifiers = {"cls_classifier": head, "distillation_classifier": distilled_head}
    else:
        config["architectures"] = [
            "DeiTForImageClassification" if config["model_type"] == "deit" else "ViTForImageClassification"
        ]
    for name, (weight, bias) in classifiers.items():
        result |= {f"{name}.weight": weight, f"{name}.bias": bias}
    labels = id2label(len(head[1]), _label_names(described))
    config |= {"id2label": labels} if labels else {"num_labels": len(head[1])}
    return config, result


def _dinov2(tensors: dict[str, torch.Tensor], edge: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    import torch

    # timm drops the mask token, which serves training only, and writes the gated MLP under the plain one's names.
    tensors["mask_token"] = torch.zeros(1, tensors["cls_token"].shape[-1])
    registers = tensors.pop("reg_token", None)
    if registers is not None:
        tensors["register_tokens"] = registers
    first, second = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc2.weight")
    if first is not None and second is not None and first.shape[0] == 2 * second.shape[1]:
        tensors = {
            name.replace(".mlp.fc1.", ".mlp.w12.").replace(".mlp.fc2.", ".mlp.w3."): tensor
            for name, tensor in tensors.items()
        }
    return dinov2_config(tensors, image_size=edge), dinov2_tensors(tensors)


def _clip(
    tensors: dict[str, torch.Tensor],
    head: tuple[torch.Tensor, torch.Tensor] | None,
    edge: int,
    quick: bool,  # noqa: FBT001
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from vitsearch.backbones.families.open_clip_files import vision_config, vision_tensors

    if head is None or head[1].any():
        raise UnfitCheckpoint(
            "is a CLIP image tower without its projection: choose one that was not fine-tuned to classify"
        )
    visual = {
        "class_embedding": tensors.pop("cls_token").flatten(),
        "positional_embedding": tensors.pop("pos_embed")[0],
        "proj": head[0].T,
        "conv1.weight": tensors.pop("patch_embed.proj.weight"),
    }
    for pattern, name in (
        (r"norm_pre\.(\w+)", r"ln_pre.\1"),
        (r"norm\.(\w+)", r"ln_post.\1"),
        (r"blocks\.(\d+)\.norm([12])\.(\w+)", r"transformer.resblocks.\1.ln_\2.\3"),
        (r"blocks\.(\d+)\.attn\.qkv\.(\w+)", r"transformer.resblocks.\1.attn.in_proj_\2"),
        (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"transformer.resblocks.\1.attn.out_proj.\2"),
        (r"blocks\.(\d+)\.mlp\.fc1\.(\w+)", r"transformer.resblocks.\1.mlp.c_fc.\2"),
        (r"blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"transformer.resblocks.\1.mlp.c_proj.\2"),
    ):
        rule = re.compile(pattern)
        for old in [old for old in tensors if rule.fullmatch(old)]:
            visual[rule.sub(name, old)] = tensors.pop(old)
    if tensors:
        raise UnfitCheckpoint(f"has {min(tensors)}, which its family's published models do not have")
    config = vision_config(visual, heads=None, quick_gelu=quick) | {
        "model_type": "clip_vision_model",
        "architectures": ["CLIPVisionModelWithProjection"],
        "dtype": "float32",
    }
    if config["image_size"] != edge:
        raise UnfitCheckpoint(f"takes {config['image_size']} pixels, but its config.json says {edge}")
    return config, vision_tensors(visual)


def _is_quick(config: Mapping[str, Any], pretrained: Mapping[str, Any]) -> bool:
    said = " ".join([str(config["architecture"]), *map(str, pretrained.get("notes") or ())]).lower()
    return "quickgelu" in said or str(pretrained.get("tag", "")).startswith(_QUICK_GELU)


def _without_layer_scale(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Multiply layer scales, which transformers' ViT does not have, into the layers before them."""
    result = dict(tensors)
    for name in [name for name in result if re.fullmatch(r"blocks\.\d+\.ls[12]\.gamma", name)]:
        scale = result.pop(name).float()
        block, number = name.rsplit(".ls", 1)[0], name[-len("1.gamma")]
        layer = f"{block}.attn.proj" if number == "1" else f"{block}.mlp.fc2"
        need(result, [f"{layer}.weight", f"{layer}.bias"])
        result[f"{layer}.weight"] = result[f"{layer}.weight"].float() * scale[:, None]
        result[f"{layer}.bias"] = result[f"{layer}.bias"].float() * scale
    return result


def _embed_class_token(tensors: dict[str, torch.Tensor], *, grid: int) -> None:
    """Give the tokens before the patches a position of zero where the model has none for them (`no_embed_class`)."""
    import torch

    positions = tensors["pos_embed"]
    before = 2 if "dist_token" in tensors else 1
    if positions.shape[1] == grid:
        zeros = torch.zeros(1, before, positions.shape[2], dtype=positions.dtype)
        tensors["pos_embed"] = torch.cat([zeros, positions], dim=1)
    elif positions.shape[1] != grid + before:
        raise UnfitCheckpoint(
            f"has {positions.shape[1]} positions, but its config.json says {grid} patches: bring the config.json that "
            "it was published with"
        )


def _pop(tensors: dict[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    layer = linear(tensors, name)
    for part in ("weight", "bias"):
        tensors.pop(f"{name}.{part}", None)
    return layer


def _input_edge(pretrained: Mapping[str, Any]) -> int:
    size = pretrained.get("input_size")
    if not isinstance(size, list) or len(size) != 3 or size[0] != 3 or size[1] != size[2]:
        raise UnfitCheckpoint(f"takes an input of the size {size}, which is no square of RGB")
    return int(size[1])


def _preprocessor(pretrained: Mapping[str, Any], edge: int) -> dict[str, Any]:
    """Follow timm's `transforms_imagenet_eval`, whose defaults these are."""
    resize = math.floor(edge / float(pretrained.get("crop_pct") or 0.875))
    resample = _RESAMPLE.get(str(pretrained.get("interpolation", "bicubic")))
    if resample is None or pretrained.get("crop_mode", "center") not in ("center", "squash"):
        raise UnfitCheckpoint(
            f"wants photos prepared with {pretrained.get('interpolation')} and {pretrained.get('crop_mode')}, which is "
            "not supported"
        )
    prepare = squashed if pretrained.get("crop_mode") == "squash" else cropped
    mean, std = pretrained.get("mean"), pretrained.get("std")
    if not mean or not std:
        raise UnfitCheckpoint(
            "has a config.json without mean and std: bring the one that it was published with"
        )
    return prepare(edge, resize=resize, resample=resample, mean=mean, std=std)


def _label_names(described: Mapping[str, Any]) -> Sequence[str] | None:
    names = described.get("label_names")
    if isinstance(names, dict):
        names = [names[str(row)] for row in range(len(names)) if str(row) in names]
    if not isinstance(names, list):
        return None
    descriptions = described.get("label_descriptions") or {}
    return [str(descriptions.get(name, name)) for name in names]


TIMM = Published(name="timm", recognises=_recognises, translate=_translate)
