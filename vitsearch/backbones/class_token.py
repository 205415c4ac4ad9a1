"""The last block of a tower computed for the class token alone: what it makes of all other tokens is never read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from vitsearch.space import Readout


@dataclass(frozen=True, slots=True)
class _Names:
    """What transformers calls the parts of a pre-norm block."""

    norm: str
    attention: str
    output: str
    heads: str


_VIT = _Names("layernorm_before", "attention", "o_proj", "num_attention_heads")
_DINOV2 = _Names("norm1", "attention", "o_proj", "num_attention_heads")
_CLIP = _Names("layer_norm1", "self_attn", "out_proj", "num_heads")
# Others have rotary or relative positions in their attention, or pool over all tokens.
_BLOCKS = {
    "vit": _VIT,
    "deit": _VIT,
    "dinov2": _DINOV2,
    "dinov2_with_registers": _DINOV2,
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
}


class _ClassTokenAttention(torch.nn.Module):
    """Attention from the class token, (n, 1, d), to all tokens; only their keys and values are computed."""

    tokens: torch.Tensor | None = None

    def __init__(self, attention: Any, names: _Names) -> None:  # noqa: ANN401 - transformers' own module
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
    """Spare the last block of `model` what the readout does not need, where its architecture is known.

    Of twelve equal blocks that is seven hundredths of all work; the values stay the same.
    """
    names = _BLOCKS.get(architecture)
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
