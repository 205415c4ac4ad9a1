"""How many edited copies are found at 99.9 % precision: `python benchmarks/copy_detection.py FOLDER SCRATCH`.

`benchmarks/copy_set.py FOLDER SCRATCH` makes the set first; edits whose copies it has not indexed yet are left out.
Each method scores every copy against every original of its half. Its cut-off is the loosest at which 99.9 % of the
reported pairs of one half are right; recall and precision are those of the other half, whose photos it has not seen.
All other originals are wrong answers: those of the same class are the hard ones. The second look sees only the pairs
that a search for duplicates would propose among the originals and the copies of one edit. Hashes of files are kept in
SCRATCH. The rivals come with `pip install imagehash`, and with `benchmarks/imagededup_hashes.py`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from copy_set import Half, halves
from machine import print_machine
from PIL import Image

from vitsearch import Library
from vitsearch.duplicates.calibrate.calibration import strictness_of
from vitsearch.duplicates.calibrate.edits import EDITS, Edit
from vitsearch.duplicates.propose.candidates import pairs_by_embedding, pairs_by_hash, united, walking_order
from vitsearch.duplicates.tables import files_of, hashes_of, present_photos
from vitsearch.duplicates.verify.verifier import Verifier, verifying_threads
from vitsearch.photos.perceptual_hash import in_all_orientations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PRECISION = 0.999
RIVALS: dict[str, Callable[[Image.Image], imagehash.ImageHash]] = {
    "phash": imagehash.phash,
    "phash 256": lambda image: imagehash.phash(image, hash_size=16),
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
    "average": imagehash.average_hash,
}
_NOT_PROPOSED = -100.0


@dataclass
class Scores:
    """Scores of right pairs, by edit, and of wrong ones that could matter."""

    right: dict[str, np.ndarray] = field(default_factory=dict)
    wrong: list[np.ndarray] = field(default_factory=list)

    def add(self, edit: str, scores: np.ndarray, copied: int) -> None:
        """Add scores (copies, originals): the copy of an original is in its row."""
        truth = np.eye(copied, scores.shape[1], dtype=bool)
        self.right[edit] = scores[truth].astype(np.float32)
        wrong = scores[~truth].astype(np.float32)
        self.wrong.append(np.sort(wrong)[-20_000:])

    def cutoff(self) -> float:
        """The loosest cut-off at which the reported pairs have the precision."""
        right, wrong = np.concatenate(list(self.right.values())), np.concatenate(self.wrong)
        best = np.inf
        for score in np.unique(right[right > _NOT_PROPOSED])[::-1]:
            kept, mistaken = (right >= score).sum(), (wrong >= score).sum()
            if kept / (kept + mistaken) >= PRECISION:
                best = float(score)
        return best

    def recall(self, edits: Sequence[str], cutoff: float) -> float:
        """The mean over edits of the share that is found."""
        return float(np.mean([np.mean(self.right[edit] >= cutoff) for edit in edits]))

    def precision(self, cutoff: float) -> float:
        """The share of right ones among the reported pairs."""
        right = sum(int((scores >= cutoff).sum()) for scores in self.right.values())
        return right / max(1, right + sum(int((scores >= cutoff).sum()) for scores in self.wrong))


def measured(half: Half, edits: Sequence[Edit]) -> dict[str, Scores]:
    """Score all copies of one half against its originals with every method."""
    scores: dict[str, Scores] = defaultdict(Scores)
    with Library.open(half.library) as library:
        originals = photos_of(library, half, "originals", half.originals)
        known = rival_hashes(half, "originals", half.originals)
        neighbours = library.neighbours()
        for edit in edits:
            copied = half.originals[: half.copied]
            copies = photos_of(library, half, edit.name, copied)
            cosines = neighbours.rows(copies) @ neighbours.rows(originals).T
            scores["cosine"].add(edit.name, cosines, half.copied)
            for name, bits in rival_hashes(half, edit.name, copied).items():
                apart = np.count_nonzero(bits[:, None] != known[name][None], axis=2)
                scores[name].add(edit.name, -apart, half.copied)
            scores["own hash alone"].add(edit.name, -own_distances(library, copies, originals), half.copied)
            scores["second look"].add(edit.name, second_look(library, copies, originals), half.copied)
            right, wrong = scores["second look"].right[edit.name], scores["second look"].wrong[-1]
            print(
                f"{half.name} {edit.name}: proposed {np.mean(right > _NOT_PROPOSED):.3f}, near with the default "
                f"cut-offs {np.mean(right >= 0):.3f}, wrong {np.sum(wrong >= 0)}",
                flush=True,
            )
    return scores


def photos_of(library: Library, half: Half, edit: str, originals: Sequence[Path]) -> np.ndarray:
    """The photo ids of the files of one edit, in the order of the originals."""
    folder = half.copies(edit).resolve()
    files = files_of(library.catalog, present_photos(library.catalog, (folder,)).tolist())
    ids = {file.path.stem: file.photo for file in files if file.path.parent == folder}
    return np.array([ids[path.stem] for path in originals], np.int64)


def rival_hashes(half: Half, edit: str, originals: Sequence[Path]) -> dict[str, np.ndarray]:
    """Hash the files as they are, as a user of imagehash does, once; (n, bits) bool by method."""
    kept = half.folder / f"{edit}.npz"
    if not kept.exists():
        files = {path.stem: path for path in half.copies(edit).iterdir()}
        images = [Image.open(files[path.stem]).convert("RGB") for path in originals]
        np.savez(
            kept,
            **{name: np.array([hashed(i).hash.ravel() for i in images]) for name, hashed in RIVALS.items()},
        )
    with np.load(kept) as arrays:
        hashes = dict(arrays)
    return hashes | imagededup_hashes(half, edit, originals)


def imagededup_hashes(half: Half, edit: str, originals: Sequence[Path]) -> dict[str, np.ndarray]:
    """Read what `benchmarks/imagededup_hashes.py` has written, in the order of the originals; nothing if it has not."""
    kept = half.folder / f"{edit}.imagededup.npz"
    if not kept.exists():
        return {}
    with np.load(kept) as arrays:
        row = {stem: number for number, stem in enumerate(arrays["stems"].tolist())}
        order = [row[path.stem] for path in originals]
        return {f"imagededup {name}": arrays[name][order] for name in arrays.files if name != "stems"}


def own_distances(library: Library, copies: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Distances of the stored hashes over eight orientations; 255 where there is none."""
    ids, words = hashes_of(library.catalog, np.unique(np.concatenate([copies, originals])))
    place = {int(photo): number for number, photo in enumerate(ids)}
    turned = in_all_orientations(words)
    apart = np.full((len(copies), len(originals)), 255, np.int16)
    columns = [column for column, photo in enumerate(originals.tolist()) if photo in place]
    known = turned[[place[int(originals[column])] for column in columns]]
    for row, photo in enumerate(copies.tolist()):
        if photo in place:
            apart[row, columns] = np.bitwise_count(known ^ words[place[photo]]).sum(axis=2).min(axis=1)
    return apart


