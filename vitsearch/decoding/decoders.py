"""A pool of decoding processes, and the photos opened in them."""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from dataclasses import asdict
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vitsearch.decoding.answers import Header, Prepared, refused, understood_header, understood_thumbnail
from vitsearch.decoding.blocks import ProtectedBlock
from vitsearch.decoding.messages import seconds_to_read
from vitsearch.decoding.process import DecodingProcess, Limits, ProcessDied
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.details import FileDetails
from vitsearch.photos.grey_grid import GRID
from vitsearch.photos.perceptual_hash import hash_of_grid
from vitsearch.photos.photo import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.photo_facts import PhotoFacts
    from vitsearch.space import Colours, Preprocessing

Answer = TypeVar("Answer")
Fields = dict[str, Any]

_DETAILS: dict[str, type] = {
    **dict.fromkeys(
        ("frames", "depth", "video_bytes", "behind_bytes", "noted_width", "noted_height", "rendered"), int
    ),
    **dict.fromkeys(("hdr", "alpha", "few_colours", "lens", "exposure", "developed"), bool),
    **dict.fromkeys(("profile", "extras", "subsecond", "pixels"), str),
}


class Decoders:
    """A pool of up to `count` decoding processes, started on demand. A thread-safe context manager.

    A photo that crashes, hangs or exhausts its process raises `UnreadablePhoto`; the next photo gets a new process.
    """

    def __init__(
        self, count: int = 1, *, limits: Limits | None = None, program: str = "vitsearch.decoding.worker"
    ) -> None:
        chosen = limits or Limits()
        self._processes = [DecodingProcess(chosen, program=program) for _ in range(count)]
        # The last one used is taken first: one caller at a time needs one process, whatever the count.
        self._idle: LifoQueue[DecodingProcess] = LifoQueue()
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def count(self) -> int:
        """How many photos can be open at the same time."""
        return len(self._processes)

    def start(self) -> None:
        """Start all processes now, without waiting for them."""
        for process in self._processes:
            process.start()

    @contextmanager
    def open(
        self,
        source: Path | bytes,
        *,
        name: str | None = None,
        photo_hash: str | None = None,
        with_sidecars: bool = False,
    ) -> Iterator[ProtectedPhoto]:
        """Open a file, or the bytes of one that messages call `name`; occupies a process until the block ends.

        - `with_sidecars`: include the metadata in XMP sidecars.
        - `photo_hash`: open the file only if it holds this photo (hexadecimal).

        Raises:
            UnreadablePhoto: it cannot be read, is not an image, exceeds a limit, or holds another photo.

        """
        process = self._idle.get()
        try:
            photo = ProtectedPhoto(process, source, name=name or str(source), with_sidecars=with_sidecars)
            if photo_hash is not None and bytes.fromhex(photo_hash) not in photo.hashes:
                raise UnreadablePhoto(
                    photo.name, "it holds another picture than when it was indexed: index its folder again"
                )
            yield photo
        finally:
            self._idle.put(process)

    @contextmanager
    def open_block(
        self, paths: Sequence[Path], *, with_sidecars: Sequence[bool] = ()
    ) -> Iterator[ProtectedBlock]:
        """Open several small files together; occupies a process until the block ends.

        `with_sidecars` says for each whether its XMP sidecars are read.

        Raises:
            ProcessDied: one of them killed the process: open each alone.

        """
        process = self._idle.get()
        try:
            yield ProtectedBlock(process, paths, with_sidecars)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """Kill all processes at once, including busy ones."""
        for process in self._processes:
            process.end()
        for process in self._processes:
            process.release()


