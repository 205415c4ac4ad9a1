"""Importing OpenVINO without the part of it that sends usage events."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEFT_OUT = ("openvino.tools.ovc", "openvino_telemetry")
# Operations to build graphs of, one module for each version: openvino's `__init__` imports all of them.
_LATER = tuple(f"openvino.opset{version}" for version in range(1, 33))


def import_openvino() -> Any:  # noqa: ANN401 - the package carries no types
    """Import `openvino` without its model converter, which reports each import to its makers over the network.

    openvino's own `__init__` carries on where the converter cannot be imported, and starts a third faster. A name that
    is None in `sys.modules` cannot be imported; the names are free again afterwards. The modules of operations are
    left for those who build graphs: an empty module stands for each meanwhile, which spares another third.

    Raises:
        ModelError: OpenVINO is not installed, or not for this machine.

    """
    modules: Mapping[str, ModuleType | None] = sys.modules
    is_new = modules.get("openvino") is None
    held: dict[str, ModuleType | None] = {name: None for name in _LEFT_OUT if name not in modules}
    if is_new:
        held |= {name: ModuleType(name) for name in _LATER}
    sys.modules.update(held)  # type: ignore[arg-type]
    try:
        package = importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise ModelError(f"OpenVINO cannot be imported ({error}): install the package `openvino`") from error
    finally:
        for name in held:
            del sys.modules[name]
    if is_new:
        for name in _LATER:
            vars(package).pop(name.rpartition(".")[2], None)
    return package
