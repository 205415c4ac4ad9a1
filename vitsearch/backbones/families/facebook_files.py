"""DINO (Caron et al. 2021) and DINOv2 (Oquab et al. 2024) as facebookresearch publishes them: `*_pretrain.pth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.families.published import (
    BICUBIC,
    Published,
    Translated,
    cropped,
    grid_edge,
    patch_edge,
)
from vitsearch.backbones.families.vision_transformer import (
    dinov2_config,
    dinov2_tensors,
    vit_config,
    vit_tensors,
)

if TYPE_CHECKING:
    import torch

    from vitsearch.backbones.families.published import Source

# Both evaluate with the shortest edge resized to 256 pixels and the centre of 224 cut out.
_RESIZE, _EDGE = 256, 224
_PREPROCESSOR = cropped(_EDGE, resize=_RESIZE, resample=BICUBIC)
_OFFSET = 0.1


def _is_dinov2(source: Source) -> bool:
    return {"mask_token", "pos_embed", "blocks.0.ls1.gamma"} <= source.tensors.keys()


def _dinov2(source: Source) -> Translated:
    config = dinov2_config(source.tensors, image_size=_EDGE)
    grid = _EDGE // config["patch_size"]
    with_registers = "register_tokens" in source.tensors
    tensors = dict(source.tensors)
    tensors["pos_embed"] = _resampled(tensors["pos_embed"], grid, antialias=with_registers)
    # vits14 and vits14_reg4 are how their files are called.
    origin = f"read as DINOv2{' with registers' if with_registers else ''} of facebookresearch"
    return Translated(config, _PREPROCESSOR, dinov2_tensors(tensors), origin)


def _resampled(positions: torch.Tensor, grid: int, *, antialias: bool) -> torch.Tensor:
    """Bring position embeddings, (1, 1 + patches, d), to a grid as DINOv2's own `interpolate_pos_encoding` does.

    The models without registers were published with an offset in the scale that transformers leaves out, which moves
    positions by up to a fifth of a patch; those with registers with antialiasing in its place.
    """
    import torch

    known = grid_edge(positions.shape[1] - 1)
    if known == grid:
        return positions
    patches = positions[:, 1:].float().reshape(1, known, known, -1).permute(0, 3, 1, 2)
    interpolate = torch.nn.functional.interpolate
    if antialias:
        patches = interpolate(patches, size=(grid, grid), mode="bicubic", antialias=True)
    else:
        scale = (grid + _OFFSET) / known
        patches = interpolate(patches, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1].float(), patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _is_dino(source: Source) -> bool:
    return {"cls_token", "pos_embed", "blocks.0.attn.qkv.weight"} <= source.tensors.keys() and not any(
        name.startswith(("head", "dist_token")) or ".ls1." in name for name in source.tensors
    )


def _dino(source: Source) -> Translated:
    tensors = source.tensors
    grid = grid_edge(tensors["pos_embed"].shape[1] - 1)
    edge = grid * patch_edge(tensors["patch_embed.proj.weight"])
    config = vit_config(tensors, image_size=edge)
    preprocessor = cropped(edge, resize=edge * _RESIZE // _EDGE, resample=BICUBIC)
    return Translated(config, preprocessor, vit_tensors(tensors), "read as DINO of facebookresearch")


DINOV2 = Published(name="DINOv2 (facebookresearch)", recognises=_is_dinov2, translate=_dinov2)
DINO = Published(name="DINO (facebookresearch)", recognises=_is_dino, translate=_dino)
