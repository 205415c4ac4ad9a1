"""What is known of a backbone without loading it: how pixels go in and what space its vectors live in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Readout = Literal["cls", "projection", "pooled", "mean", "cls+mean", "cls+distillation"]
Fit = Literal["crop", "squeeze", "pad", "crop+squeeze"]
Colours = Literal["stored", "sRGB"]
Framing = Literal["model", "whole"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an upright RGB image becomes the model's input, read from the checkpoint's own configuration.

    With the fit "crop" the shortest edge becomes `resize` pixels and the centre `height` x `width` is cut out. With
    "squeeze" the whole frame is resized whatever its proportions, to a shortest edge of `resize`, which is larger
    than the input where a checkpoint cuts a margin off. With "pad" the whole frame is kept in its proportions. With
    "crop+squeeze" a photo is seen twice, and the mean of both vectors is its own. `resample` is a Pillow filter
    number; `mean` and `std` apply to values in 0..1. `colours` are converted to sRGB by the photo's profile, or taken
    as they are stored, as all were when the libraries were made that say nothing of it.
    """

    height: int
    width: int
    resize: int
    fit: Fit
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colours: Colours = "sRGB"

    @property
    def framings(self) -> tuple[Preprocessing, ...]:
        """The ways in which a photo is seen, each by itself: two with the fit "crop+squeeze"."""
        if self.fit != "crop+squeeze":
            return (self,)
        return (
            replace(self, fit="crop"),
            replace(self, fit="squeeze", resize=min(self.height, self.width)),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """What a photo becomes, (height, width, 3): as many inputs of the model, one below the other, as framings."""
        return len(self.framings) * self.height, self.width, 3

    @property
    def decode_side(self) -> int:
        """The shorter side in pixels that decoding keeps at least: twice the input, so that the resize decides."""
        return 2 * max(self.resize, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Space:
    """Where vectors can be compared: two vectors may be compared only if their spaces are equal.

    `fingerprint` is the hex BLAKE3 of the weights. Rows are always stored with unit length. `revision` is the commit of
    the hub's repository that the weights came from, so that the same ones can be had again; "" where they came from
    elsewhere. It says nothing of the vectors: spaces of two commits with the same weights are equal.
    """

    model: str
    fingerprint: str
    preprocessing: Preprocessing
    readout: Readout
    dimension: int
    revision: str = field(default="", compare=False)

    @property
    def is_imported(self) -> bool:
        """Whether the vectors were computed elsewhere, by a model of which only the name is known."""
        return not self.fingerprint

    def to_json(self) -> str:
        """Return a canonical JSON text, without the revision: equal spaces give equal texts."""
        fields = asdict(self)
        del fields["revision"]
        if self.preprocessing.colours == "stored":  # as it was written before there was another way
            del fields["preprocessing"]["colours"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    def with_colours(self, colours: Colours) -> Space:
        """Return the space of the same model that sees colours in this way."""
        return replace(self, preprocessing=replace(self.preprocessing, colours=colours))

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Rebuild a space from `to_json`'s text."""
        fields: dict[str, Any] = json.loads(text)
        pre = fields.pop("preprocessing")
        pre["mean"], pre["std"] = tuple(pre["mean"]), tuple(pre["std"])
        return cls(preprocessing=Preprocessing(**{"colours": "stored", **pre}), **fields)


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """The facts of a loaded or loadable backbone, as `vitsearch models show` prints them."""

    space: Space
    architecture: str
    source: str
    license: str
    patch_size: int
    prefix_tokens: int
    patches: int
    width: int
    layers: int
    heads: int
    parameters: int
    has_text: bool

    @property
    def tokens(self) -> str:
        """The token count as people write it, for example "196 + 1"."""
        return f"{self.patches} + {self.prefix_tokens}"
