"""How the server and its worker processes open the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.library import Library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.decoding.decoders import Decoders


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """A library's folder and how to run its model. `backbone` replaces the model that the library would load."""

    folder: Path
    cache: Path | None = None
    device: Device = "auto"
    backbone: Backbone | None = None

    def open(
        self, notice: Callable[[str], None] = lambda _: None, *, decoders: Decoders | None = None
    ) -> Library:
        """Open the library; with `decoders`, query images are decoded in worker processes."""
        return Library.open(
            self.folder,
            cache=self.cache,
            device=self.device,
            backbone=self.backbone,
            notice=notice,
            decoders=decoders,
        )