def second_look(library: Library, copies: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """How far inside the default cut-offs each pair lies (1 is a perfect copy), as far as it is proposed."""
    neighbours = library.neighbours()
    ids = np.unique(np.concatenate([copies, originals]))
    pairs = united(
        [pairs_by_embedding(ids, neighbours), pairs_by_hash(*hashes_of(library.catalog, ids))], neighbours
    )
    rows = {int(photo): row for row, photo in enumerate(copies)}
    columns = {int(photo): column for column, photo in enumerate(originals)}
    scores = np.full((len(copies), len(originals)), _NOT_PROPOSED, np.float32)
    asked = []
    for pair in walking_order(pairs):
        ends = int(pairs.first[pair]), int(pairs.second[pair])
        for copy, original in (ends, ends[::-1]):
            if copy in rows and original in columns:
                asked.append((copy, original, float(pairs.cosines[pair])))
    verifier = Verifier(library.catalog)
    verifier.prepare(ids.tolist())
    with verifying_threads(verifier) as pool:
        found = pool.map(
            lambda ask: strictness_of(verifier.look.compare(ask[1], ask[0], cosine=ask[2])), asked
        )
        for (copy, original, _), score in zip(asked, found, strict=True):
            scores[rows[copy], columns[original]] = score
    return scores


def report(chosen: dict[str, Scores], reported: dict[str, Scores], edits: Sequence[Edit]) -> None:
    """Print recall with cut-offs from the other half, and with those that these photos themselves would ask for."""
    print("\nCut-offs chosen on other photos:")
    print_table({name: scores.cutoff() for name, scores in chosen.items()}, reported, edits)
    print("\nCut-offs chosen on these photos, so that each method has its precision:")
    print_table({name: scores.cutoff() for name, scores in reported.items()}, reported, edits)


def print_table(thresholds: dict[str, float], reported: dict[str, Scores], edits: Sequence[Edit]) -> None:
    """Print recall per edit and family, and the precision that came out."""
    names = list(reported)
    rows = {edit.name: [edit.name] for edit in edits}
    rows |= {
        f"**{family}**": [edit.name for edit in edits if edit.family == family]
        for family in dict.fromkeys(edit.family for edit in edits)
    }
    rows["**light edits**"] = [edit.name for edit in edits if edit.light]
    rows["**all edits**"] = [edit.name for edit in edits]
    print("\n| edit | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for row, members in rows.items():
        if members:
            cells = [f"{reported[name].recall(members, thresholds[name]):.3f}" for name in names]
            print(f"| {row} | " + " | ".join(cells) + " |")
    cells = [f"{reported[name].precision(thresholds[name]):.5f}" for name in names]
    print("| precision that came out | " + " | ".join(cells) + " |")
    print("| cut-off | " + " | ".join(f"{thresholds[name]:.3f}" for name in names) + " |")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--edit", action="append", help="only this one; may be given several times")
    options = parser.parse_args()
    print_machine("numpy", "opencv-python-headless", "imagehash")
    both = reported, chosen = halves(options.folder, options.scratch)
    edits = [
        edit
        for edit in EDITS
        if (not options.edit or edit.name in options.edit)
        and all(
            half.copies(edit.name).is_dir() and len(list(half.copies(edit.name).iterdir())) >= half.copied
            for half in both
        )
    ]
    report(measured(chosen, edits), measured(reported, edits), edits)


if __name__ == "__main__":
    main()
