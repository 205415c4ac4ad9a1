"""Notes in a file of their own beside a photo: `photo.jpg.xmp` (digiKam, darktable) and `photo.xmp` (Lightroom)."""

from __future__ import annotations

import os
from pathlib import Path

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.regular_file import open_regular
from vitsearch.photos.xmp import LARGEST_PACKET

SIDECAR_ENDINGS = (".xmp", ".XMP")


def sidecar_names(name: str) -> tuple[str, ...]:
    """Return the names that a photo's sidecars may have; the first ones are about no other photo."""
    stem = name.rpartition(".")[0] or name
    return tuple(start + ending for start in dict.fromkeys((name, stem)) for ending in SIDECAR_ENDINGS)


def read_sidecars(path: Path) -> tuple[list[bytes], list[str]]:
    """Read the XMP beside a photo, what is about it alone first, and say what was left out."""
    packets, remarks = [], []
    folder, own = os.path.split(path)
    for name in sidecar_names(own):
        beside = os.path.join(folder, name)  # noqa: PTH118 - most photos have none: Path objects would take longer
        if not os.access(beside, os.F_OK):
            continue
        try:
            with open_regular(Path(beside)) as file:
                packet = file.read(LARGEST_PACKET + 1)
        except (OSError, UnreadablePhoto) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
            remarks.append(f"{name} beside it was left out: {reason}")
            continue
        if len(packet) > LARGEST_PACKET:
            remarks.append(f"{name} beside it was left out: it has more than {LARGEST_PACKET >> 20} MB")
        elif packet not in packets:  # one file by two names, where case does not count
            packets.append(packet)
    return packets, remarks
