"""OpenCLIP's checkpoints (Ilharco et al. 2021): the weights, and the open_clip_config.json that lies beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.published import (
    BICUBIC,
    BILINEAR,
    Published,
    Translated,
    UnfitCheckpoint,
    cropped,
    depth,
    grid_edge,
    heads_of,
    need,
    patch_edge,
    renamed,
    squashed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vitsearch.backbones.families.published import Rules, Source, Tensors

CONFIG = "open_clip_config.json"
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_RESAMPLE = {"bicubic": BICUBIC, "bilinear": BILINEAR}
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
)
_QKV = ("q_proj", "k_proj", "v_proj")
_BLOCKS = r"transformer\.resblocks\.(\d+)\."
_PART = r"(weight|bias)"
# What only a model of another kind has: attention pooling, a tower of timm's, a text encoder of its own.
_OTHER_KINDS = ("attn_pool", "ls_1", "ls_2", "trunk.")


def _blocks(tower: str) -> Rules:
    layer = rf"{tower}.encoder.layers.\1"
    return (
        (rf"{_BLOCKS}ln_([12])\.{_PART}", rf"{layer}.layer_norm\2.\3"),
        (rf"{_BLOCKS}attn\.in_proj_{_PART}", rf"{layer}.self_attn.{{qkv}}.\2"),
        (rf"{_BLOCKS}attn\.out_proj\.{_PART}", rf"{layer}.self_attn.out_proj.\2"),
        (rf"{_BLOCKS}mlp\.c_fc\.{_PART}", rf"{layer}.mlp.fc1.\2"),
        (rf"{_BLOCKS}mlp\.c_proj\.{_PART}", rf"{layer}.mlp.fc2.\2"),
    )


_VISION: Rules = (
    ("class_embedding", "vision_model.embeddings.class_embedding"),
    ("positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    (r"conv1\.weight", "vision_model.embeddings.patch_embedding.weight"),
    # transformers' own spelling
    (rf"ln_pre\.{_PART}", r"vision_model.pre_layrnorm.\1"),
    (rf"ln_post\.{_PART}", r"vision_model.post_layernorm.\1"),
    ("proj", "visual_projection.weight"),
    *_blocks("vision_model"),
)
_TEXT: Rules = (
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    (r"token_embedding\.weight", "text_model.embeddings.token_embedding.weight"),
    (rf"ln_final\.{_PART}", r"text_model.final_layer_norm.\1"),
    ("text_projection", "text_projection.weight"),
    ("logit_scale", "logit_scale"),
    *_blocks("text_model"),
)


def vision_config(visual: Tensors, *, heads: int | None, quick_gelu: bool) -> dict[str, Any]:
    """Return the configuration of an image tower, given under OpenCLIP's names without `visual.`."""
    need(
        visual,
        [
            "class_embedding",
            "positional_embedding",
            "conv1.weight",
            "proj",
            "ln_pre.weight",
            "ln_post.weight",
        ],
    )
    need(visual, ["transformer.resblocks.0.mlp.c_fc.weight", "transformer.resblocks.0.attn.in_proj_weight"])
    width, patch = int(visual["class_embedding"].shape[-1]), patch_edge(visual["conv1.weight"])
    return {
        "hidden_size": width,
        "intermediate_size": int(visual["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]),
        "num_hidden_layers": depth(visual, _BLOCKS),
        "num_attention_heads": heads or heads_of(width),
        "num_channels": 3,
        "projection_dim": int(visual["proj"].shape[1]),
        "image_size": patch * grid_edge(visual["positional_embedding"].shape[0] - 1),
        "patch_size": patch,
        "hidden_act": "quick_gelu" if quick_gelu else "gelu",
        "layer_norm_eps": 1e-05,
    }


def vision_tensors(visual: Tensors) -> dict[str, torch.Tensor]:
    """Return the tensors of an image tower under transformers' names."""
    return renamed({**visual, "proj": visual["proj"].T}, _VISION, _QKV)


def _recognises(source: Source) -> bool:
    return (
        any(name.startswith("visual.") for name in source.tensors)
        and "visual.conv1.bias" not in source.tensors
    )


def _translate(source: Source) -> Translated:
    described = source.configs.get(CONFIG)
    if described is None:
        raise UnfitCheckpoint(
            f"is a model of OpenCLIP: put the {CONFIG} that it was published with beside it, which says how it computes"
        )
    model = described.get("model_cfg", {})
    visual = {
        name.removeprefix("visual."): tensor
        for name, tensor in source.tensors.items()
        if name.startswith("visual.")
    }
    if any(part in name for name in visual for part in _OTHER_KINDS):
        raise UnfitCheckpoint("has an image tower of another kind than CLIP's, which is not supported")
    quick = bool(model.get("quick_gelu", False))
    cfg = model.get("vision_cfg", {})
    width = int(visual["class_embedding"].shape[-1]) if "class_embedding" in visual else 0
    heads = width // int(cfg.get("head_width", 64)) or None
    vision = vision_config(visual, heads=heads, quick_gelu=quick)
    tensors = vision_tensors(visual)
    config = vision | {"model_type": "clip_vision_model", "architectures": ["CLIPVisionModelWithProjection"]}
    text = {name: tensor for name, tensor in source.tensors.items() if not name.startswith("visual.")}
    reads = "token_embedding.weight" in text and {"tokenizer.json", "vocab.json"} & source.configs.keys()
    if reads:
        config = {
            "model_type": "clip",
            "architectures": ["CLIPModel"],
            "projection_dim": vision["projection_dim"],
            "vision_config": vision | {"model_type": "clip_vision_model"},
            "text_config": _text_config(text, model.get("text_cfg", {}), quick_gelu=quick)
            | {"projection_dim": vision["projection_dim"]},
        }
        text = {name: tensor for name, tensor in text.items() if name not in ("attn_mask", "logit_bias")}
        need(text, ["text_projection", "logit_scale"])
        text |= {"text_projection": text["text_projection"].T, "logit_scale": text["logit_scale"].reshape(())}
        tensors |= renamed(text, _TEXT, _QKV)
    return Translated(
        config | {"dtype": "float32"},
        _preprocessor(described.get("preprocess_cfg", {}), vision["image_size"]),
        tensors,
        "read as a model of OpenCLIP" + ("" if reads else ", without its text tower"),
        "see its model card",
        beside=_TOKENIZER if reads else (),
    )


def _text_config(text: Tensors, cfg: Mapping[str, Any], *, quick_gelu: bool) -> dict[str, Any]:
    need(text, ["positional_embedding", "ln_final.weight", "transformer.resblocks.0.mlp.c_fc.weight"])
    words, width = (int(size) for size in text["token_embedding.weight"].shape)
    return {
        "model_type": "clip_text_model",
        "hidden_size": width,
        "intermediate_size": int(text["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]),
        "num_hidden_layers": depth(text, _BLOCKS),
        "num_attention_heads": int(cfg.get("heads") or heads_of(width)),
        "vocab_size": words,
        "max_position_embeddings": int(text["positional_embedding"].shape[0]),
        "hidden_act": "quick_gelu" if quick_gelu else "gelu",
        "layer_norm_eps": 1e-05,
        # The last word ends a text; OpenCLIP reads out at the highest number, which is that one.
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
    }


def _preprocessor(cfg: Mapping[str, Any], edge: int) -> dict[str, Any]:
    resample = _RESAMPLE.get(str(cfg.get("interpolation") or "bicubic"))
    mode = cfg.get("resize_mode") or "shortest"
    if resample is None or mode not in ("shortest", "squash"):
        raise UnfitCheckpoint(
            f"wants photos prepared with {cfg.get('interpolation')} and {mode}, which is not supported"
        )
    prepare = squashed if mode == "squash" else cropped
    return prepare(
        edge, resize=edge, resample=resample, mean=cfg.get("mean") or _MEAN, std=cfg.get("std") or _STD
    )


OPEN_CLIP = Published(name="OpenCLIP", recognises=_recognises, translate=_translate)
