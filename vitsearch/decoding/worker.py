"""The program of a decoding process: open a photo, describe it, decode it. It imports little, to start fast."""

from __future__ import annotations

import faulthandler
import math
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vitsearch.backbones.preprocessing import fitted
from vitsearch.decoding.confinement import answer_requests, keep_memory
from vitsearch.decoding.messages import needs_memory, seconds_to_read, seconds_to_read_all
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.grey_grid import grey_grid
from vitsearch.photos.photo import MAX_FILE_BYTES, parse_photo, read_photo
from vitsearch.space import Preprocessing

if TYPE_CHECKING:
    from vitsearch.photos.photo import PhotoFile
    from vitsearch.space import Colours

_LARGE_FILE = 32 << 20


def main(seconds: float, memory: int) -> NoReturn:
    """Answer requests on standard input until it is closed. A request that takes too long ends the process."""
    answer_requests(memory, lambda: _Worker(seconds, memory).answer, most=MAX_FILE_BYTES)


class _Worker:
    """Holds the photo, or block of photos, that was opened last."""

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._photo: PhotoFile | None = None
        self._block: list[PhotoFile | None] = []

    def answer(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        # Python's own watchdog is a thread in C: it ends the process also while a decoder holds the interpreter's
        # lock, and also when nobody waits for the answer any more.
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        try:
            if "open_block" in request:
                return self._open_block(request["open_block"], request["with_sidecars"])
            if "prepare_block" in request:
                return self._prepare_block(
                    request["prepare_block"], Preprocessing(**request["preprocessing"]), request["boxes"]
                )
            if "open" in request:
                return self._open(request, data), []
            if "prepare" in request:
                return self._prepare(
                    Preprocessing(**request["prepare"]), request["thumbnail"], request["crop"]
                )
            if "details" in request:
                return {"details": asdict(self._opened().details(with_pixels=request["details"]))}, []
            return self._pixels(
                request["min_side"], request["box"], request["colours"], as_drawing=request["as_drawing"]
            )
        except EOFError:
            raise  # the owner asked for what was not opened
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises is a reason, and the process lives on
            return self._refusal(error), []
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _open(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        self._photo, self._block = None, []
        if request["open"] is None:
            self._photo = parse_photo(data, name=request["name"])
        else:
            path = Path(request["open"])
            with suppress(OSError):
                if path.stat().st_size > _LARGE_FILE:
                    keep_memory()
                faulthandler.dump_traceback_later(self._seconds + seconds_to_read(path), exit=True)
            self._photo = read_photo(path, with_sidecars=request["with_sidecars"])
        return _header(self._photo)

    def _open_block(self, names: list[str], with_sidecars: list[bool]) -> tuple[dict[str, Any], list[bytes]]:
        self._photo, self._block = None, []
        paths = [Path(name) for name in names]
        # All of them have the time of one: where they need more, each is opened alone.
        faulthandler.dump_traceback_later(self._seconds + seconds_to_read_all(paths), exit=True)
        answers = []
        for path, has_sidecars in zip(paths, with_sidecars, strict=True):
            photo = None
            try:
                photo = read_photo(path, with_sidecars=has_sidecars)
                answers.append(_header(photo))
            except Exception as error:  # noqa: BLE001 - as for one
                answers.append(self._refusal(error))
            self._block.append(photo)
        return {"photos": answers}, []

    def _prepare(
        self,
        preprocessing: Preprocessing,
        box: tuple[int, int] | None,
        crop: tuple[int, int, int, int] | None,
    ) -> tuple[dict[str, Any], list[bytes]]:
        size, parts = _prepared(self._opened(), preprocessing, box, crop)
        return {"thumbnail": size}, parts

    def _prepare_block(
        self, places: list[int], preprocessing: Preprocessing, boxes: list[tuple[int, int] | None]
    ) -> tuple[dict[str, Any], list[bytes]]:
        answers: list[dict[str, Any]] = []
        prepared = []
        for place, box in zip(places, boxes, strict=True):
            self._photo, self._block[place] = self._block[place], None
            photo = self._opened()
            try:
                size, parts = _prepared(photo, preprocessing, box, None)
                answers.append({"thumbnail": size})
                prepared.append(parts)
            except Exception as error:  # noqa: BLE001 - as for one
                answers.append(self._refusal(error))
        # One kind after the other, so that the pixels of all lie together.
        return {"photos": answers}, [part for kind in zip(*prepared, strict=True) for part in kind]

    def _pixels(
        self, min_side: int | None, box: tuple[int, int] | None, colours: Colours, *, as_drawing: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        image = self._opened().pixels(min_side=min_side, colours=colours, as_drawing=as_drawing)
        if box is not None:
            image.thumbnail(box)
        return {"width": image.width, "height": image.height}, [image.tobytes()]

    def _opened(self) -> PhotoFile:
        photo, self._photo = self._photo, None
        if photo is None:
            raise EOFError
        return photo

    def _refusal(self, error: Exception) -> dict[str, Any]:
        if isinstance(error if not isinstance(error, UnreadablePhoto) else error.__cause__, MemoryError):
            if _free_memory() >= self._memory:
                return {"unreadable": needs_memory(self._memory), "passing": False, "memory": True}
            # Fewer bytes were free than a photo may have: it did not come to its limit.
            return {"unreadable": "there was too little memory for it", "passing": True, "memory": True}
        if isinstance(error, UnreadablePhoto):
            return {"unreadable": error.reason, "passing": error.passing}
        return {"unreadable": f"its decoder failed on it ({type(error).__name__})", "passing": False}


def _header(photo: PhotoFile) -> dict[str, Any]:
    earlier = photo.earlier_hash
    return {
        "file_hash": photo.file_hash.hex(),
        "photo_hash": photo.photo_hash.hex(),
        "earlier_hash": earlier.hex() if earlier is not None else None,
        "facts": asdict(photo.facts),
        "remarks": photo.remarks,
        "state": photo.state,
    }


def _prepared(
    photo: PhotoFile,
    preprocessing: Preprocessing,
    box: tuple[int, int] | None,
    crop: tuple[int, int, int, int] | None,
) -> tuple[tuple[int, int] | None, list[bytes]]:
    """Return the size of the thumbnail, and three parts: the grid of the perceptual hash, the pixels, the thumbnail."""
    if crop is None:
        image = photo.pixels(min_side=preprocessing.decode_side, colours=preprocessing.colours)
    else:
        left, top, width, height = crop
        image = photo.pixels(colours=preprocessing.colours).crop((left, top, left + width, top + height))
    parts = [grey_grid(image).tobytes(), fitted(image, preprocessing).tobytes()]
    is_whole = image.size == (photo.facts.width, photo.facts.height)
    if box is None or not (is_whole or image.height >= box[1]):
        return None, [*parts, b""]
    image.thumbnail(box)
    return image.size, [*parts, image.tobytes()]


def _free_memory() -> float:
    """Return how much memory the system has available; unlimited if it does not say."""
    try:
        fields = Path("/proc/meminfo").read_text("ascii").partition("MemAvailable:")[2].split()
        return 1024.0 * int(fields[0])
    except (OSError, ValueError, IndexError):
        return math.inf
