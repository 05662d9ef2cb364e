"""SwinIR, written from the paper (Liang et al. 2021, arXiv 2108.10257), for x2, x4 and x8.

Two things are ours. The output is a residual on bicubic interpolation of the newest frame, so that an untrained
network is bicubic and never less. And the input may be T frames stacked on channels and pixel-unshuffled, so that the
body runs on a coarser grid with more context for each operation.

Shape suffixes: B batch, C channels, H W body grid, N windows, L tokens of a window (64), A heads, D head channels.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.checkpoint import Checkpoint
from engines.config import SwinIRConfig
from engines.windows import MASKED


def relative_index(window: int) -> Tensor:
    """Row of the position-bias table for each pair of tokens, int64 (L, L) (Swin, eq. 4)."""
    axis = torch.arange(window)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).flatten(1)
    offset = grid[:, :, None] - grid[:, None, :] + window - 1
    return offset[0] * (2 * window - 1) + offset[1]


@lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: int) -> Tensor:
    """Additive mask (N, L, L) of a shifted layer: tokens that were not neighbours before the roll do not meet."""
    shift = window // 2
    label = torch.zeros(height, width)
    edges = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(edges):
        for j, columns in enumerate(edges):
            label[rows, columns] = 3 * i + j
    label_NL = label.view(height // window, window, width // window, window).transpose(1, 2).reshape(-1, window**2)
    return torch.where(label_NL[:, None] != label_NL[:, :, None], MASKED, 0.0)


def attention(q_NALD: Tensor, k_NALD: Tensor, v_NALD: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D) + bias) v.

    One operator for whoever exports or only runs the network. Training on a CPU takes the formula itself: with a bias
    that is being learnt the operator's way there guards against rows without a token, and a step takes 1.8 times as
    long.
    """
    if torch.is_grad_enabled() and q_NALD.device.type == "cpu":
        scores_NALL = (q_NALD * q_NALD.shape[-1] ** -0.5) @ k_NALD.transpose(-1, -2) + bias
        x_NALD: Tensor = scores_NALL.softmax(-1, dtype=bias.dtype) @ v_NALD
        return x_NALD
    return F.scaled_dot_product_attention(q_NALD, k_NALD, v_NALD, attn_mask=bias)


