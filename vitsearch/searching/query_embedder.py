"""Embed the parts of a query, images and texts, in one space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.searching.eager_task import EagerTask
from vitsearch.searching.matches import query_direction
from vitsearch.searching.queries import EmbeddedQuery, QueryImage, vector_query
from vitsearch.searching.terms import Words

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.searching.queries import Crop, Example
    from vitsearch.searching.terms import Weighted
    from vitsearch.space import Space

    Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QueryEmbedder:
    """Embeds the parts of a query in one space. `stored` looks up a photo's embedding by its hash.

    - `prepare_search`: prepares the search while the query is being embedded.
    - `import_runtime`: imports what `backbone` needs. Called first, because two threads that import at once block each
      other.
    """

    space: Space
    backbone: Callable[[], Backbone]
    embed_words: Callable[[str], Vector]
    stored: Callable[[bytes], Vector | None]
    decoders: Decoders | None
    prepare_search: Callable[[], None] | None = None
    import_runtime: Callable[[], None] | None = None

    def embed(self, term: Weighted, crop: Crop | None = None) -> EmbeddedQuery:
        """Look up the embedding of a part, or compute it; its length is the part's weight.

        Raises:
            BadQuery: the crop is not within the image.
            UnreadablePhoto: it is not an image, or is damaged.
            NoTextTower: the part is text, and the model has no text tower.

        """
        if isinstance(term.example, Words):
            query = EmbeddedQuery(term.example.text, (), self.embed_words(term.example.text))
        else:
            query = self._embedded_image(term.example, crop)
        return query if term.weight == 1 else replace(query, vector=query.vector * np.float32(term.weight))

    def _embedded_image(self, example: Example, crop: Crop | None) -> EmbeddedQuery:
        if isinstance(example, np.ndarray) and example.ndim == 1:
            return vector_query(example, self.space)
        with QueryImage.open(example, decoders=self.decoders) as query:
            hashes = query.photo.hashes
            # A photo that is stored is its own embedding: no model has to be loaded.
            rows = map(self.stored, hashes) if crop is None else ()
            stored = next((row for row in rows if row is not None), None)
            if stored is not None:
                return EmbeddedQuery(query.name, hashes, stored)
            if self.space.is_imported:
                self.backbone()  # which says that how it sees a photo is not known
            if self.import_runtime is not None:
                self.import_runtime()
            # The model is loaded, nearly all of it in C++, while the photo is decoded and the search is prepared.
            with EagerTask(self.backbone) as loading:
                views = query.views(self.space.preprocessing, crop)
                if self.prepare_search is not None:
                    self.prepare_search()
                backbone = loading.result()
        return EmbeddedQuery(query.name, hashes, query_direction(list(backbone.embed_batch(views).rows)))
