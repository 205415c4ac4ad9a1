"""Milvus as an engine: exports and searches by address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.milvus.search import MilvusSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.engines.engine import StoreReport
    from vitsearch.engines.portable import Selection
    from vitsearch.library import Library


class MilvusEngine:
    """Collections at `milvus://…`."""

    def export(
        self,
        address: str,
        library: Library,
        selection: Selection,
        *,
        whole: bool,
        token: str | None,
        on_progress: Callable[[int, int], None],
    ) -> StoreReport:
        """Export photos to a collection; see `export_milvus`."""
        with MilvusCollection(Address.parse(address, token=token)) as collection:
            return export_milvus(library, selection, collection, whole=whole, on_progress=on_progress)

    def open(self, address: str, *, token: str | None) -> MilvusSearch:
        """Open a collection for searches."""
        return MilvusSearch(Address.parse(address, token=token))
