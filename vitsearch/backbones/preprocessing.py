"""How an upright photo becomes a model's input pixels, agreeing with the checkpoint's own image processor."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vitsearch.errors import WeightsUnavailable
from vitsearch.space import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from vitsearch.space import Fit

BILINEAR, BICUBIC = 2, 3  # Pillow's own numbers, which checkpoints store
_RGB = tuple[float, float, float]

HALF: _RGB = (0.5, 0.5, 0.5)
IMAGENET_MEAN: _RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: _RGB = (0.229, 0.224, 0.225)
CLIP_MEAN: _RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: _RGB = (0.26862954, 0.26130258, 0.27577711)

_PANORAMA = 4  # from this proportion on, only the part that survives the crop is resampled
_CROP_PCT = 224 / 256  # ConvNextImageProcessor's default
_WARP_FROM = 384  # from this edge on ConvNextImageProcessor keeps the whole frame


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What a processor class does where its JSON is silent; `square` says how a bare size is meant."""

    size: int
    crop: int | None
    resample: int
    mean: _RGB
    std: _RGB
    square: bool


_CLIP = _Defaults(224, 224, BICUBIC, CLIP_MEAN, CLIP_STD, square=False)
_VIT = _Defaults(224, None, BILINEAR, HALF, HALF, square=True)
_PROCESSORS = {
    "vit": _VIT,
    "clip": _CLIP,
    "chineseclip": _CLIP,
    "bit": _CLIP,
    "siglip": _Defaults(224, None, BICUBIC, HALF, HALF, square=True),
    "siglip2": _Defaults(256, None, BILINEAR, HALF, HALF, square=True),
    "deit": _Defaults(256, 224, BICUBIC, HALF, HALF, square=True),
    "beit": _Defaults(224, None, BICUBIC, HALF, HALF, square=True),
    "convnext": _Defaults(384, None, BICUBIC, HALF, HALF, square=False),
    "dinov3vit": _Defaults(224, None, BILINEAR, IMAGENET_MEAN, IMAGENET_STD, square=True),
}


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read a checkpoint folder's `preprocessor_config.json` (or the one inside `processor_config.json`).

    Raises:
        WeightsUnavailable: there is none, or it asks for something that is not a fixed-size RGB input.

    """
    settings = _read_settings(folder)
    kind = _processor_kind(settings, folder)
    known = _PROCESSORS.get(kind, _VIT)
    resample = int(settings.get("resample", known.resample))
    mean, std = _normalisation(settings, known)
    if kind == "siglip2":
        edge = _square_of_patches(settings)
        return Preprocessing(edge, edge, edge, "squeeze", resample, mean, std)

    frame, shortest = _frame_or_shortest_edge(settings.get("size", known.size), known, folder)
    if frame is None and kind == "convnext":
        return _convnext(shortest, float(settings.get("crop_pct", _CROP_PCT)), resample, mean, std)
    crop = _edges(settings.get("crop_size", known.crop))
    if crop is None or not settings.get("do_center_crop", known.crop is not None):
        crop = frame or (shortest, shortest)
    if frame is None:
        return Preprocessing(*crop, shortest, "crop", resample, mean, std)
    return Preprocessing(*crop, min(frame), "squeeze", resample, mean, std)


def with_fit(preprocessing: Preprocessing, fit: Fit | None) -> Preprocessing:
    """Return `preprocessing` with another way to fit the frame into the input; None keeps the checkpoint's own.

    With "crop+squeeze" only what is cut is seen whole beside that: all else is seen whole as it is.
    """
    if fit is None or fit == preprocessing.fit:
        return preprocessing
    if fit == "crop+squeeze":
        return replace(preprocessing, fit=fit) if preprocessing.fit == "crop" else preprocessing
    return replace(preprocessing, fit=fit, resize=min(preprocessing.height, preprocessing.width))


def prepare(image: Image.Image, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Resize and cut one upright image: uint8 of the preprocessing's `shape`."""
    import numpy as np

    return np.array(fitted(image, preprocessing))


