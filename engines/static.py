"""The network rewritten for one shape: what graph compilers and CUDA graphs want. Exact, but for rounding.

Masks and gathered position biases are one buffer per layer, rolls are gathers, the layer norms' affine parts go into
the linear layers behind them, the attention's scale goes into q, and attention is one operation.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.config import SwinIRConfig
from engines.swinir import ResidualGroup, SwinIR, SwinLayer, bicubic
from engines.windows import TOKENS, cut_windows


class StaticSwinIR(nn.Module):
    """SwinIR.residual() for one shape.

    forward: float or half (batch, 3T, height, width), BGR in [0, 1], newest frame first -> the residual,
    (batch, 3, height*scale, width*scale). height and width are multiples of config.multiple.
    """

    def __init__(self, model: SwinIR, batch: int, height: int, width: int) -> None:
        super().__init__()
        config, model = model.config, copy.deepcopy(model)
        if height % config.multiple or width % config.multiple:
            raise ValueError(f"height, width: expected multiples of {config.multiple}, got {height}, {width}")
        self.config = config
        self.conv_first, self.conv_body, self.conv_up = model.conv_first, model.conv_body, model.conv_up
        self.patch_norm, self.norm = model.patch_norm, model.norm
        cut = cut_windows(1, height // config.unshuffle, width // config.unshuffle)
        counts, masks = zip(*cut.masks, strict=True)
        mask_NLL = torch.from_numpy(np.repeat(np.stack(masks), counts, axis=0))
        plain, shifted = torch.from_numpy(cut.plain), torch.from_numpy(cut.shifted)
        self.groups = nn.ModuleList(
            _StaticGroup(group, batch, plain, shifted, mask_NLL)
            for group in model.groups
            if isinstance(group, ResidualGroup)
        )

    def forward(self, x: Tensor) -> Tensor:
        f_BCHW = self.conv_first(F.pixel_unshuffle(x, self.config.unshuffle))
        y_BHWC = self.patch_norm(f_BCHW.permute(0, 2, 3, 1))
        for group in self.groups:
            y_BHWC = group(y_BHWC)
        f_BCHW = f_BCHW + self.conv_body(self.norm(y_BHWC).permute(0, 3, 1, 2))
        up = self.config.scale * self.config.unshuffle
        return F.pixel_shuffle(self.conv_up(f_BCHW), up)


class StaticPixels(nn.Module):
    """An engine's whole work in one module: uint8 (B, H, W, 3T) -> uint8 (B, H*scale, W*scale, 3), as engines.Engine.

    body: StaticSwinIR of the padded shape, or what was compiled from it; dtype: what it computes in. The bicubic image
    is always added in float32: half precision has steps of an eighth near 255.
    """

    def __init__(self, body: nn.Module, config: SwinIRConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.body, self.config, self.dtype = body, config, dtype

    def forward(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[1:3]
        scale, multiple = self.config.scale, self.config.multiple
        x = batch.permute(0, 3, 1, 2).float() / 255
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        y = bicubic(x[:, :3], scale) + self.body(x.to(self.dtype)).float()
        y = y[..., : height * scale, : width * scale].clamp(0, 1) * 255 + 0.5
        enhanced: Tensor = y.permute(0, 2, 3, 1).to(torch.uint8).contiguous()
        return enhanced


class _StaticGroup(nn.Module):
    def __init__(self, group: ResidualGroup, batch: int, plain: Tensor, shifted: Tensor, mask_NLL: Tensor) -> None:
        super().__init__()
        self.conv, self.layers = group.conv, nn.ModuleList()
        last = torch.arange(len(plain))
        for layer in group.layers:
            assert isinstance(layer, SwinLayer)
            order = shifted if layer.shifted else plain
            self.layers.append(_StaticLayer(layer, batch, torch.argsort(last)[order], mask_NLL))
            last = order
        self.register_buffer("home", torch.argsort(last), persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        assert isinstance(self.home, Tensor)
        x_BTC = x_BHWC.flatten(1, 2)
        for layer in self.layers:
            x_BTC = layer(x_BTC)
        y_BHWC = x_BTC.index_select(1, self.home).view(x_BHWC.shape)
        return torch.add(x_BHWC, self.conv(y_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class _StaticLayer(nn.Module):
    """One Swin layer on all T tokens of the grid; takes them in the last layer's order and leaves them in its own."""

    def __init__(self, layer: SwinLayer, batch: int, order: Tensor, mask_NLL: Tensor) -> None:
        super().__init__()
        c = layer.proj.in_features
        self.channels, self.heads = c, layer.heads
        self.qkv, self.fc1 = _behind_norm(layer.qkv, layer.norm1), _behind_norm(layer.fc1, layer.norm2)
        with torch.no_grad():
            self.qkv.weight[:c] *= (c // layer.heads) ** -0.5
            self.qkv.bias[:c] *= (c // layer.heads) ** -0.5
            assert isinstance(layer.index, Tensor)
            bias_NALL = layer.position_bias[layer.index].view(1, TOKENS, TOKENS, layer.heads).permute(0, 3, 1, 2)
            if layer.shifted:
                bias_NALL = (bias_NALL + mask_NLL[:, None]).repeat(batch, 1, 1, 1)
        self.proj, self.fc2 = layer.proj, layer.fc2
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("bias_NALL", bias_NALL.contiguous(), persistent=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        assert isinstance(self.order, Tensor)
        assert isinstance(self.bias_NALL, Tensor)
        c = self.channels
        x_BTC = x_BTC.index_select(1, self.order)
        y_NLHD = self.qkv(F.layer_norm(x_BTC, (c,))).view(-1, TOKENS, 3, self.heads, c // self.heads)
        q_NALD, k_NALD, v_NALD = y_NLHD.permute(2, 0, 3, 1, 4)
        y_NALD = F.scaled_dot_product_attention(q_NALD, k_NALD, v_NALD, attn_mask=self.bias_NALL, scale=1.0)
        x_BTC = x_BTC + self.proj(y_NALD.transpose(1, 2).reshape(x_BTC.shape))
        return torch.add(x_BTC, self.fc2(F.gelu(self.fc1(F.layer_norm(x_BTC, (c,))))))


def _behind_norm(linear: nn.Linear, norm: nn.LayerNorm) -> nn.Linear:
    """The linear layer with the affine part of the norm before it taken in."""
    folded = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device)
    with torch.no_grad():
        folded.weight.copy_(linear.weight * norm.weight)
        folded.bias.copy_(linear.bias + linear.weight @ norm.bias)
    return folded
