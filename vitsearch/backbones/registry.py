"""The backbones that vitsearch knows by name, with what can be said of them before their weights are there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vitsearch.backbones.preprocessing import (
    BICUBIC,
    BILINEAR,
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
)
from vitsearch.errors import UnknownModel
from vitsearch.space import Preprocessing

if TYPE_CHECKING:
    from vitsearch.space import Readout

DEFAULT_MODEL = "dinov2-small"
HUB_FREE_MODEL = "clip-vit-base-patch16-int8"


@dataclass(frozen=True, slots=True)
class Facts:
    """The architecture of a checkpoint: `prefix_tokens` counts class, distillation and register tokens."""

    architecture: str
    preprocessing: Preprocessing
    readout: Readout
    dimension: int
    patch_size: int
    prefix_tokens: int
    patches: int
    width: int
    layers: int
    heads: int
    parameters: int
    has_text: bool


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A named backbone, where its weights come from and on what terms."""

    name: str
    hub_id: str | None
    source: Literal["hub", "package index"]
    license: str
    facts: Facts
    gated: bool = False
    notes: str = ""


_DINOV2 = Preprocessing(224, 224, 256, "crop", BICUBIC, IMAGENET_MEAN, IMAGENET_STD)
_DINOV3 = Preprocessing(224, 224, 224, "squeeze", BILINEAR, IMAGENET_MEAN, IMAGENET_STD)
_DINO = Preprocessing(224, 224, 224, "squeeze", BICUBIC, IMAGENET_MEAN, IMAGENET_STD)
_DEIT = Preprocessing(224, 224, 256, "squeeze", BICUBIC, IMAGENET_MEAN, IMAGENET_STD)
_VIT = Preprocessing(224, 224, 224, "squeeze", BILINEAR, HALF, HALF)
_CLIP = Preprocessing(224, 224, 224, "crop", BICUBIC, CLIP_MEAN, CLIP_STD)
_BEIT = Preprocessing(224, 224, 224, "squeeze", BILINEAR, HALF, HALF)
_SIGLIP = Preprocessing(224, 224, 224, "squeeze", BILINEAR, HALF, HALF)
_SWIN = Preprocessing(224, 224, 224, "squeeze", BICUBIC, IMAGENET_MEAN, IMAGENET_STD)
_CVT = Preprocessing(224, 224, 256, "crop", BICUBIC, IMAGENET_MEAN, IMAGENET_STD)

_APACHE = "Apache-2.0"


