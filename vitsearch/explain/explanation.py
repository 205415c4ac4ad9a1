"""Explain one photo: choose what to show, and draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import BadQuery
from vitsearch.explain.picture import draw_heads, draw_heat
from vitsearch.heads.store import no_such_label
from vitsearch.neighbours.reference_sample import ReferenceSample

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.explain.attention import AttentionModel, Gradient
    from vitsearch.heads.head import Head
    from vitsearch.storage.catalog import Catalog

    Floats = npt.NDArray[np.float32]

_FEWEST_OTHERS = 16


def draw_rollout(photo: Image, model: AttentionModel) -> Image:
    """Draw what an upright photo's embedding was gathered from, over all layers."""
    return draw_heat(photo, model.rollout(_prepared(photo, model)), model.spec)


def draw_last_layer(photo: Image, model: AttentionModel) -> Image:
    """Draw what each head of the last layer attended to, one picture a head."""
    return draw_heads(photo, model.last_layer(_prepared(photo, model)), model.spec)


def draw_towards(photo: Image, model: AttentionModel, gradient: Gradient) -> Image:
    """Draw what in a photo raises a figure of its embedding, such as those of `label_gradient` and `apart_gradient`."""
    return draw_heat(photo, model.rollout_towards(_prepared(photo, model), gradient), model.spec)


def label_gradient(head: Head, label: str) -> Gradient:
    """Return the gradient of a label's log-odds by an embedding.

    Of a softmax head that is what tells the label from the others, whatever all of them share.

    Raises:
        HeadError: the head has no such label.

    """
    if label not in head.labels:
        raise no_such_label(head, label)
    place = head.labels.index(label)

    def gradient(row: Floats, norm: float) -> Floats:
        by_row = head.weight[place].astype(np.float64)
        if head.kind == "softmax" and len(head.labels) > 1:
            logits = head.logits(row[None], np.array([norm], np.float32))[0] / head.temperature
            others = np.delete(logits, place).astype(np.float64)
            shares = np.exp(others - others.max())
            by_row = by_row - shares @ np.delete(head.weight, place, axis=0) / shares.sum()
        by_row /= head.temperature
        return by_row.astype(np.float32) if head.uses_norms else _by_raw(by_row, row, norm)

    return gradient


def apart_gradient(catalog: Catalog) -> Gradient:
    """Return the gradient of what sets a photo apart from the mean of a library's background, by its embedding.

    Raises:
        BadQuery: the library has too few photos to say what is ordinary in it.

    """
    active = catalog.active_space()
    rows = np.empty((0, 1), np.float32)
    if active is not None:
        space_id, space = active
        rows = ReferenceSample.of(catalog, space_id, space.dimension).rows
    if len(rows) < _FEWEST_OTHERS:
        raise BadQuery(
            f"the library holds {len(rows)} photos, too few to set one apart from: index more, or leave --apart away"
        )
    mean = rows.mean(axis=0)
    return lambda row, norm: _by_raw(row - mean, row, norm)


def _by_raw(by_row: npt.NDArray[np.floating], row: Floats, norm: float) -> Floats:
    """Turn a gradient by a unit row into one by the row before normalising: what points along it has no effect."""
    return ((by_row - row * float(by_row @ row)) / norm).astype(np.float32)


def _prepared(photo: Image, model: AttentionModel) -> npt.NDArray[np.uint8]:
    from vitsearch.backbones.preprocessing import prepare

    return prepare(photo, model.spec.space.preprocessing)
