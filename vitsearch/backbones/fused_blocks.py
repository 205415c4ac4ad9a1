"""Transformer blocks with fewer and larger steps than transformers' own, for graphics processors.

What bounds a tower there is memory traffic between the matrix products. So queries, keys and values come from one
product, a block's layer scales are multiplied into its weights, patches are embedded by a matrix product on whole grey
levels, and the last block computes the class token alone where nothing else is read. In exact arithmetic the values
are those of the modules that are replaced.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import gelu, linear, pad, scaled_dot_product_attention

from vitsearch.backbones.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vitsearch.space import Preprocessing, Readout

# The names that transformers has given to the parts of a pre-norm block, over its versions.
_NORM_1 = ("layernorm_before", "norm1", "layer_norm1")
_NORM_2 = ("layernorm_after", "norm2", "layer_norm2")
_ATTENTION = ("attention", "self_attn")
_QUERY, _KEY, _VALUE = (
    (f"{short}_proj", f"attention.{long}") for short, long in (("q", "query"), ("k", "key"), ("v", "value"))
)
_OUTPUT = ("o_proj", "out_proj", "output.dense")
_HEADS = ("num_attention_heads", "num_heads", "attention.num_attention_heads")
_ACTIVATION = ("activation_fn", "activation")
_GELU = ("GELUActivation", "PytorchGELUTanh", "GELUTanh", "NewGELUActivation", "FastGELUActivation")
# Matrix units read rows in parts of sixteen bytes.
_ROW = 8
# Grey levels are divided by this power of two, so that the weights do not become so small that float16 rounds them off.
_LEVELS = 64


class FusedBlock(torch.nn.Module):
    """A pre-norm block, (n, tokens, d) in and out; with `only_class_token` (n, 1, d) comes out.

    `fast_gelu` leaves the activation to the matrix product before it, in its approximation by a hyperbolic tangent,
    which differs from the exact one by less than half precision can show.
    """

    fast_gelu = False
    compiled: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __init__(self, block: Any, *, only_class_token: bool) -> None:  # noqa: ANN401 - transformers' own module
        super().__init__()
        attention, mlp = _part(block, _ATTENTION), block.mlp
        self.only_class_token = only_class_token
        self.norm1, self.norm2 = _part(block, _NORM_1), _part(block, _NORM_2)
        self.heads: int = _part(attention, _HEADS)
        self.qkv = _stacked([_part(attention, names) for names in (_QUERY, _KEY, _VALUE)])
        self.out = _scaled(_part(attention, _OUTPUT), _layer_scale(block, 1))
        self.fc1, self.act = mlp.fc1, _part(mlp, _ACTIVATION)
        self.fc2 = _scaled(mlp.fc2, _layer_scale(block, 2))
        self._can_be_fast = type(self.act).__name__ in _GELU

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """Return the tokens after this block."""
        return (self.compiled or self.computed)(hidden_states)

    def computed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Do the same in separate steps."""
        normed = self.norm1(tokens)
        if self.only_class_token:
            width = tokens.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            (query,) = self._heads(linear(normed[:, :1], weight[:width], bias[:width]), 1)
            key, value = self._heads(linear(normed, weight[width:], bias[width:]), 2)
            tokens = tokens[:, :1]
        else:
            query, key, value = self._heads(self.qkv(normed), 3)
        gathered = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(gathered)
        after: torch.Tensor = tokens + self.fc2(self._hidden(self.norm2(tokens)))
        return after

    def _heads(self, values: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Cut (n, tokens, parts x d) into parts of (n, heads, tokens, d / heads)."""
        n, tokens, _ = values.shape
        return values.view(n, tokens, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def _hidden(self, normed: torch.Tensor) -> torch.Tensor:
        if not (self.fast_gelu and self._can_be_fast):
            return self.act(self.fc1(normed))  # type: ignore[no-any-return]
        flat = normed.flatten(0, 1)
        if not flat.is_cuda:
            return gelu(self.fc1(normed), approximate="tanh")
        hidden = torch._addmm_activation(self.fc1.bias, flat, self.fc1.weight.t(), use_gelu=True)  # noqa: SLF001
        return hidden.view(*normed.shape[:2], -1)


class PatchProduct(torch.nn.Module):
    """Embeds patches as a matrix product in place of a convolution.

    Grey levels (n, 3, h, w) go in, (n, d, rows, columns) comes out.

    The means are subtracted as whole grey levels, which half precision holds exactly; what that leaves of them, and
    the standard deviations, are in the weights.
    """

    centre: torch.Tensor

    def __init__(self, convolution: torch.nn.Conv2d, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.edge = convolution.kernel_size[0]
        mean = 255 * torch.tensor(preprocessing.mean)
        deviation = 255 * torch.tensor(preprocessing.std)
        centre = mean.round()
        weight = convolution.weight.detach().float() * (_LEVELS / deviation).view(1, 3, 1, 1)
        left = (weight.double() * ((centre - mean) / _LEVELS).view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
        bias = left if convolution.bias is None else convolution.bias.detach().double() + left
        flat = weight.permute(0, 2, 3, 1).flatten(1)
        self.padding = -flat.shape[1] % _ROW
        # transformers asks for the type of `weight`.
        self.weight = torch.nn.Parameter(pad(flat, (0, self.padding)))
        self.bias = torch.nn.Parameter(bias.float())
        self.register_buffer("centre", -centre / _LEVELS, persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the embedding of each patch, laid out as a convolution's."""
        n, _, height, width = values.shape
        edge = self.edge
        rows, columns = height // edge, width // edge
        levels = values[:, :, : rows * edge, : columns * edge].permute(0, 2, 3, 1)
        levels = torch.add(self.centre, levels, alpha=1 / _LEVELS)
        grid = levels.reshape(n, rows, edge, columns, edge, 3).permute(0, 1, 3, 2, 4, 5)
        patches = grid.reshape(n, rows * columns, -1)
        if self.padding:
            patches = pad(patches, (0, self.padding))
        embedded = linear(patches, self.weight, self.bias)
        return embedded.view(n, rows, columns, -1).permute(0, 3, 1, 2)


def fuse(model: torch.nn.Module, architecture: str, readout: Readout, preprocessing: Preprocessing) -> bool:
    """Replace the blocks and the patch embedding of `model`, in float32; False where its architecture is not known.

    Afterwards the model takes grey levels, 0 to 255, instead of normalised values.
    """
    parents = [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent.named_children()
        if any(hasattr(module, norm) for norm in _NORM_1) and hasattr(module, "mlp")
    ]
    convolutions = [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent.named_children()
        if isinstance(module, torch.nn.Conv2d)
    ]
    family = FAMILIES[architecture]
    known = family.fusible and len(convolutions) == 1
    if not known or not all(hasattr(block.mlp, "fc1") for _, _, block in parents):
        return False
    last = len(parents) - 1 if readout in ("cls", "projection") and family.class_token else None
    for number, (parent, name, block) in enumerate(parents):
        setattr(parent, name, FusedBlock(block, only_class_token=number == last))
    parent, name, convolution = convolutions[0]
    setattr(parent, name, PatchProduct(convolution, preprocessing))
    return True


def fused_blocks(model: torch.nn.Module) -> list[FusedBlock]:
    """Return the fused blocks of a model."""
    return [module for module in model.modules() if isinstance(module, FusedBlock)]


@contextmanager
def compiled_blocks(model: torch.nn.Module, mode: str | None) -> Iterator[None]:
    """Run the fused blocks of a model as `torch.compile` makes them of one block in this mode; None leaves them."""
    blocks = fused_blocks(model) if mode is not None else []
    for block in blocks:
        # Equal blocks share what was compiled for the first.
        block.compiled = torch.compile(block.computed, mode=mode, dynamic=False)
    try:
        yield
    finally:
        for block in blocks:
            block.compiled = None


def use_fast_gelu(model: torch.nn.Module, *, wanted: bool) -> None:
    """Choose for all fused blocks of a model whether the activation is left to the matrix product."""
    for block in fused_blocks(model):
        block.fast_gelu = wanted


def _part(module: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - transformers' own modules
    """Return the first part of a module that exists under one of these dotted names."""
    for name in names:
        found = module
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is not None:
            return found
    raise AttributeError(f"{type(module).__name__} has none of {', '.join(names)}")


def _layer_scale(block: Any, number: int) -> torch.Tensor | None:  # noqa: ANN401
    scale = getattr(block, f"layer_scale{number}", None)
    return None if scale is None else scale.lambda1.detach()


def _stacked(layers: Sequence[torch.nn.Linear]) -> torch.nn.Linear:
    weight = torch.cat([layer.weight.detach() for layer in layers])
    biases = [
        torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach() for layer in layers
    ]
    return _linear(weight, torch.cat(biases))


def _scaled(layer: torch.nn.Linear, scale: torch.Tensor | None) -> torch.nn.Linear:
    if scale is None:
        return layer
    weight = layer.weight.detach() * scale[:, None]
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach()
    return _linear(weight, bias * scale)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight = torch.nn.Parameter(weight, requires_grad=False)
    made.bias = torch.nn.Parameter(bias, requires_grad=False)
    return made
