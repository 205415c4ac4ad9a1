"""What a file holds behind its picture: the video of a motion photo, or data of a kind that nobody here knows."""

from __future__ import annotations

import re
from dataclasses import dataclass

# ISO/IEC 14496-12. Of these brands the first box says enough; any other one has to be followed by another box.
_VIDEO_BRANDS = (
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"qt  ",
    b"MSNV",
    b"3gp",
    b"M4V",
)
_FIRST_BOX = b"ftyp"
# A HEIC has this box of its own at its beginning, JPEG 2000 and JPEG XL after a signature of 12 bytes.
_AFTER_OWN_BOX = 17
_LEAST_FIRST, _MOST_FIRST = 16, 1024
_BOX_TYPE = re.compile(rb"[A-Za-z0-9 \xa9]{4}")
# The box in which a HEIC carries its video, and the name under which Samsung's phones write one behind a JPEG.
_MOTION_BOX, _SAMSUNG_VIDEO = b"mpvd", b"MotionPhoto_Data"
# ITU-T T.81, B.1.1.2: in the coded data 0xff is followed by 0 or by the number of a restart.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ALONE = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PNG, _PNG_END = b"\x89PNG", b"IEND"
# Cameras end their files with notes of their own, up to some kilobytes; editors drop them.
_NOTES = 4096


@dataclass(frozen=True, slots=True)
class Behind:
    """What lies behind a picture: `video`, b"" for none, and `other` data, b"" for notes and padding."""

    video: bytes = b""
    other: bytes = b""


def behind_picture(data: bytes) -> Behind:
    """Find what the bytes of a file hold behind its picture."""
    end = _end_of_picture(data)
    rest = b"" if end is None else data[end:]
    video = _video(data, _AFTER_OWN_BOX if end is None else end) or _samsung_video(rest) or _motion_box(data)
    if video:
        return Behind(video)
    return Behind(other=rest if _is_more_than_notes(rest) else b"")


def _video(data: bytes, start: int) -> bytes:
    """What begins, from some place on, as a file of ISO media does; to the end."""
    position = data.find(_FIRST_BOX, start)
    while position >= 0:
        if _begins_video(data, position - 4):
            return data[position - 4 :]
        position = data.find(_FIRST_BOX, position + 4)
    return b""


def _begins_video(data: bytes, at: int) -> bool:
    if at < 0:
        return False
    size, brand = int.from_bytes(data[at : at + 4], "big"), data[at + 8 : at + 12]
    if brand.startswith(_VIDEO_BRANDS):
        return True
    if not _LEAST_FIRST <= size <= _MOST_FIRST or size % 4 or not (brand.isascii() and len(brand) == 4):
        return False
    following = at + size
    length = int.from_bytes(data[following : following + 4], "big")
    is_box = _BOX_TYPE.fullmatch(data[following + 4 : following + 8]) is not None
    # 0: to the end of the file; 1: the length stands in eight bytes more.
    return is_box and (length in (0, 1) or length >= 8)


def _samsung_video(rest: bytes) -> bytes:
    position = rest.find(_SAMSUNG_VIDEO)
    video = rest[position:] if position >= 0 else b""
    return video if _is_more_than_notes(video) else b""


def _motion_box(data: bytes) -> bytes:
    """The box for the video among the outermost ones of a file of ISO media, b"" where there is none."""
    if data[4:8] != _FIRST_BOX:
        return b""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if data[at + 4 : at + 8] == _MOTION_BOX:
            return data[at : at + size] if size else data[at:]
        if size < 8:
            break
        at += size
    return b""


def _end_of_picture(data: bytes) -> int | None:
    """Where the picture of a JPEG, PNG, WebP or HEIC ends; None for others, and for one that is cut off."""
    if data[:2] == b"\xff\xd8":
        return _end_of_jpeg(data)
    if data[:4] == _PNG:
        end = data.rfind(_PNG_END)
        return None if end < 0 else end + 8
    if data[:4] == b"RIFF":
        size = int.from_bytes(data[4:8], "little")
        return 8 + size + size % 2
    return None


def _end_of_jpeg(data: bytes) -> int | None:
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _END_OF_IMAGE:
            return at + 2
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _START_OF_SCAN:
                found = _NEXT_MARKER.search(data, at)
                if found is None:
                    return None
                at = found.start()
    return None


def _is_more_than_notes(data: bytes) -> bool:
    """Whether there is more than some kilobytes of something else than padding."""
    if len(data) <= _NOTES:
        return False
    import numpy as np

    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    # Padding repeats a value; zeros may follow it.
    counts[0] = 0
    return int(counts.sum() - counts.max()) > _NOTES
