"""The architectures of published checkpoints, written from their papers and sources under the names that those use.

They share nothing with transformers' modules: torchvision's attention is `nn.MultiheadAttention`, the others' is
spelled out. A test saves their weights as their authors do and asks that what is read of them computes the same.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn.functional import interpolate, silu

NORM = partial(nn.LayerNorm, eps=1e-6)


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def scatter(model, *, seed=0):
    """Give the weights the spread of trained ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1 and "token" not in name and "pos" not in name:
                parameter.copy_(1.5 * noise / math.sqrt(parameter[0].numel()))
            elif name.endswith(("weight", "gamma")):
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(0.3 * noise)
    return model.eval()


class TorchvisionMLP(nn.Sequential):
    """Its parts are numbered 0 and 3 today; the published files call them linear_1 and linear_2."""

    def __init__(self, width, hidden):
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0), nn.Linear(hidden, width), nn.Dropout(0)
        )


class TorchvisionBlock(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.ln_1 = NORM(width)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = NORM(width)
        self.mlp = TorchvisionMLP(width, hidden)

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class TorchvisionEncoder(nn.Module):
    def __init__(self, tokens, layers, width, heads, hidden):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        self.layers = nn.Sequential()
        for number in range(layers):
            self.layers.add_module(f"encoder_layer_{number}", TorchvisionBlock(width, heads, hidden))
        self.ln = NORM(width)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class TorchvisionViT(nn.Module):
    def __init__(self, *, image=224, patch=16, layers=2, width=128, heads=2, hidden=256, classes=1000):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.encoder = TorchvisionEncoder((image // patch) ** 2 + 1, layers, width, heads, hidden)
        self.heads = nn.Sequential()
        if classes:
            self.heads.add_module("head", nn.Linear(width, classes))

    def features(self, x):
        x = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.encoder(x)[:, 0]

    def forward(self, x):
        return self.heads(self.features(x))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class MLP(nn.Module):
    def __init__(self, width, hidden, act):
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(width, hidden), nn.Linear(hidden, width), act

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class SwiGLU(nn.Module):
    """DINOv2's gated MLP, whose hidden size is two thirds of four times the width, in steps of eight."""

    def __init__(self, width, names=("w12", "w3")):
        super().__init__()
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
        self.names = names
        setattr(self, names[0], nn.Linear(width, 2 * hidden))
        setattr(self, names[1], nn.Linear(hidden, width))

    def forward(self, x):
        gate, value = getattr(self, self.names[0])(x).chunk(2, dim=-1)
        return getattr(self, self.names[1])(silu(gate) * value)


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width, heads, mlp, *, norm, scaled):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = norm(width), Attention(width, heads), norm(width), mlp
        self.ls1 = LayerScale(width) if scaled else nn.Identity()
        self.ls2 = LayerScale(width) if scaled else nn.Identity()

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Patches(nn.Module):
    def __init__(self, patch, width, *, bias):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch, bias=bias)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class NamedViT(nn.Module):
    """timm's VisionTransformer; DINO's is the plain one of 2021, DINOv2's has `mask_token` and `register_tokens`."""

    def __init__(
        self,
        *,
        image=224,
        patch=16,
        layers=2,
        width=128,
        heads=2,
        classes=0,
        registers=0,
        register_name="reg_token",
        mask=False,
        scaled=False,
        gated=(),
        embed_class=True,
        distilled=False,
        pre_norm=False,
        quick=False,
    ):
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-5) if pre_norm else NORM
        self.patch, self.embed_class, self.register_name = patch, embed_class, register_name
        grid = (image // patch) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if distilled:
            self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        if registers:
            setattr(self, register_name, nn.Parameter(torch.zeros(1, registers, width)))
        if mask:
            self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, grid + (1 + distilled if embed_class else 0), width))
        self.patch_embed = Patches(patch, width, bias=not pre_norm)
        self.norm_pre = norm(width) if pre_norm else nn.Identity()
        act = QuickGELU() if quick else nn.GELU()
        self.blocks = nn.ModuleList(
            Block(
                width,
                heads,
                SwiGLU(width, gated) if gated else MLP(width, 4 * width, act),
                norm=norm,
                scaled=scaled,
            )
            for _ in range(layers)
        )
        self.norm = norm(width)
        if classes:
            self.head = nn.Linear(width, classes)
        if classes and distilled:
            self.head_dist = nn.Linear(width, classes)

    def positions(self, patches):
        """DINOv2's resampling; every other model is given photos of its own size."""
        before, known = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        old, new = math.isqrt(known.shape[1]), math.isqrt(patches)
        if not hasattr(self, "mask_token") or old == new:
            return self.pos_embed
        grid = known.reshape(1, old, old, -1).permute(0, 3, 1, 2)
        if hasattr(self, "register_tokens"):
            grid = interpolate(grid, size=(new, new), mode="bicubic", antialias=True)
        else:
            scale = (new + 0.1) / old
            grid = interpolate(grid, scale_factor=(scale, scale), mode="bicubic", antialias=False)
        return torch.cat([before, grid.permute(0, 2, 3, 1).reshape(1, new * new, -1)], dim=1)

    def tokens(self, x):
        x = self.patch_embed(x)
        n, patches, _ = x.shape
        learnt = [self.cls_token] + ([self.dist_token] if hasattr(self, "dist_token") else [])
        first = [token.expand(n, -1, -1) for token in learnt]
        registers = getattr(self, self.register_name, None)
        registers = [] if registers is None else [registers.expand(n, -1, -1)]
        if self.embed_class:
            x = torch.cat([*first, x], dim=1) + self.positions(patches)
            x = torch.cat([x[:, : len(first)], *registers, x[:, len(first) :]], dim=1)
        else:
            x = torch.cat([*first, *registers, x + self.pos_embed], dim=1)
        x = self.norm_pre(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def features(self, x):
        return self.tokens(x)[:, 0]

    def forward(self, x):
        tokens = self.tokens(x)
        if hasattr(self, "head_dist"):
            return (self.head(tokens[:, 0]) + self.head_dist(tokens[:, 1])) / 2
        return self.head(tokens[:, 0])


class ClipMLP(nn.Module):
    def __init__(self, width, act):
        super().__init__()
        self.c_fc, self.gelu, self.c_proj = nn.Linear(width, 4 * width), act, nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(self.gelu(self.c_fc(x)))


class ClipBlock(nn.Module):
    def __init__(self, width, heads, act):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = ClipMLP(width, act)

    def forward(self, x, mask=None):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class ClipTransformer(nn.Module):
    def __init__(self, width, layers, heads, act):
        super().__init__()
        self.resblocks = nn.ModuleList(ClipBlock(width, heads, act) for _ in range(layers))

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class ClipVision(nn.Module):
    def __init__(self, image, patch, width, layers, heads, dim, act):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((image // patch) ** 2 + 1, width))
        self.proj = nn.Parameter(torch.zeros(width, dim))
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = ClipTransformer(width, layers, heads, act)

    def forward(self, x):
        x = self.conv1(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class OpenClip(nn.Module):
    def __init__(self, *, image=64, patch=16, width=128, head_width=64, dim=48, words=12, quick=False):
        super().__init__()
        text, context = 64, 16
        act = QuickGELU() if quick else nn.GELU()
        self.positional_embedding = nn.Parameter(torch.zeros(context, text))
        self.text_projection = nn.Parameter(torch.zeros(text, dim))
        self.logit_scale = nn.Parameter(torch.tensor(2.6))
        self.visual = ClipVision(image, patch, width, 2, width // head_width, dim, act)
        self.transformer = ClipTransformer(text, 2, 1, act)
        self.token_embedding = nn.Embedding(words, text)
        self.ln_final = nn.LayerNorm(text)

    def features(self, x):
        return self.visual(x)

    def encode_text(self, text):
        """`text` (n, tokens) ids, padded with 0; read out at the highest id, which ends a text."""
        x = self.token_embedding(text) + self.positional_embedding[: text.shape[1]]
        mask = torch.full((text.shape[1], text.shape[1]), float("-inf")).triu(1)
        x = self.ln_final(self.transformer(x, mask))
        return x[torch.arange(len(x)), text.argmax(dim=-1)] @ self.text_projection
