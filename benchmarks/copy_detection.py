"""How many edited copies are found at 99.9 % precision: `python benchmarks/copy_detection.py FOLDER [--count 500]`.

FOLDER holds real photos, one subfolder a class. Each of `count` originals is edited in every way that
`vitsearch.duplicates.edits` knows. A method scores copies against all originals; its cut-off is the loosest at which
99.9 % of the reported pairs are right, where every other original is a wrong answer: photos of the same class are
the hard ones among them. The second look sees only what the embedding and the hash propose.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from machine import print_machine
from PIL import Image, ImageOps

from vitsearch.backbones import load_backbone
from vitsearch.duplicates.edits import EDITS, Edit
from vitsearch.duplicates.evidence import Cutoffs, look
from vitsearch.duplicates.hashes import distances, in_all_orientations, perceptual_hash, unpacked
from vitsearch.duplicates.views import View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitsearch.backbones.backbone import Backbone

PRECISION = 0.999
OTHERS: dict[str, Callable[[Image.Image], imagehash.ImageHash]] = {
    "phash": imagehash.phash,
    "phash 256": lambda image: imagehash.phash(image, hash_size=16),
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
    "average": imagehash.average_hash,
}


@dataclass
class Described:
    """Images as each method sees them."""

    rows: np.ndarray
    hashes: list[bytes]
    views: list[View]
    others: dict[str, np.ndarray]


@dataclass
class Scores:
    """Scores of right pairs, by edit, and of wrong ones; a pair that was not proposed scores minus infinity."""

    right: dict[str, np.ndarray] = field(default_factory=dict)
    wrong: list[np.ndarray] = field(default_factory=list)

    def cutoff(self) -> float:
        """The loosest cut-off at which the reported pairs have the precision."""
        right, wrong = np.concatenate(list(self.right.values())), np.concatenate(self.wrong)
        scores = np.concatenate([right, wrong])
        truth = np.concatenate([np.ones(len(right)), np.zeros(len(wrong))])
        order = np.argsort(-scores, kind="stable")
        scores, truth = scores[order], truth[order]
        precision = np.cumsum(truth) / np.arange(1, len(truth) + 1)
        # Only where a score ends: pairs with equal scores are reported together.
        ends = np.append(scores[1:] != scores[:-1], [True])
        good = np.flatnonzero(ends & (precision >= PRECISION) & np.isfinite(scores))
        return float(scores[good[-1]]) if len(good) else np.inf


def describe(images: Sequence[Image.Image], backbone: Backbone, seconds: dict[str, float]) -> Described:
    """Embed, hash and view images, and add up what each costs."""
    start = time.process_time()
    rows = []
    for first in range(0, len(images), backbone.batch_size):
        part = images[first : first + backbone.batch_size]
        rows.append(backbone.embed_batch(np.stack([backbone.prepare(image) for image in part])).rows)
    seconds["embedding"] += time.process_time() - start
    start = time.process_time()
    hashes = [perceptual_hash(image) for image in images]
    seconds["hash"] += time.process_time() - start
    others = {
        name: np.array([method(image).hash.reshape(-1) for image in images])
        for name, method in OTHERS.items()
    }
    return Described(np.concatenate(rows), hashes, [View.of(image) for image in images], others)


def hash_distances(copies: Sequence[bytes], originals: Sequence[bytes]) -> np.ndarray:
    """Distances over eight orientations, (copies, originals); 255 where there is no hash."""
    words = [unpacked([one or b"\0" * 32 for one in some]) for some in (copies, originals)]
    turned = in_all_orientations(words[1])
    found = np.stack(
        [
            np.bitwise_count(one ^ turned).sum(axis=2, dtype=np.int64).min(axis=1)
            for one in words[0][:, None, None]
        ]
    )
    assert (found[0, 0] == distances(words[0][:1], words[1][:1])[0]).all()
    found[[not one for one in copies]] = 255
    found[:, [not one for one in originals]] = 255
    return found


def proposed(
    cosines: np.ndarray, apart: np.ndarray, *, neighbours: int, cutoff: float, near: int
) -> np.ndarray:
    """Which pairs get a second look, (copies, originals) bool."""
    kth = -np.partition(-cosines, neighbours, axis=1)[:, neighbours, None]
    return ((cosines > kth) & (cosines >= cutoff)) | (apart <= near)


def second_look(
    copies: Described, originals: Described, chosen: np.ndarray, cosines: np.ndarray
) -> np.ndarray:
    """The evidence's score where it confirms with the loosest cut-offs, else minus infinity."""
    loose = Cutoffs(share=0.4, closeness=0.9)
    scores = np.full(chosen.shape, -np.inf)
    for copy, original in np.argwhere(chosen):
        seen = look(
            originals.views[original],
            copies.views[copy],
            hashes=(originals.hashes[original], copies.hashes[copy]),
            cosine=float(cosines[copy, original]),
        )
        if seen.confirms(loose):
            scores[copy, original] = margin(seen.share, seen.closeness)
    return scores


def margin(share: float, closeness: float) -> float:
    """How far inside the default cut-offs a pair lies, in units of the distance to a perfect score; 0 is on them."""
    default = Cutoffs()
    return min(
        (share - default.share) / (1 - default.share),
        (closeness - default.closeness) / (1 - default.closeness),
    )


