"""What it costs to decode photos in processes with limits, against decoding them in threads of the run.

    python benchmarks/protection.py --photos FOLDER [--model NAME] [--megapixels 12] [--count 96]

The unprotected candidate is the same pipeline, whose threads do what its processes do otherwise. Both take turns in one
run and see the same photos; the file cache is warm for both. The processes' start is part of the protected run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import platformdirs
from machine import medians, print_machine
from photo_sets import make_photos

from vitsearch.backbones import load_backbone
from vitsearch.decoding import worker
from vitsearch.decoding.process import DecodingProcess
from vitsearch.library import Library

if TYPE_CHECKING:
    from vitsearch.decoding.process import Limits


class InThisThread(DecodingProcess):
    """Answers in the thread that asks, without a process."""

    def __init__(self, limits: Limits, *, program: str) -> None:
        super().__init__(limits, program=program)
        # Its watchdog ends a process: this one is not to be ended.
        self._worker = worker._Worker(1e6, limits.memory)  # noqa: SLF001

    def start(self) -> Any:  # noqa: ANN401 - there is no process to return, and nobody looks at it
        """Start nothing."""

    def ask(
        self, request: dict[str, Any], data: bytes = b"", *, most: int, more_seconds: float = 0.0
    ) -> tuple[dict[str, Any], bytes]:
        """Answer as the program of a process does, through the same words."""
        del most, more_seconds
        fields, parts = self._worker.answer(json.loads(json.dumps(request)), data)
        return json.loads(json.dumps(fields)), b"".join(parts)


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

        def index(process: type[DecodingProcess]) -> None:
            shutil.rmtree(Path(scratch) / "library", ignore_errors=True)
            with (
                patch("vitsearch.decoding.decoders.DecodingProcess", process),
                Library.open(Path(scratch) / "library", backbone=backbone) as library,
            ):
                report = library.index([made])
            assert report.embedded == len(photos), report

        index(DecodingProcess)
        seconds = medians(
            {"in threads": lambda: index(InThisThread), "in processes": lambda: index(DecodingProcess)},
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