class ProtectedPhoto:
    """A photo opened in a decoding process: its header, and its pixels on demand."""

    def __init__(
        self, process: DecodingProcess, source: Path | bytes, *, name: str, with_sidecars: bool = False
    ) -> None:
        self.name = name
        self._with_sidecars = with_sidecars
        self._process = process
        self._source = source
        self._has_new_process = False
        self.header = self._twice(self._open)
        self._is_open = True

    @property
    def file_hash(self) -> bytes:
        """The hash of the whole file, 32 bytes."""
        return self.header.file_hash

    @property
    def photo_hash(self) -> bytes:
        """The hash of image data and orientation, 32 bytes."""
        return self.header.photo_hash

    @property
    def earlier_hash(self) -> bytes | None:
        """The hash of the same photo in libraries of earlier versions, if it differs."""
        return self.header.earlier_hash

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The possible hashes of the photo in libraries, the current one first."""
        return (self.photo_hash,) if self.earlier_hash is None else (self.photo_hash, self.earlier_hash)

    @property
    def state(self) -> tuple[int, int] | None:
        """The size and time of the file when it was read; None for bytes."""
        return self.header.state

    @property
    def facts(self) -> PhotoFacts:
        """The metadata in the header."""
        return self.header.facts

    @property
    def remarks(self) -> tuple[str, ...]:
        """The metadata that could not be read."""
        return self.header.remarks

    def prepared(
        self, preprocessing: Preprocessing, *, crop: tuple[int, int, int, int] | None = None
    ) -> tuple[bytes, npt.NDArray[np.uint8]]:
        """Decode for a model: the perceptual hash, and the prepared pixels, (height, width, 3) uint8.

        `crop`: decode only this region: x, y, width, height in pixels, within the photo.

        Raises:
            UnreadablePhoto: the image data is damaged, or exceeds the limits on time or memory.

        """
        perceptual, pixels, _ = self._prepared(preprocessing, None, crop)
        return perceptual, pixels

    def prepared_with_thumbnail(self, preprocessing: Preprocessing, box: tuple[int, int] | None) -> Prepared:
        """Do the same, and also make a thumbnail within a box (width, height), if one is given.

        The thumbnail is None if the photo was decoded at a scale that is too small for it.

        Raises:
            UnreadablePhoto: the image data is damaged, or exceeds the limits on time or memory.

        """
        return self._prepared(preprocessing, box, None)

    def _prepared(
        self,
        preprocessing: Preprocessing,
        box: tuple[int, int] | None,
        crop: tuple[int, int, int, int] | None,
    ) -> Prepared:
        shape = preprocessing.shape
        grid, most = GRID * GRID, GRID * GRID + math.prod(shape)

        def understood(fields: Fields, data: bytes) -> Prepared:
            pixels = np.frombuffer(data[grid:most], np.uint8).reshape(shape)
            return Prepared(hash_of_grid(data[:grid]), pixels, understood_thumbnail(fields, data[most:], box))

        request = {"prepare": asdict(preprocessing), "thumbnail": box, "crop": crop}
        room = 3 * math.prod(box) if box else 0
        return self._twice(lambda: self._decoded(request, understood, most=most + room))

    def pixels(
        self,
        *,
        min_side: int | None = None,
        box: tuple[int, int] | None = None,
        colours: Colours = "sRGB",
        as_drawing: bool = False,
    ) -> Image:
        """Decode into an upright RGB image, as `PhotoFile.pixels` does.

        With `box` (width, height), the decoding process scales it down, so that this process never holds more.

        Raises:
            UnreadablePhoto: the image data is damaged, or exceeds the limits on time or memory.

        """
        from PIL.Image import frombytes

        def understood(fields: Fields, data: bytes) -> Image:
            size = (fields["width"], fields["height"])
            if box is not None and (size[0] > box[0] or size[1] > box[1]):
                raise ValueError("an image that does not fit its box")
            return frombytes("RGB", size, data)

        most = 3 * (MAX_PIXELS if box is None else math.prod(box))
        request = {"min_side": min_side, "box": box, "colours": colours, "as_drawing": as_drawing}
        return self._twice(lambda: self._decoded(request, understood, most=most))

    def details(self, *, with_pixels: bool = False) -> FileDetails:
        """Return what the file holds besides its pixels, as `PhotoFile.details` does.

        Raises:
            UnreadablePhoto: the image data is damaged, or exceeds the limits on time or memory.

        """

        def understood(fields: Fields, _: bytes) -> FileDetails:
            known = fields["details"]
            table, programs = tuple(map(int, known["table"])), tuple(known["programs"])
            found = FileDetails(**{**known, "table": table, "programs": programs})
            if any(type(getattr(found, name)) is not kind for name, kind in _DETAILS.items()):
                raise TypeError("details of other types")
            if any(not isinstance(name, str) or not name.isprintable() for name in programs):
                raise TypeError("names of another type")
            return found

        return self._twice(lambda: self._decoded({"details": with_pixels}, understood, most=0))

    def _twice(self, step: Callable[[], Answer]) -> Answer:
        """Run a step, and retry it once in a new process if it kills the process."""
        try:
            return step()
        except ProcessDied as died:
            if died.timed_out:
                raise UnreadablePhoto(self.name, died.reason) from None
        # Memory that an earlier photo damaged, or left in pieces, may show late, and is not this one's fault.
        self._is_open, self._has_new_process = False, True
        try:
            return step()
        except ProcessDied as died:
            raise UnreadablePhoto(self.name, died.reason, passing=died.by_system) from None

    def _decoded(
        self, request: Fields, understood: Callable[[Fields, bytes], Answer], *, most: int
    ) -> Answer:
        # Decoding uses up what was opened.
        if not self._is_open and self._open().photo_hash != self.photo_hash:
            raise UnreadablePhoto(self.name, "it changed while it was read", passing=True)
        self._is_open = False
        return self._ask(request, understood, most=most)

    def _open(self) -> Header:
        if isinstance(self._source, bytes):
            return self._ask({"open": None, "name": self.name}, _header, self._source)
        more = 0.0
        with suppress(OSError):  # the process says what is wrong
            more = seconds_to_read(self._source)
        request = {"open": str(self._source), "with_sidecars": self._with_sidecars}
        return self._ask(request, _header, more_seconds=more)

    def _ask(
        self,
        request: Fields,
        understood: Callable[[Fields, bytes], Answer],
        data: bytes = b"",
        *,
        most: int = 0,
        more_seconds: float = 0.0,
    ) -> Answer:
        fields, answer = self._process.ask(request, data, most=most, more_seconds=more_seconds)
        refusal = refused(self.name, fields)
        if refusal is not None:
            if fields.get("memory") is True and not self._has_new_process:
                raise self._process.replaced(refusal.reason)
            raise refusal
        try:
            return understood(fields, answer)
        except (KeyError, TypeError, ValueError):
            raise self._process.distrusted() from None


def _header(fields: Fields, _: bytes) -> Header:
    return understood_header(fields)