def photos_below(folder: Path, count: int) -> list[tuple[Path, str]]:
    """Choose photos evenly from the classes."""
    classes = [
        sorted(path for path in below.iterdir() if path.is_file()) for below in sorted(folder.iterdir())
    ]
    chosen = [
        files[index] for index in range(max(map(len, classes))) for files in classes if index < len(files)
    ]
    return [(path, path.parent.name) for path in chosen[:count]]


def opened(path: Path) -> Image.Image:
    """Read a photo upright."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--cache", type=Path, required=True, help="where the model's weights are")
    parser.add_argument("--neighbours", type=int, default=8)
    parser.add_argument("--cutoff", type=float, default=0.7, help="the lowest cosine that is looked at")
    parser.add_argument("--near", type=int, default=80, help="the largest hash distance that is looked at")
    options = parser.parse_args()
    print_machine("numpy", "opencv-python-headless", "imagehash")

    backbone = load_backbone(options.model, cache=options.cache)
    photos = photos_below(options.folder, options.count)
    seconds: dict[str, float] = defaultdict(float)
    images = [opened(path) for path, _ in photos]
    originals = describe(images, backbone, seconds)
    truth = np.eye(len(photos), dtype=bool)
    scores: dict[str, Scores] = defaultdict(Scores)
    reached, looks, default_right, default_wrong = {}, 0, {}, []
    for edit in EDITS:
        copies = describe(edited(images, edit), backbone, seconds)
        cosines = copies.rows @ originals.rows.T
        apart = hash_distances(copies.hashes, originals.hashes)
        chosen = proposed(
            cosines, apart, neighbours=options.neighbours, cutoff=options.cutoff, near=options.near
        )
        looks += int(chosen.sum())
        start = time.process_time()
        looked = second_look(copies, originals, chosen, cosines)
        seconds["second look"] += time.process_time() - start
        reached[edit.name] = chosen[truth].mean()
        default_right[edit.name] = (looked[truth] >= 0).mean()
        default_wrong += [(edit.name, *pair) for pair in np.argwhere((looked >= 0) & ~truth)]
        found = {"second look": looked, "cosine": cosines, "hash of eight orientations": -apart}
        for name, bits in copies.others.items():
            found[name] = -np.count_nonzero(bits[:, None] != originals.others[name][None], axis=2)
        for name, values in found.items():
            scores[name].right[edit.name] = values[truth]
            scores[name].wrong.append(values[~truth])
        print(
            f"{edit.name}: proposed {reached[edit.name]:.3f}, near {default_right[edit.name]:.3f}", flush=True
        )

    report(scores, default_right, default_wrong)
    copies_made = len(photos) * len(EDITS)
    for what, spent in seconds.items():
        print(f"{what}: {spent / (copies_made + len(photos)) * 1000:.1f} ms of CPU a photo")
    print(f"{looks / copies_made:.2f} pairs a photo had a second look")
    library_cost(originals, options, seconds["embedding"] / (copies_made + len(photos)))


def edited(images: Sequence[Image.Image], edit: Edit) -> list[Image.Image]:
    """Apply an edit to all images, each with its own source of chance."""
    return [edit.apply(image, Random(index)) for index, image in enumerate(images)]


def report(scores: dict[str, Scores], default: dict[str, float], wrong: list[tuple[str, int, int]]) -> None:
    """Print recall per edit and method."""
    names = list(scores)
    cutoffs = {name: scores[name].cutoff() for name in names}
    print(f"\nrecall at a precision of {PRECISION}")
    print("edit | near, default cut-offs | " + " | ".join(names))
    print("---|" * (len(names) + 1) + "---")
    rows = {edit.name: [edit.name] for edit in EDITS}
    rows |= {
        f"all of {family}": [e.name for e in EDITS if e.family == family]
        for family in dict.fromkeys(e.family for e in EDITS)
    }
    rows["light edits"] = [edit.name for edit in EDITS if edit.light]
    rows["all edits"] = [edit.name for edit in EDITS]
    for row, members in rows.items():
        cells = [np.mean([default[member] for member in members])]
        cells += [
            np.mean([np.mean(scores[name].right[member] >= cutoffs[name]) for member in members])
            for name in names
        ]
        print(f"{row} | " + " | ".join(f"{cell:.3f}" for cell in cells))
    print("cut-offs: " + ", ".join(f"{name} {cutoff:.3f}" for name, cutoff in cutoffs.items()))
    print(
        f"wrong pairs at the default cut-offs: {len(wrong)}, between originals {sorted({pair[1:] for pair in wrong})}"
    )


def library_cost(originals: Described, options: argparse.Namespace, embedding: float) -> None:
    """What the second look costs in a library where nothing has a copy."""
    fresh = Described(originals.rows, originals.hashes, [View(view.grey) for view in originals.views], {})
    cosines = fresh.rows @ fresh.rows.T
    np.fill_diagonal(cosines, -1)
    apart = hash_distances(fresh.hashes, fresh.hashes)
    np.fill_diagonal(apart, 255)
    chosen = np.triu(
        proposed(cosines, apart, neighbours=options.neighbours, cutoff=options.cutoff, near=options.near)
    )
    start = time.process_time()
    second_look(fresh, fresh, chosen, cosines)
    spent = (time.process_time() - start) / len(fresh.views)
    print(
        f"originals among themselves: {chosen.sum() / len(fresh.views):.2f} pairs and {spent * 1000:.1f} ms of CPU a "
        f"photo, {spent / embedding:.2f} of the embedding"
    )


if __name__ == "__main__":
    main()
