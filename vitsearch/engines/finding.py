"""Find the engine for an address: Milvus, or one from another package (entry points `vitsearch.engines`)."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from vitsearch.errors import StoreError

if TYPE_CHECKING:
    from vitsearch.engines.engine import Engine

GROUP = "vitsearch.engines"
_OWN = ("milvus", "milvus+tls")


def engine_for(address: str) -> Engine:
    """Return the engine for an address `SCHEME://…`.

    Raises:
        StoreError: there is none, or its package cannot be loaded.

    """
    scheme, is_address, _ = address.partition("://")
    if scheme in _OWN and is_address:
        from vitsearch.engines.milvus.engine import MilvusEngine

        return MilvusEngine()
    others = {point.name: point for point in entry_points(group=GROUP)}
    point = others.get(scheme) if is_address else None
    if point is None:
        known = ", ".join(f"{name}://" for name in sorted({*_OWN, *others}))
        raise StoreError(f"{address!r} is no address of an engine that is installed: there are {known}")
    try:
        return cast("Engine", point.load())
    except Exception as error:
        package = point.dist.name if point.dist else point.module
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise StoreError(
            f"the engine for {scheme}:// does not load: {reason}; reinstall the package {package}"
        ) from error
