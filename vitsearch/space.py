"""Descriptions of backbones that need no loading: their preprocessing, and the space of their embeddings."""

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

    - `fit`: "crop" resizes the shortest edge to `resize` pixels and cuts out the centre, `height` x `width`. "squeeze"
      resizes the whole frame, ignoring its proportions, to a shortest edge of `resize`, which is larger than the input
      if the checkpoint crops a margin. "pad" keeps the whole frame in its proportions. "crop+squeeze" embeds a photo
      in both ways and averages the two.
    - `resample`: a Pillow filter number.
    - `mean`, `std`: apply to values in 0..1.
    - `colours`: whether colours are converted to sRGB by the photo's profile, or taken as stored, as in libraries of
      earlier versions.
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
        """The preprocessing of each view of a photo: two with the fit "crop+squeeze", otherwise one."""
        if self.fit != "crop+squeeze":
            return (self,)
        return (
            replace(self, fit="crop"),
            replace(self, fit="squeeze", resize=min(self.height, self.width)),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a prepared photo, (height, width, 3): one model input per framing, stacked vertically."""
        return len(self.framings) * self.height, self.width, 3

    @property
    def decode_side(self) -> int:
        """The minimum shorter side in pixels when decoding: twice the input, so that the final resize dominates."""
        return 2 * max(self.resize, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space: two embeddings may be compared only if their spaces are equal.

    - `fingerprint`: the hex BLAKE3 of the weights.
    - `revision`: the commit of the hub's repository that the weights came from, so that they can be downloaded again;
      "" for weights from elsewhere. It is not compared: spaces of two commits with the same weights are equal.

    Rows are always stored with unit length.
    """

    model: str
    fingerprint: str
    preprocessing: Preprocessing
    readout: Readout
    dimension: int
    revision: str = field(default="", compare=False)

    @property
    def is_imported(self) -> bool:
        """Whether the embeddings were computed elsewhere, by a model of which only the name is known."""
        return not self.fingerprint

    def to_json(self) -> str:
        """Return canonical JSON without the revision: equal spaces give equal texts."""
        fields = asdict(self)
        del fields["revision"]
        if self.preprocessing.colours == "stored":  # as it was written before there was another way
            del fields["preprocessing"]["colours"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    def with_colours(self, colours: Colours) -> Space:
        """Return the space of the same model with this colour handling."""
        return replace(self, preprocessing=replace(self.preprocessing, colours=colours))

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Rebuild a space from the text of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        pre = fields.pop("preprocessing")
        pre["mean"], pre["std"] = tuple(pre["mean"]), tuple(pre["std"])
        return cls(preprocessing=Preprocessing(**{"colours": "stored", **pre}), **fields)


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """The properties of a backbone, as `vitsearch models show` prints them."""

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
        """The token count as text, for example "196 + 1"."""
        return f"{self.patches} + {self.prefix_tokens}"
