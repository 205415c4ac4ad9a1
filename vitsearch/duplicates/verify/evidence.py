"""What a closer look at a pair of photos found, and where the lines are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vitsearch.photos.perceptual_hash import inverse_orientation

# Copies lie inside of each other to 0.995. A plain border is found to 1 % of the frame.
_INSIDE, _PLAIN = 0.985, 1.03
# Where far less of a frame is not plain, what lies around the shared part is the scene's own ground.
_GROUND = 0.75


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the second look draws its lines; `calibration` earns the first two on a library's own photos.

    `share`, `closeness`: see `Agreement`. `overlap`: how much of the smaller photo must lie inside the other.
    `inliers`: how many distinct features a transform must rest on before it is looked at.
    `moved`: how much of the picture may lie elsewhere than the rest says.
    `hash_distance`: up to here (of 255) the hash's orientation of the whole frame is tried first.
    """

    share: float = 0.82
    closeness: float = 0.95
    overlap: float = 0.7
    inliers: int = 7
    moved: float = 0.008
    hash_distance: int = 80


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a pair of photos; `transform` says what was done to the second one.

    `cosine`: similarity of the embeddings. `hash_distance`: 0 to 255, the smallest over eight orientations.
    `inliers`: features the transform rests on, 0 where the hash proposed it. The next five are `Agreement`'s.
    `content_first`, `content_second`: how much of each frame is not a plain border, looked at where it is confirmed.
    `beyond_first`, `seam_first` (and of the second): what lies around the shared part, as in `Surroundings`; `overlay`:
    see `Agreement`. `alignment`: the transform's six numbers between the views, the second one put into `orientation`.
    `light`, `contrast`: see `Agreement`. `around_first`, `around_second`: the grey level around the shared
    part, 0 to 255, -1 if unknown. `unhidden`: see `Agreement`. `even_first`, `even_second`: whether that grey level is
    all that lies around it. `altered`: what differs visibly where both show the same, as in `what_was_altered`; "" for
    nothing, and where that was not looked at.
    """

    cosine: float | None = None
    hash_distance: int | None = None
    inliers: int = 0
    share: float = 0.0
    closeness: float = 0.0
    of_first: float = 0.0
    of_second: float = 0.0
    moved: float = 0.0
    content_first: float = 1.0
    content_second: float = 1.0
    transform: str = "none found"
    beyond_first: float = 0.0
    beyond_second: float = 0.0
    seam_first: bool = False
    seam_second: bool = False
    overlay: int = 0
    orientation: int = 0
    alignment: tuple[float, ...] = ()
    light: float = 0.0
    contrast: float = 1.0
    around_first: float = -1.0
    around_second: float = -1.0
    unhidden: float = 0.0
    even_first: bool = True
    even_second: bool = True
    altered: str = ""

    @property
    def each_shows_more(self) -> bool:
        """Whether each photo shows some of the scene that the other one lacks, as two shots do and no edit."""
        framed = any(
            seam or (even and _GROUND * shared <= content <= _PLAIN * shared)
            for seam, even, content, shared in (
                (self.seam_first, self.even_first, self.content_first, self.of_first),
                (self.seam_second, self.even_second, self.content_second, self.of_second),
            )
        )
        return 0 < max(self.of_first, self.of_second) < _INSIDE and not framed

    def turned_round(self) -> Evidence:
        """What the same pair shows seen from the other side; `transform` is left to `words.what_was_done`."""
        return replace(
            self,
            of_first=self.of_second,
            of_second=self.of_first,
            content_first=self.content_second,
            content_second=self.content_first,
            beyond_first=self.beyond_second,
            beyond_second=self.beyond_first,
            seam_first=self.seam_second,
            seam_second=self.seam_first,
            overlay=3 - self.overlay if self.overlay else 0,
            even_first=self.even_second,
            even_second=self.even_first,
            around_first=self.around_second,
            around_second=self.around_first,
            orientation=inverse_orientation(self.orientation),
            alignment=self._inverse_alignment(),
            light=-self.light,
            contrast=1 / max(self.contrast, 1e-3),
        )

    def _inverse_alignment(self) -> tuple[float, ...]:
        """The transform back, without its shift, which only the sizes of the frames would tell."""
        if not self.alignment:
            return ()
        turn = np.linalg.inv(np.array(self.alignment).reshape(2, 3)[:, :2])
        if (
            self.inliers and self.orientation
        ):  # mirrored: the features of the first photo are in the mirror then
            mirror = np.diag([-1.0, 1.0])
            turn = mirror @ turn @ mirror
        return tuple(map(float, np.column_stack([turn, np.zeros(2)]).ravel()))

    @property
    def score(self) -> float:
        """One number, 0 to 1: the share of the picture that agrees times how closely it does."""
        return max(0.0, self.share * self.closeness)

    def confirms(self, thresholds: Thresholds) -> bool:
        """Whether this is the same shot."""
        return (
            self.share >= thresholds.share
            and self.closeness >= thresholds.closeness
            and max(self.of_first, self.of_second) >= thresholds.overlap
            and self.moved <= thresholds.moved
        )
