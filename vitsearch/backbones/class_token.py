"""Compute the last block of a tower for the class token only, because the other tokens are not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from vitsearch.backbones.families import FAMILIES

if TYPE_CHECKING:
    from vitsearch.backbones.families.family import BlockNames
    from vitsearch.space import Readout


class _ClassTokenAttention(torch.nn.Module):
    """Attention from the class token, (n, 1, d), to all tokens; only their keys and values are computed."""

    tokens: torch.Tensor | None = None

    def __init__(self, attention: Any, names: BlockNames) -> None:  # noqa: ANN401 - transformers' own module
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = attention.q_proj, attention.k_proj, attention.v_proj
        self.o_proj = getattr(attention, names.output)
        self.heads: int = getattr(attention, names.heads)

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor, None]:
        """Return what the class token gathers, (n, 1, d), in the form of transformers' attention modules."""
        tokens, self.tokens = self.tokens, None
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, states in (
                (self.q_proj, hidden_states),
                (self.k_proj, tokens),
                (self.v_proj, tokens),
            )
        )
        gathered = scaled_dot_product_attention(query, key, value)
        return self.o_proj(gathered.transpose(1, 2).flatten(2)), None


def only_class_token(model: torch.nn.Module, architecture: str, readout: Readout) -> None:
    """Let the last block of `model` skip what the readout does not need, if its architecture is known.

    With twelve blocks, this saves 7 % of the work; the values stay the same.
    """
    names = FAMILIES[architecture].block
    if names is None or readout not in ("cls", "projection"):
        return
    block: Any = [module for module in model.modules() if hasattr(module, names.norm)][-1]
    if not hasattr(getattr(block, names.attention), names.output):
        return  # transformers before 5.20 cuts the attention of some architectures into two modules
    attention = _ClassTokenAttention(getattr(block, names.attention), names)
    setattr(block, names.attention, attention)
    norm = getattr(block, names.norm)

    def enter(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, *others = arguments
        attention.tokens = norm(tokens)
        return (tokens[:, :1], *others)

    block.register_forward_pre_hook(enter)