def fitted(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Resize and cut one upright image to RGB of exactly the preprocessing's `shape`; what decodes has no NumPy.

    The pixels are those of the checkpoint's own processor. Of a panorama only the part that survives the crop is
    resampled, so that one pixel by ten thousand costs no more than a square photo; Pillow may then take its two passes
    in another order, whose rounding differs by up to two grey levels.
    """
    frame = image if image.mode == "RGB" else image.convert("RGB")
    if preprocessing.fit == "pad":
        return _pad(frame, preprocessing)
    if preprocessing.fit == "crop+squeeze":
        return _one_below_the_other([fitted(frame, framing) for framing in preprocessing.framings])
    return _resize_and_crop(frame, preprocessing)


def _one_below_the_other(images: Sequence[Image.Image]) -> Image.Image:
    from PIL import Image as PillowImage

    column = PillowImage.new("RGB", (images[0].width, sum(image.height for image in images)))
    top = 0
    for image in images:
        column.paste(image, (0, top))
        top += image.height
    return column


def _resize_and_crop(image: Image.Image, pre: Preprocessing) -> Image.Image:
    full_width, full_height = _resized_size(image.size, pre)
    left, top = (full_width - pre.width) // 2, (full_height - pre.height) // 2
    if max(full_width, full_height) <= _PANORAMA * pre.resize:
        # Outside the frame a crop is black, as the processors' zeros.
        whole = image.resize((full_width, full_height), resample=pre.resample)
        return whole.crop((left, top, left + pre.width, top + pre.height))
    x0, x1 = max(left, 0), min(left + pre.width, full_width)
    y0, y1 = max(top, 0), min(top + pre.height, full_height)
    x_step, y_step = image.width / full_width, image.height / full_height
    box = (x0 * x_step, y0 * y_step, min(x1 * x_step, image.width), min(y1 * y_step, image.height))
    part = image.resize((x1 - x0, y1 - y0), resample=pre.resample, box=box)
    return part.crop((left - x0, top - y0, left - x0 + pre.width, top - y0 + pre.height))


def _resized_size(size: tuple[int, int], pre: Preprocessing) -> tuple[int, int]:
    """Return the whole frame's (width, height) after resizing, before the crop."""
    if pre.fit == "squeeze":
        short = min(pre.width, pre.height)
        return pre.resize * pre.width // short, pre.resize * pre.height // short
    width, height = size
    short, long = min(size), max(size)
    stretched = int(pre.resize * long / short)
    return (pre.resize, stretched) if width <= height else (stretched, pre.resize)


def _pad(image: Image.Image, pre: Preprocessing) -> Image.Image:
    from PIL import Image as PillowImage

    scale = min(pre.width / image.width, pre.height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    red, green, blue = (min(255, max(0, round(255 * value))) for value in pre.mean)
    canvas = PillowImage.new("RGB", (pre.width, pre.height), (red, green, blue))
    canvas.paste(
        image.resize(size, resample=pre.resample), ((pre.width - size[0]) // 2, (pre.height - size[1]) // 2)
    )
    return canvas


def _convnext(edge: int, crop_pct: float, resample: int, mean: _RGB, std: _RGB) -> Preprocessing:
    """Follow `ConvNextImageProcessor.resize`: small inputs are cut from a larger frame, large ones squeezed."""
    if edge < _WARP_FROM:
        return Preprocessing(edge, edge, int(edge / crop_pct), "crop", resample, mean, std)
    return Preprocessing(edge, edge, edge, "squeeze", resample, mean, std)


def _frame_or_shortest_edge(size: Any, known: _Defaults, folder: Path) -> tuple[tuple[int, int] | None, int]:  # noqa: ANN401 - JSON
    """Return ((height, width) or None, shortest edge): a squeezed frame's size, or None for one that is cropped."""
    if isinstance(size, dict) and "shortest_edge" in size:
        return None, int(size["shortest_edge"])
    if not isinstance(size, dict) and not known.square:
        return None, int(size)
    try:
        frame = _edges(size)
    except KeyError:
        frame = None
    if frame is None:
        raise WeightsUnavailable(
            f"{folder}: its preprocessor configuration asks for the size {size}, which is no fixed input size; "
            "choose a checkpoint with one"
        )
    return frame, min(frame)


def _edges(size: Any) -> tuple[int, int] | None:  # noqa: ANN401 - a JSON number or object
    """Return (height, width) of a checkpoint's size entry."""
    if size is None:
        return None
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _square_of_patches(settings: Mapping[str, Any]) -> int:
    """Return the edge of the largest square that a NaFlex processor cuts into at most `max_num_patches` patches."""
    return int(int(settings.get("max_num_patches", 256)) ** 0.5) * int(settings.get("patch_size", 16))


def _normalisation(settings: Mapping[str, Any], known: _Defaults) -> tuple[_RGB, _RGB]:
    """Return mean and standard deviation for values in 0..1, whatever scale the checkpoint states them in."""
    if not settings.get("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    else:
        mean = _triple(settings.get("image_mean", known.mean))
        std = _triple(settings.get("image_std", known.std))
    factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    unit = factor * 255
    if abs(unit - 1) < 1e-6:  # the usual 1/255, stored with rounding
        return mean, std
    return (mean[0] / unit, mean[1] / unit, mean[2] / unit), (std[0] / unit, std[1] / unit, std[2] / unit)


def _triple(value: Any) -> _RGB:  # noqa: ANN401 - a JSON number or list
    if isinstance(value, (int, float)):
        return (float(value),) * 3
    red, green, blue = (float(part) for part in value)
    return red, green, blue


def _read_settings(folder: Path) -> Mapping[str, Any]:
    nested, own = folder / "processor_config.json", folder / "preprocessor_config.json"
    try:
        if nested.is_file():
            settings = json.loads(nested.read_text("utf-8")).get("image_processor")
            if isinstance(settings, dict):
                return settings
        if own.is_file():
            settings = json.loads(own.read_text("utf-8"))
            if isinstance(settings, dict):
                return settings
    except ValueError as error:
        raise WeightsUnavailable(f"{folder}: the preprocessor configuration is not JSON ({error})") from error
    raise WeightsUnavailable(
        f"{folder} has no preprocessor_config.json: add the one that the checkpoint was published with"
    )


def _processor_kind(settings: Mapping[str, Any], folder: Path) -> str:
    named = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    for ending in ("Pil", "Fast", "ImageProcessor", "FeatureExtractor"):
        named = named.removesuffix(ending)
    if named:
        return named.lower()
    config = folder / "config.json"
    model_type = json.loads(config.read_text("utf-8")).get("model_type", "") if config.is_file() else ""
    from vitsearch.backbones.families import FAMILIES

    return FAMILIES[model_type].processor if model_type in FAMILIES else model_type
