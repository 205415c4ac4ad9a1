"""Find the fastest way to run a graph on this processor, measured on real work and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.notes import read_note, write_note

if TYPE_CHECKING:
    from pathlib import Path

Setting = tuple[str, int]
"""An OpenVINO performance hint, and the number of images a request."""

# Independent requests, each on few threads, do not wait for each other and leave gaps to the decoders; one request on
# all cores suits some processors better all the same. The first one is used until something was measured.
SETTINGS: tuple[Setting, ...] = (("THROUGHPUT", 4), ("THROUGHPUT", 1), ("LATENCY", 8))
# The first request of a setting is slow, and other programs disturb: the best of three rounds counts.
_ROUNDS = 3


class Calibration:
    """Alternates between the settings for the first full batches on a machine, so that measuring costs no time."""

    def __init__(self, note: Path) -> None:
        self._note = note
        self._seconds: dict[Setting, list[float]] = {setting: [] for setting in SETTINGS}
        stored = read_note(note)
        known = (stored.get("hint"), stored.get("images"))
        self.chosen = next((setting for setting in SETTINGS if setting == known), None)

    def setting(self, *, full: bool) -> Setting:
        """Return the setting for the next batch; only full batches are measured."""
        if self.chosen is not None or not full:
            return self.chosen or SETTINGS[0]
        return min(SETTINGS, key=lambda setting: len(self._seconds[setting]))

    def record(self, setting: Setting, seconds_an_image: float) -> None:
        """Record the time of a full batch; after the last measurement, choose a setting and store it."""
        if self.chosen is not None:
            return
        self._seconds[setting].append(seconds_an_image)
        if any(len(values) < _ROUNDS for values in self._seconds.values()):
            return
        best = {setting: min(values) for setting, values in self._seconds.items()}
        self.chosen = hint, images = min(best, key=lambda setting: best[setting])
        rates = {f"{hint} {images}": 1 / seconds for (hint, images), seconds in best.items()}
        write_note(self._note, {"hint": hint, "images": images, "images_per_second": rates})