class SwinLayer(nn.Module):
    """Window attention and MLP, each a residual behind a LayerNorm; odd layers shift the windows by half."""

    def __init__(self, config: SwinIRConfig, shifted: bool) -> None:
        super().__init__()
        c = config.embed_dim
        self.window, self.heads, self.shifted = config.window, config.heads, shifted
        self.norm1 = nn.LayerNorm(c)
        self.qkv = nn.Linear(c, 3 * c)
        self.position_bias = nn.Parameter(torch.zeros((2 * config.window - 1) ** 2, config.heads))
        self.proj = nn.Linear(c, c)
        self.norm2 = nn.LayerNorm(c)
        self.fc1 = nn.Linear(c, c * config.mlp_ratio)
        self.fc2 = nn.Linear(c * config.mlp_ratio, c)
        self.register_buffer("index", relative_index(config.window).flatten(), persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x_BHWC = x_BHWC + self.attend(self.norm1(x_BHWC))
        return torch.add(x_BHWC, self.fc2(F.gelu(self.fc1(self.norm2(x_BHWC)))))

    def attend(self, x_BHWC: Tensor) -> Tensor:
        """Multi-head attention inside each window (Swin, eq. 4)."""
        b, h, w, c = x_BHWC.shape
        s, tokens = self.window, self.window**2
        assert isinstance(self.index, Tensor)
        bias = self.position_bias[self.index].view(1, tokens, tokens, self.heads).permute(0, 3, 1, 2)
        if self.shifted:
            x_BHWC = torch.roll(x_BHWC, (-s // 2, -s // 2), (1, 2))
            mask = shift_mask(h, w, s).to(x_BHWC.device, bias.dtype)
            bias = (bias + mask[:, None]).repeat(b, 1, 1, 1)
        x_NLC = x_BHWC.view(b, h // s, s, w // s, s, c).transpose(2, 3).reshape(-1, tokens, c)
        q_NALD, k_NALD, v_NALD = self.qkv(x_NLC).view(-1, tokens, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x_NALD = attention(q_NALD, k_NALD, v_NALD, bias.to(q_NALD.dtype))
        x_NLC = self.proj(x_NALD.transpose(1, 2).reshape(-1, tokens, c))
        x_BHWC = x_NLC.view(b, h // s, w // s, s, s, c).transpose(2, 3).reshape(b, h, w, c)
        return torch.roll(x_BHWC, (s // 2, s // 2), (1, 2)) if self.shifted else x_BHWC


class ResidualGroup(nn.Module):
    """RSTB: Swin layers, then a 3x3 convolution, with a residual around both (SwinIR, eq. 4)."""

    def __init__(self, config: SwinIRConfig, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SwinLayer(config, shifted=i % 2 == 1) for i in range(depth))
        self.conv = nn.Conv2d(config.embed_dim, config.embed_dim, 3, padding=1)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        y_BHWC = x_BHWC
        for layer in self.layers:
            y_BHWC = layer(y_BHWC)
        return torch.add(x_BHWC, self.conv(y_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class SwinIR(nn.Module):
    """The generator.

    forward: float (B, 3T, H, W), BGR in [0, 1], newest frame first -> float (B, 3, H*scale, W*scale), BGR, not
    clamped. Any H and W: replicated to the next multiple of config.multiple at the right and bottom, cut after.
    """

    def __init__(self, config: SwinIRConfig) -> None:
        super().__init__()
        c, fold = config.embed_dim, config.unshuffle
        self.config = config
        self.conv_first = nn.Conv2d(config.input_channels * fold**2, c, 3, padding=1)
        self.patch_norm = nn.LayerNorm(c)
        self.groups = nn.ModuleList(ResidualGroup(config, depth) for depth in config.depths)
        self.norm = nn.LayerNorm(c)
        self.conv_body = nn.Conv2d(c, c, 3, padding=1)
        self.conv_up = nn.Conv2d(c, 3 * (config.scale * fold) ** 2, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for parameter in self.conv_up.parameters():
            nn.init.zeros_(parameter)
        self._start_on_detail()

    @torch.no_grad()
    def _start_on_detail(self) -> None:
        """Let four in five of the first filters start blind to brightness.

        Noise and texture are a few hundredths of full scale and brightness is half of it; LayerNorm would drown the
        one in the other, and the first thousand steps would go into undoing that.
        """
        weight = self.conv_first.weight
        weight.normal_(std=0.2)
        weight[:, :, 1, 1] *= 3
        blind = weight[: len(weight) * 4 // 5]
        blind -= blind.mean((1, 2, 3), keepdim=True)
        nn.init.zeros_(torch.as_tensor(self.conv_first.bias))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        multiple, scale = self.config.multiple, self.config.scale
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        y = bicubic(x[:, :3], scale) + self.residual(x)
        return y[..., : height * scale, : width * scale]

    def residual(self, x: Tensor) -> Tensor:
        """What the network adds to bicubic; x is already a whole number of windows."""
        f_BCHW = self.conv_first(F.pixel_unshuffle(x, self.config.unshuffle))
        y_BHWC = self.patch_norm(f_BCHW.permute(0, 2, 3, 1))
        for group in self.groups:
            y_BHWC = group(y_BHWC)
        f_BCHW = f_BCHW + self.conv_body(self.norm(y_BHWC).permute(0, 3, 1, 2))
        return F.pixel_shuffle(self.conv_up(f_BCHW), self.config.scale * self.config.unshuffle)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "SwinIR":
        """The network with a checkpoint's weights, in evaluation mode."""
        model = cls(checkpoint.config)
        model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in checkpoint.tensors.items()})
        return model.eval()

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Its weights under the names that a checkpoint uses."""
        return {k: v.detach().float().cpu().numpy().copy() for k, v in self.state_dict().items()}


def bicubic(x: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation (a = -0.75, half-pixel centres, replicated edges), as OpenCV's INTER_CUBIC."""
    return F.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False)
