"""What it costs to decode photos in processes with limits, against decoding them in threads of the run.

    python benchmarks/protection.py --photos FOLDER [--model NAME] [--megapixels 12] [--count 96]

The unprotected candidate is the same pipeline with `photos.read_photo` called in its threads. Both take turns in one
run and see the same photos; the file cache is warm for both. The processes' start is part of the protected run.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from machine import medians, print_machine
from photo_sets import make_photos

import vitsearch.indexing.embedding
from vitsearch.backbones import load_backbone
from vitsearch.backbones.preprocessing import prepare
from vitsearch.decoding.decoders import Decoders
from vitsearch.library import Library
from vitsearch.photos.perceptual_hash import perceptual_hash
from vitsearch.photos.photo import read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from vitsearch.space import Preprocessing


class _UnprotectedPhoto:
    """What `ProtectedPhoto` does, in the calling thread."""

    def __init__(self, path: Path) -> None:
        self._photo = read_photo(path)
        self.file_hash, self.photo_hash, self.facts = (
            self._photo.file_hash,
            self._photo.photo_hash,
            self._photo.facts,
        )

    def prepared(self, preprocessing: Preprocessing) -> tuple[bytes, npt.NDArray[np.uint8]]:
        image = self._photo.pixels(min_side=preprocessing.decode_side)
        return perceptual_hash(image), prepare(image, preprocessing)


class _NoProtection(Decoders):
    """Opens photos in the calling thread."""

    def start(self) -> None:
        """Start nothing."""

    @contextmanager
    def open(self, source: Path | bytes, *, name: str | None = None) -> Iterator[_UnprotectedPhoto]:
        """Open a file without protection."""
        del name
        assert isinstance(source, Path)
        yield _UnprotectedPhoto(source)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="a folder of real photos to make the sets from"
    )
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--made", type=Path, help="where the set is kept for another run; a temporary folder by default"
    )
    arguments = parser.parse_args()
    print_machine("vitsearch", "openvino", "pillow")
    backbone = load_backbone(
        arguments.model, cache=platformdirs.user_cache_path("vitsearch", appauthor=False)
    )
    with tempfile.TemporaryDirectory() as scratch:
        made = arguments.made or Path(scratch) / "photos"
        photos = make_photos(arguments.photos, made, count=arguments.count, megapixels=arguments.megapixels)

        def index(decoders: type[Decoders]) -> None:
            vitsearch.indexing.embedding.Decoders = decoders
            shutil.rmtree(Path(scratch) / "library", ignore_errors=True)
            with Library.open(Path(scratch) / "library", backbone=backbone) as library:
                report = library.index([made])
            assert report.embedded == len(photos), report

        index(Decoders)
        seconds = medians(
            {"in threads": lambda: index(_NoProtection), "in processes": lambda: index(Decoders)},
            repeats=arguments.repeats,
        )
    print(
        f"{arguments.model}, {len(photos)} JPEGs of {arguments.megapixels:g} MP, median of {arguments.repeats}"
    )
    for name, value in seconds.items():
        print(f"{name:<14} {value:7.2f} s  {len(photos) / value:7.2f} photos/s")
    print(f"protection costs {seconds['in processes'] / seconds['in threads'] - 1:+.1%} of indexing time")


if __name__ == "__main__":
    main()