def _cls(
    architecture: str,
    preprocessing: Preprocessing,
    patch: int,
    prefix: int,
    shape: tuple[int, int, int],
    count: int,
) -> Facts:
    """Return the facts of a ViT that is read out at its class token; `shape` is (width, layers, heads)."""
    patches = (preprocessing.height // patch) * (preprocessing.width // patch)
    return Facts(
        architecture, preprocessing, "cls", shape[0], patch, prefix, patches, *shape, count, has_text=False
    )


def _hub(name: str, hub_id: str, facts: Facts, license: str = _APACHE, notes: str = "") -> RegisteredModel:  # noqa: A002
    return RegisteredModel(
        name, hub_id, "hub", license, facts, gated=hub_id.startswith("facebook/dinov3"), notes=notes
    )


_SMALL, _BASE, _LARGE = (384, 12, 6), (768, 12, 12), (1024, 24, 16)
_GIANT = (1536, 40, 24)


def _dinov2(size: str, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    default = size == "small"
    return _hub(
        f"dinov2-{size}",
        f"facebook/dinov2-{size}",
        _cls("dinov2", _DINOV2, 14, 1, shape, count),
        notes="the default where it is cached or the hub answers" if default else "",
    )


def _dinov2_registers(size: str, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    return _hub(
        f"dinov2-with-registers-{size}",
        f"facebook/dinov2-with-registers-{size}",
        _cls("dinov2_with_registers", _DINOV2, 14, 5, shape, count),
        notes="retrieves worse than dinov2-small" if size == "small" else "",
    )


def _dinov3(size: str, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    return _hub(
        f"dinov3-{size}",
        f"facebook/dinov3-{size}-pretrain-lvd1689m",
        _cls("dinov3_vit", _DINOV3, 16, 5, shape, count),
        license="DINOv3 License",
        notes="gated: accept its licence on the hub first",
    )


def _vit(size: str, hub_id: str, patch: int, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    head = "carries no classification head" if size == "huge" else "carries an ImageNet-1k head"
    return _hub(f"vit-{size}", hub_id, _cls("vit", _VIT, patch, 1, shape, count), notes=head)


def _dino(size: str, patch: int, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    name = f"dino-vit{size}{patch}"
    return _hub(name, f"facebook/{name}", _cls("vit", _DINO, patch, 1, shape, count))


def _deit(size: str, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    return _hub(f"deit-{size}", f"facebook/deit-{size}-patch16-224", _cls("vit", _DEIT, 16, 1, shape, count))


def _beit(size: str, shape: tuple[int, int, int], count: int) -> RegisteredModel:
    return _hub(
        f"beit-{size}", f"microsoft/beit-{size}-patch16-224", _cls("beit", _BEIT, 16, 1, shape, count)
    )


_CLIP_BASE = Facts("clip", _CLIP, "projection", 512, 16, 1, 196, *_BASE, 86_192_640, has_text=True)
_CLIP_LARGE = Facts("clip", _CLIP, "projection", 768, 14, 1, 256, *_LARGE, 303_966_208, has_text=True)
_SIGLIP_BASE = Facts("siglip", _SIGLIP, "projection", 768, 16, 0, 196, *_BASE, 92_884_224, has_text=True)
_HUB_FREE = Facts(
    "clip_vision_model", _CLIP, "projection", 512, 16, 1, 196, *_BASE, 86_192_640, has_text=False
)
_SWIN_TINY = Facts("swin", _SWIN, "pooled", 768, 32, 0, 49, 768, 12, 24, 27_519_354, has_text=False)
_CVT_13 = Facts("cvt", _CVT, "pooled", 384, 16, 1, 196, 384, 13, 6, 19_612_480, has_text=False)

MODELS: tuple[RegisteredModel, ...] = (
    _dinov2("small", _SMALL, 22_056_576),
    _dinov2("base", _BASE, 86_580_480),
    _dinov2("large", _LARGE, 304_368_640),
    _dinov2("giant", _GIANT, 1_136_480_768),
    _dinov2_registers("small", _SMALL, 22_058_112),
    _dinov2_registers("base", _BASE, 86_583_552),
    _dinov2_registers("large", _LARGE, 304_372_736),
    _dinov2_registers("giant", _GIANT, 1_136_486_912),
    _dinov3("vits16", _SMALL, 21_596_544),
    _dinov3("vits16plus", _SMALL, 28_692_864),
    _dinov3("vitb16", _BASE, 85_660_416),
    _dinov3("vitl16", _LARGE, 303_129_600),
    _dinov3("vith16plus", (1280, 32, 20), 840_592_640),
    _vit("base", "google/vit-base-patch16-224", 16, _BASE, 85_798_656),
    _vit("large", "google/vit-large-patch16-224", 16, _LARGE, 303_301_632),
    _vit("huge", "google/vit-huge-patch14-224-in21k", 14, (1280, 32, 16), 630_764_800),
    _deit("tiny", (192, 12, 3), 5_524_416),
    _deit("small", _SMALL, 21_665_664),
    _deit("base", _BASE, 85_798_656),
    _beit("base", _BASE, 85_761_984),
    _beit("large", _LARGE, 303_405_568),
    _dino("s", 16, _SMALL, 21_665_664),
    _dino("s", 8, _SMALL, 21_670_272),
    _dino("b", 16, _BASE, 85_798_656),
    _dino("b", 8, _BASE, 85_807_872),
    _hub("clip-vit-base-patch16", "openai/clip-vit-base-patch16", _CLIP_BASE, "MIT", "text queries"),
    _hub("clip-vit-large-patch14", "openai/clip-vit-large-patch14", _CLIP_LARGE, "MIT", "text queries"),
    _hub("siglip2-base", "google/siglip2-base-patch16-224", _SIGLIP_BASE, notes="text queries"),
    _hub("swin-tiny", "microsoft/swin-tiny-patch4-window7-224", _SWIN_TINY),
    _hub("cvt-13", "microsoft/cvt-13", _CVT_13),
    RegisteredModel(
        HUB_FREE_MODEL,
        None,
        "package index",
        "MIT",
        _HUB_FREE,
        notes="needs only the Python package index: the default where the hub cannot be reached",
    ),
)

_BY_NAME = {model.name: model for model in MODELS}


def find_model(name: str) -> RegisteredModel | None:
    """Return the registered model of this name or hub id, if there is one."""
    return _BY_NAME.get(name) or next((model for model in MODELS if model.hub_id == name), None)


def unknown_model(name: str) -> UnknownModel:
    """Return the error for a name that is no registry name, hub id or folder, with the nearest names."""
    near = difflib.get_close_matches(name, _BY_NAME, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "`vitsearch models list` shows the names"
    return UnknownModel(f"no model or folder is called {name}: {hint}")


def models_that_read_text() -> tuple[str, ...]:
    """Return the names of the registered models that answer text queries."""
    return tuple(model.name for model in MODELS if model.facts.has_text)
