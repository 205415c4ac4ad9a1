"""Importing OpenVINO without the part of it that sends usage events."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_LEFT_OUT = ("openvino.tools.ovc", "openvino_telemetry")


def import_openvino() -> Any:  # noqa: ANN401 - the package carries no types
    """Import `openvino` without its model converter, which reports each import to its makers over the network.

    openvino's own `__init__` carries on where the converter cannot be imported, and starts a third faster. A name that
    is None in `sys.modules` cannot be imported; the names are free again afterwards.

    Raises:
        ModelError: OpenVINO is not installed, or not for this machine.

    """
    modules: Mapping[str, ModuleType | None] = sys.modules
    blocked = [name for name in _LEFT_OUT if name not in modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise ModelError(f"OpenVINO cannot be imported ({error}): install the package `openvino`") from error
    finally:
        for name in blocked:
            del sys.modules[name]
