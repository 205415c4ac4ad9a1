"""Choose the device of a model; a GPU is never ignored silently."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitsearch.errors import DeviceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

Device = Literal["auto", "cpu", "cuda", "mps"]
_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/kfd"))


def choose_device(device: Device, *, notice: Callable[[str], None]) -> Literal["cpu", "cuda", "mps"]:
    """Return the device to run on; "auto" is CUDA, or else MPS, or else the CPU.

    torch is only imported if a GPU was requested or this machine shows signs of one, so that a search on a machine
    without a GPU starts without it.

    Raises:
        DeviceUnavailable: torch cannot use the requested device.

    """
    if device in ("cuda", "mps"):
        if not _usable(device):
            raise DeviceUnavailable(
                f"no {device} device can be used by this torch: run with --device cpu or auto"
            )
        return device
    signs = _signs_of_a_gpu()
    if not signs:
        return "cpu"
    found: Literal["cuda", "mps"] | None = next((kind for kind in ("cuda", "mps") if _usable(kind)), None)
    if device == "auto" and found is not None:
        return found
    if found is not None:
        notice(f"running on the CPU as asked, though {found} could be used: leave out --device cpu to use it")
    elif device == "auto":
        notice(
            f"running on the CPU: there are signs of a GPU ({signs}), but the installed torch cannot use it"
        )
    return "cpu"


def _usable(device: str) -> bool:
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


def _signs_of_a_gpu() -> str:
    """Describe signs of a GPU that torch might use, or return ""; imports nothing heavy."""
    if sys.platform == "darwin":
        return "Apple silicon" if platform.machine() == "arm64" else ""
    driver = next((str(path) for path in _DRIVERS if path.exists()), "")
    return driver or ("nvidia-smi" if shutil.which("nvidia-smi") else "")
