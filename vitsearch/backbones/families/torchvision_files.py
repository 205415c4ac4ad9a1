"""torchvision's Vision Transformers: `vit_b_16-c867db91.pth` and its kin, with their ImageNet-1k classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.published import (
    BICUBIC,
    BILINEAR,
    Published,
    Translated,
    cropped,
    depth,
    grid_edge,
    heads_of,
    id2label,
    linear,
    need,
    patch_edge,
    renamed,
)

if TYPE_CHECKING:
    from vitsearch.backbones.families.published import Rules, Source

_LAYERS = r"encoder\.layers\.encoder_layer_(\d+)\."
_PART = r"(weight|bias)"
_BLOCK = r"vit.encoder.layer.\1"
_RULES: Rules = (
    ("class_token", "vit.embeddings.cls_token"),
    (r"encoder\.pos_embedding", "vit.embeddings.position_embeddings"),
    (rf"conv_proj\.{_PART}", r"vit.embeddings.patch_embeddings.projection.\1"),
    (rf"{_LAYERS}ln_1\.{_PART}", rf"{_BLOCK}.layernorm_before.\2"),
    (rf"{_LAYERS}self_attention\.in_proj_{_PART}", rf"{_BLOCK}.attention.attention.{{qkv}}.\2"),
    (rf"{_LAYERS}self_attention\.out_proj\.{_PART}", rf"{_BLOCK}.attention.output.dense.\2"),
    (rf"{_LAYERS}ln_2\.{_PART}", rf"{_BLOCK}.layernorm_after.\2"),
    # The files were written before MLPBlock became a sequence; what is saved today numbers its parts.
    (rf"{_LAYERS}mlp\.(?:linear_1|0)\.{_PART}", rf"{_BLOCK}.intermediate.dense.\2"),
    (rf"{_LAYERS}mlp\.(?:linear_2|3)\.{_PART}", rf"{_BLOCK}.output.dense.\2"),
    (rf"encoder\.ln\.{_PART}", r"vit.layernorm.\1"),
    (rf"heads\.head\.{_PART}", r"classifier.\1"),
)
_SWAG_LICENSE = "CC-BY-NC-4.0"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How torchvision prepares photos for one of its files."""

    resize: int
    resample: int
    license: str = "not stated"


_PLAIN = _Recipe(256, BILINEAR)
# By the start of the file's sha256, which is the end of its published name: vit_b_16 and vit_b_16_lc_swag have the
# same tensors and differ in this.
_RECIPES = {
    "c867db91": _PLAIN,  # vit_b_16
    "9ac1b537": _Recipe(384, BICUBIC, _SWAG_LICENSE),  # vit_b_16_swag
    "4e70ced5": _Recipe(224, BICUBIC, _SWAG_LICENSE),  # vit_b_16_lc_swag
    "d86f8d99": _PLAIN,  # vit_b_32
    "852ce7e3": _Recipe(242, BILINEAR),  # vit_l_16
    "4f3808c9": _Recipe(512, BICUBIC, _SWAG_LICENSE),  # vit_l_16_swag
    "4d563306": _Recipe(224, BICUBIC, _SWAG_LICENSE),  # vit_l_16_lc_swag
    "c7638314": _PLAIN,  # vit_l_32
    "80465313": _Recipe(518, BICUBIC, _SWAG_LICENSE),  # vit_h_14_swag
    "c1eb923e": _Recipe(224, BICUBIC, _SWAG_LICENSE),  # vit_h_14_lc_swag
}
_SIZES = {768: "b", 1024: "l", 1280: "h"}


def recipe(*, sha256: str, name: str, edge: int, width: int, patch: int) -> tuple[int, int, str]:
    """Return the shortest edge to resize to, Pillow's filter number and the licence of a file.

    A file that torchvision did not publish itself is taken to be prepared as those of its shape are: SWAG's, and all
    that take more than 224 pixels, without a margin.
    """
    known = _RECIPES.get(sha256[:8])
    if known is None:
        if edge != 224 or "swag" in name.lower() or width == 1280:
            known = _Recipe(edge, BICUBIC)
        else:
            known = _Recipe(242, BILINEAR) if (width, patch) == (1024, 16) else _PLAIN
    return known.resize, known.resample, known.license


def _recognises(source: Source) -> bool:
    return {"class_token", "encoder.pos_embedding", "conv_proj.weight"} <= source.tensors.keys()


def _translate(source: Source) -> Translated:
    tensors = source.tensors
    first = "encoder.layers.encoder_layer_0."
    need(tensors, ["encoder.ln.weight", f"{first}ln_2.weight", f"{first}self_attention.in_proj_weight"])
    width = int(tensors["class_token"].shape[-1])
    patch = patch_edge(tensors["conv_proj.weight"])
    edge = patch * grid_edge(tensors["encoder.pos_embedding"].shape[1] - 1)
    config: dict[str, Any] = {
        "model_type": "vit",
        "architectures": ["ViTModel"],
        "hidden_size": width,
        "num_hidden_layers": depth(tensors, _LAYERS),
        "num_attention_heads": heads_of(width),
        "num_channels": 3,
        "patch_size": patch,
        "image_size": edge,
        "qkv_bias": True,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "dtype": "float32",
    }
    renames = renamed(tensors, _RULES, ("query", "key", "value"))
    need(renames, ["vit.encoder.layer.0.intermediate.dense.weight"])
    config["intermediate_size"] = int(renames["vit.encoder.layer.0.intermediate.dense.weight"].shape[0])
    head = linear(tensors, "heads.head")
    if head is not None:
        config["architectures"] = ["ViTForImageClassification"]
        labels = id2label(len(head[1]))
        config |= {"id2label": labels} if labels else {"num_labels": len(head[1])}
    resize, resample, license_ = recipe(
        sha256=source.sha256(), name=source.name, edge=edge, width=width, patch=patch
    )
    return Translated(
        config,
        cropped(edge, resize=resize, resample=resample),
        renames,
        f"read as torchvision's vit_{_SIZES.get(width, width)}_{patch}",
        license_,
    )


TORCHVISION = Published(name="torchvision", recognises=_recognises, translate=_translate)
