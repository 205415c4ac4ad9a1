"""Open a backbone that was prepared by an earlier run, without its checkpoint and the code for checkpoints."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vitsearch.backbones.devices import choose_device
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.space import Space

Runtime = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to open a backbone, after the device was chosen."""

    cache: Path
    device: Literal["cpu", "cuda", "mps"]
    batch_size: int | None
    runtime: Runtime
    notice: Callable[[str], None]

    @classmethod
    def decide(
        cls,
        *,
        cache: Path,
        device: Device,
        batch_size: int | None,
        runtime: Runtime = "auto",
        notice: Callable[[str], None],
    ) -> Options:
        """Choose the device. Raises `DeviceUnavailable` if the requested one is not available."""
        return cls(cache, choose_device(device, notice=notice), batch_size, runtime, notice)

    @property
    def wants_graph(self) -> bool:
        """Whether the graph runtime may be used."""
        return self.device == "cpu" and self.runtime != "torch"


def silent(message: str) -> None:
    """Ignore a notice."""
    del message


def import_runtime(device: Device) -> None:
    """Import the graph runtime if it may be used; import errors are reported when a graph is opened."""
    if device in ("auto", "cpu"):
        from vitsearch.backbones.openvino_import import import_openvino
        from vitsearch.backbones.openvino_runtime import open_graph

        del open_graph
        with suppress(ModelError):
            import_openvino()


def open_ready(space: Space, options: Options) -> Backbone | None:
    """Open the graph of an earlier run; None if there is none, or OpenVINO is not wanted or does not work."""
    if not options.wants_graph:
        return None
    if len(space.preprocessing.framings) > 1:
        from vitsearch.backbones.two_framings import TwoFramings, first_framing

        one = open_ready(first_framing(space), options)
        return one and TwoFramings(one, space)
    from vitsearch.backbones.openvino_runtime import open_graph

    try:
        return open_graph(space, cache=options.cache, batch_size=options.batch_size, notice=options.notice)
    except ModelError:
        if options.runtime == "openvino":
            raise
        return None
