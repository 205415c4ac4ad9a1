"""The short way to a backbone that was prepared before: it needs no checkpoint, nor what knows of checkpoints."""

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
    """How a backbone is to be opened, with the device decided."""

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
        """Decide on which device to run. Raises `DeviceUnavailable` if it was asked for and cannot be used."""
        return cls(cache, choose_device(device, notice=notice), batch_size, runtime, notice)

    @property
    def wants_graph(self) -> bool:
        """Whether the runtime that runs exported graphs may be used."""
        return self.device == "cpu" and self.runtime != "torch"


def silent(message: str) -> None:
    """Tell nobody."""
    del message


def import_runtime(device: Device) -> None:
    """Import what opens graphs, where graphs may run; what cannot be imported is said when one is opened."""
    if device in ("auto", "cpu"):
        from vitsearch.backbones.openvino_import import import_openvino
        from vitsearch.backbones.openvino_runtime import open_graph

        del open_graph
        with suppress(ModelError):
            import_openvino()


def open_ready(space: Space, options: Options) -> Backbone | None:
    """Open the graph of an earlier run; None where there is none or OpenVINO is not wanted or does not work."""
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
