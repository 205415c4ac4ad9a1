"""What a pair of a library's photos is to each other: the same pixels, the same shot, the same moment, or nothing."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.group.grouping import BURST_SECONDS, Link, moments_apart
from vitsearch.duplicates.tables import shots_of
from vitsearch.duplicates.tiers import TIERS, Tier
from vitsearch.duplicates.verify.altered import with_altered
from vitsearch.duplicates.verify.evidence import Evidence, Thresholds
from vitsearch.duplicates.verify.fine_detail import why_only_alike
from vitsearch.duplicates.verify.geometric import GeometricVerifier
from vitsearch.duplicates.verify.outputs import IN_WORDS, Output, are_two_outputs
from vitsearch.duplicates.verify.views import SHORT_SIDE
from vitsearch.duplicates.verify.words import SAME_PIXELS
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.formats import RAW_EXTENSIONS
from vitsearch.photos.perceptual_hash import distances, unpacked
from vitsearch.records import UnreadableFile
from vitsearch.storage.answers import AnswerCache

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.decoding.decoders import ProtectedPhoto
    from vitsearch.duplicates.tables import Shot
    from vitsearch.storage.catalog import Catalog

Answer = TypeVar("Answer")

CHANGED = "it has changed since it was indexed: run `vitsearch index`"

# Shots of one moment are alike; two cameras in one second, or a turn of the head, are not a burst.
BURST_COSINE = 0.8
# Two containers of the same pixels differ in their hashes only by the scale that a JPEG was decoded at.
SAME_PIXELS_DISTANCE = 24


@contextmanager
def verifying_threads(verifier: Verifier) -> Iterator[ThreadPoolExecutor]:
    """Threads in which `verifier` may look, one a decoder; at the end its decoders are gone, and it can look no more.

    Each keeps a core busy: matrix products that spread over all cores cost thrice.
    """
    from threadpoolctl import threadpool_limits

    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(verifier.decoders.count, thread_name_prefix="vitsearch-look") as pool,
        verifier.decoders,
    ):
        yield pool


class Verifier:
    """Judges pairs of photos by id, in `verifying_threads`. Call `prepare` with the photos of the next pairs first."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        thresholds: Thresholds | None = None,
        tiers: Collection[Tier] = TIERS,
        rejected: Collection[tuple[int, int]] = (),
        places: Mapping[int, Path] | None = None,
        answers: AnswerCache | None = None,
    ) -> None:
        """`places`: where photos are that have no place in the library; `answers`: what was seen of pairs before."""
        self._catalog = catalog
        self.decoders = Decoders(os.cpu_count() or 2)
        self._tiers = tiers
        self._rejected = rejected
        self._places = places or {}
        self._answers = answers or AnswerCache(None)
        self._shots: dict[int, Shot] = {}
        self._digests: dict[int, str] = {}
        self._alike: dict[tuple[int, int], tuple[Evidence, str]] = {}
        self._unreadable: dict[int, UnreadableFile] = {}
        self._lock = threading.Lock()
        self.look = GeometricVerifier(self._small, self._hash, thresholds=thresholds)

    @property
    def unreadable(self) -> list[UnreadableFile]:
        """The files that could not be read, by path."""
        return sorted(self._unreadable.values(), key=lambda file: file.path)

    @property
    def alike(self) -> dict[tuple[int, int], tuple[Evidence, str]]:
        """The pairs that are aligned and differ in a detail or a colour, the smaller id first, and why."""
        return dict(self._alike)

    def prepare(self, photos: Iterable[int]) -> None:
        """Fetch what is stored of these photos, and forget the others."""
        shots = shots_of(self._catalog, photos)
        for photo in shots.keys() & self._places.keys():
            if shots[photo].path is None:
                shots[photo] = shots[photo]._replace(path=self._places[photo])
        self._shots = shots

    def likely_kept(self, photo: int) -> tuple[bool, int, int]:
        """How likely a photo that was prepared is kept: it has a camera's notes; its pixels; it came first."""
        shot = self._shots.get(photo)
        pixels, camera = (0, False) if shot is None else (shot.width * shot.height, shot.camera is not None)
        return camera, pixels, -photo

    def verify(self, first: int, second: int, cosine: float | None) -> Link | None:
        """Say what two photos are to each other, `first` < `second`; None: nothing, or nobody can tell.

        Two capture times within `BURST_SECONDS` by one camera are two shots, however alike: never `near`. So are two at
        any distance where both files hold what the sensor saw: nobody edits one into another. So are two pictures that
        a camera notes to have made of one second.
        """
        if (first, second) in self._rejected or {first, second} & self._unreadable.keys():
            return None
        one, two = self._shots.get(first), self._shots.get(second)
        if one is None or two is None or one.path is None or two.path is None:
            return None
        try:
            if self._same_pixels(first, second, one, two):
                evidence = Evidence(cosine, 0, 0, 1.0, 1.0, 1.0, 1.0, transform=SAME_PIXELS)
                return Link(first, second, "pixels", 1.0, evidence)
            apart = moments_apart(one.taken, two.taken) if one.camera == two.camera else None
            at_one_moment = apart is not None and apart <= BURST_SECONDS
            are_two_shots = bool(apart) and (at_one_moment or (_is_raw(one.path) and _is_raw(two.path)))
            # A copy of a shot has its capture time, too, and is no other shot of the moment.
            may_be_burst = "burst" in self._tiers and at_one_moment
            if ("near" in self._tiers or may_be_burst) and not are_two_shots:
                same_shot = self._same_shot(first, second, one, two)
                if same_shot is not None and apart == 0 and self._are_two_outputs(first, second):
                    return self._other_output(first, second, cosine, same_shot[0]) if may_be_burst else None
                if same_shot is not None and "near" not in self._tiers:
                    return None
                if same_shot is not None:
                    evidence, why_not = replace(same_shot[0], cosine=cosine), same_shot[1]
                    if why_not is not None:
                        with self._lock:
                            self._alike[first, second] = evidence, why_not
                        return None
                    return Link(first, second, "near", evidence.score, evidence)
        except UnreadablePhoto:
            return None
        if may_be_burst and cosine is not None and cosine >= BURST_COSINE:
            return Link(
                first, second, "burst", float(cosine), Evidence(cosine, transform=f"{apart:.0f} s apart")
            )
        return None

    def confirm(self, first: int, second: int) -> Link | None:
        """Do the same for a pair that nobody proposed, both of whose photos were prepared."""
        return self.verify(first, second, None)

    def pixels(self, photo: int, min_side: int | None) -> Image:
        """Decode a photo that was prepared, in full or with at least so many pixels on its shorter side.

        Raises:
            UnreadablePhoto: it cannot be read; it is noted and not tried again.

        """
        return self._read(photo, lambda opened: opened.pixels(min_side=min_side, as_drawing=True))

    def in_full(self, photo: int) -> Image:
        """Decode a photo that was prepared, in full.

        Raises:
            UnreadablePhoto: it cannot be read; it is noted and not tried again.

        """
        return self.pixels(photo, None)

    def _read(self, photo: int, read: Callable[[ProtectedPhoto], Answer]) -> Answer:
        shot = self._shots.get(photo)
        if (
            shot is None or shot.path is None
        ):  # its drive was taken out, or it was removed, since it was proposed
            raise UnreadablePhoto(f"photo {photo}", "its file is not there any more")
        path = shot.path
        try:
            with self.decoders.open(path) as opened:
                _check_unchanged(shot, path, opened)
                return read(opened)
        except UnreadablePhoto as error:
            self._note(photo, path, error.reason)
            raise

    def _same_shot(self, first: int, second: int, one: Shot, two: Shot) -> tuple[Evidence, str | None] | None:
        """What shows that two photos are one shot, and why they are only alike, if they are; None: they are not."""
        known = (one.file_hash, one.perceptual, two.file_hash, two.perceptual)
        question = self._answers.question("same shot", *known, astuple(self.look.thresholds))
        is_lasting = one.file_hash is not None and two.file_hash is not None
        kept = self._answers.get(question) if is_lasting else None
        if kept is not None:
            return None if kept[0] is None else _understood(cast("tuple[list[Any], str | None]", kept[0]))
        evidence = self.look.compare(first, second)
        found = None
        if evidence.confirms(self.look.thresholds):
            found = self._altered(first, second, evidence), self._why_only_alike(first, second, evidence)
        if is_lasting:
            self._answers.keep(question, None if found is None else [list(astuple(found[0])), found[1]])
        return found

    def _same_pixels(self, first: int, second: int, one: Shot, two: Shot) -> bool:
        """Whether both decode to the same upright pixels; only what might is decoded in full."""
        if not {"pixels", "near"} & set(self._tiers) or (one.width, one.height) != (two.width, two.height):
            return False
        if one.perceptual and two.perceptual and one.perceptual != two.perceptual:
            distance, orientation = distances(unpacked([one.perceptual]), unpacked([two.perceptual]))
            if distance[0] > SAME_PIXELS_DISTANCE or orientation[0]:
                return False
        elif bool(one.perceptual) != bool(two.perceptual):
            return False
        return self._digest(first) == self._digest(second)

    def _digest(self, photo: int) -> str:
        digest = self._digests.get(photo)
        if digest is None:
            file_hash = self._shots[photo].file_hash
            question = self._answers.question("pixels", file_hash)
            kept = self._answers.get(question) if file_hash is not None else None
            if kept is not None:
                digest = str(kept[0])
            else:
                digest = self._read(photo, lambda opened: opened.details(with_pixels=True)).pixels
                if file_hash is not None:
                    self._answers.keep(question, digest)
            self._digests[photo] = digest
        return digest

    def _are_two_outputs(self, first: int, second: int) -> bool:
        return are_two_outputs(self._output(first), self._output(second))

    def _output(self, photo: int) -> Output:
        file_hash = self._shots[photo].file_hash
        question = self._answers.question("output", file_hash)
        kept = self._answers.get(question) if file_hash is not None else None
        if kept is not None:
            return Output(*cast("tuple[int, str, str | None]", kept[0]))

        def read(opened: ProtectedPhoto) -> Output:
            details = opened.details()
            return Output(details.rendered, details.subsecond, opened.facts.software)

        output = self._read(photo, read)
        if file_hash is not None:
            self._answers.keep(question, list(astuple(output)))
        return output

    def _other_output(self, first: int, second: int, cosine: float | None, seen: Evidence) -> Link:
        """A link that is as sure as the two pictures are alike, by embeddings or by what was seen."""
        score = seen.score if cosine is None else float(cosine)
        return Link(first, second, "burst", score, Evidence(cosine, transform=IN_WORDS))

    def _why_only_alike(self, first: int, second: int, evidence: Evidence) -> str | None:
        photos = first, second
        views = self.look.view(first), self.look.view(second)
        return why_only_alike(views, evidence, lambda place: self.pixels(photos[place], None))

    def _altered(self, first: int, second: int, seen: Evidence) -> Evidence:
        return with_altered(self.look.view(first), self.look.view(second), seen)

    def _small(self, photo: int) -> Image:
        return self.pixels(photo, SHORT_SIDE)

    def _hash(self, photo: int) -> bytes | None:
        return self._shots[photo].perceptual

    def _note(self, photo: int, path: Path, reason: str) -> None:
        with self._lock:
            self._unreadable[photo] = UnreadableFile(path, reason)


def _is_raw(path: Path) -> bool:
    return path.suffix.casefold() in RAW_EXTENSIONS


def _understood(answer: tuple[list[Any], str | None]) -> tuple[Evidence, str | None]:
    """Read what was kept of a pair that was seen before."""
    fields, why_not = answer
    evidence = Evidence(*fields)
    return replace(evidence, alignment=tuple(evidence.alignment)), why_not


def _check_unchanged(shot: Shot, path: Path, opened: ProtectedPhoto) -> None:
    """Raise `UnreadablePhoto` where a file has other bytes than it was indexed with.

    The photo may have other files that still hold it: another picture must not speak for them.
    """
    if shot.file_hash not in (None, opened.file_hash):
        raise UnreadablePhoto(path, CHANGED)
