"""The Vision Transformer under the names of timm, which DeiT, DINO and DINOv2 took over: `blocks.0.attn.qkv.weight`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.published import (
    UnfitCheckpoint,
    depth,
    heads_of,
    need,
    patch_edge,
    renamed,
)

if TYPE_CHECKING:
    import torch

    from vitsearch.backbones.families.published import Rules, Tensors

BLOCKS = r"blocks\.(\d+)\."
_PART = r"(weight|bias)"
_QKV = ("query", "key", "value")
_EMBEDDINGS: Rules = (
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
    (rf"patch_embed\.proj\.{_PART}", r"embeddings.patch_embeddings.projection.\1"),
    (rf"{BLOCKS}attn\.qkv\.{_PART}", r"encoder.layer.\1.attention.attention.{qkv}.\2"),
    (rf"{BLOCKS}attn\.proj\.{_PART}", r"encoder.layer.\1.attention.output.dense.\2"),
    (rf"norm\.{_PART}", r"layernorm.\1"),
)
_VIT: Rules = (
    *_EMBEDDINGS,
    ("dist_token", "embeddings.distillation_token"),
    (rf"{BLOCKS}norm1\.{_PART}", r"encoder.layer.\1.layernorm_before.\2"),
    (rf"{BLOCKS}norm2\.{_PART}", r"encoder.layer.\1.layernorm_after.\2"),
    (rf"{BLOCKS}mlp\.fc1\.{_PART}", r"encoder.layer.\1.intermediate.dense.\2"),
    (rf"{BLOCKS}mlp\.fc2\.{_PART}", r"encoder.layer.\1.output.dense.\2"),
)
_DINOV2: Rules = (
    *_EMBEDDINGS,
    ("mask_token", "embeddings.mask_token"),
    ("register_tokens", "embeddings.register_tokens"),
    (rf"{BLOCKS}norm([12])\.{_PART}", r"encoder.layer.\1.norm\2.\3"),
    (rf"{BLOCKS}ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (rf"{BLOCKS}mlp\.(fc1|fc2)\.{_PART}", r"encoder.layer.\1.mlp.\2.\3"),
    (rf"{BLOCKS}mlp\.w12\.{_PART}", r"encoder.layer.\1.mlp.weights_in.\2"),
    (rf"{BLOCKS}mlp\.w3\.{_PART}", r"encoder.layer.\1.mlp.weights_out.\2"),
)
_ALWAYS = (
    "cls_token",
    "pos_embed",
    "patch_embed.proj.weight",
    "patch_embed.proj.bias",
    "blocks.0.attn.qkv.weight",
    "blocks.0.attn.qkv.bias",
    "norm.weight",
)


def vit_config(tensors: Tensors, *, image_size: int, epsilon: float = 1e-6) -> dict[str, Any]:
    """Return the configuration of a ViT, or of a DeiT where there is a distillation token.

    Raises:
        UnfitCheckpoint: a part is missing.

    """
    need(tensors, [*_ALWAYS, "blocks.0.mlp.fc1.weight"])
    distilled = "dist_token" in tensors
    return {
        "model_type": "deit" if distilled else "vit",
        "architectures": ["DeiTModel" if distilled else "ViTModel"],
        "intermediate_size": int(tensors["blocks.0.mlp.fc1.weight"].shape[0]),
        "hidden_act": "gelu",
        **_shape(tensors, image_size, epsilon),
    }


def vit_tensors(tensors: Tensors, *, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a ViT or DeiT, without its classifier, under transformers' names."""
    return {prefix + name: tensor for name, tensor in renamed(tensors, _VIT, _QKV).items()}


def dinov2_config(tensors: Tensors, *, image_size: int) -> dict[str, Any]:
    """Return the configuration of a DINOv2 model, with or without registers.

    Raises:
        UnfitCheckpoint: a part is missing.

    """
    need(tensors, [*_ALWAYS, "blocks.0.ls1.gamma", "blocks.0.ls2.gamma", "mask_token"])
    registers = tensors.get("register_tokens")
    gated = "blocks.0.mlp.w12.weight" in tensors
    shape = _shape(tensors, image_size, 1e-6)
    width, hidden = shape["hidden_size"], tensors.get("blocks.0.mlp.fc1.weight")
    if not gated and (hidden is None or hidden.shape[0] != 4 * width):
        raise UnfitCheckpoint("has no MLP of four times its width")
    config: dict[str, Any] = {
        "model_type": "dinov2",
        "architectures": ["Dinov2Model"],
        "mlp_ratio": 4,
        "use_swiglu_ffn": gated,
        "hidden_act": "gelu",
        "layerscale_value": 1.0,
        **shape,
    }
    if registers is not None:
        config |= {
            "model_type": "dinov2_with_registers",
            "architectures": ["Dinov2WithRegistersModel"],
            "num_register_tokens": int(registers.shape[1]),
        }
    return config


def dinov2_tensors(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Return the tensors of a DINOv2 model under transformers' names."""
    return renamed(tensors, _DINOV2, _QKV)


def _shape(tensors: Tensors, image_size: int, epsilon: float) -> dict[str, Any]:
    width = int(tensors["cls_token"].shape[-1])
    return {
        "hidden_size": width,
        "num_hidden_layers": depth(tensors, BLOCKS),
        "num_attention_heads": heads_of(width),
        "num_channels": 3,
        "patch_size": patch_edge(tensors["patch_embed.proj.weight"]),
        "image_size": image_size,
        "qkv_bias": True,
        "layer_norm_eps": epsilon,
        "dtype": "float32",
    }
