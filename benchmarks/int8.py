"""Would the linear layers do with products of 8-bit integers (vpdpbusd: VNNI), as engine native might compute them?

Simulated in PyTorch, so that no processor is needed that has them: weights are rounded to -127..127 with a scale for
each output, inputs with a scale for each token, sums are exact, everything else is in single precision. Two things
decide: the quality table, which must not move by 0.05 dB, and the distance from the network itself, which engine native
promises to keep within 1/255 at every pixel.

The last line is one JSON document: {"tiers": [{"tier", "quality": {condition: {"single", "int8"}}, "distance":
{pixels: {"max", "rms"}}}]}; quality in dB (RGB), distances in 1/255 before rounding to bytes.

usage: python benchmarks/int8.py --data DIR [--tiers NAME_OR_PATH ...] [--quick] [--json FILE]
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from document import Document
from errors import in_one_line
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines import DEFAULT_TIER, load_checkpoint
from engines.back_projection import back_project
from engines.static import StaticPixels, StaticSwinIR
from engines.swinir import SwinIR
from realtime.report import machine
from train.evaluate import Exam

AT_ONCE = 8
"""Windows in one batch."""


@dataclass(frozen=True, kw_only=True)
class Int8Config:
    """Simulate linear layers of 8-bit integers."""

    data: Path
    """Labelled faces: a folder with val.json and val/."""
    tiers: tuple[str, ...] = (DEFAULT_TIER,)
    """Tiers, or checkpoints."""
    quick: bool = False
    """Every fourth face only."""
    json: Path | None = None
    """Write the JSON document here too."""


class Int8Linear(nn.Module):
    """A linear layer whose factors are 8-bit integers."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = self.rounded(linear.weight.detach()), linear.bias

    @staticmethod
    def rounded(x: Tensor) -> Tensor:
        """Rows of x in 255 steps, each of its own size."""
        step = x.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
        return (x / step).round() * step

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.rounded(x), self.weight, self.bias)


def replace_linears(module: nn.Module) -> None:
    """Every linear layer inside by its Int8Linear."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        else:
            replace_linears(child)


def enhance(network: nn.Module, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A batch of any length, as an engine does it."""
    filled = np.concatenate([batch, np.repeat(batch[-1:], -len(batch) % AT_ONCE, axis=0)])
    made = [network(part).numpy() for part in torch.from_numpy(filled).split(AT_ONCE)]
    return back_project(batch, np.concatenate(made)[: len(batch)])


@torch.inference_mode()
def measure(tier: str, data: Path, every: int) -> dict[str, Any]:
    """One tier's row of the document."""
    checkpoint = load_checkpoint(tier)
    config = checkpoint.config
    model = SwinIR.from_checkpoint(checkpoint).eval()
    exam = Exam(data, frames=config.frames, scale=config.scale, every=every)
    _, height, width, channels = exam.patches["clean"].lr.shape
    bodies = {name: StaticSwinIR(model, AT_ONCE, height, width).eval() for name in ("single", "int8")}
    replace_linears(bodies["int8"])

    def scored(name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
        pixels = StaticPixels(bodies[name], config)
        return lambda batch: enhance(pixels, batch)

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (AT_ONCE, height, width, channels), dtype=np.uint8)
    inputs = {"noise": noise, "black and white noise": (noise > 127) * np.uint8(255)}
    inputs |= {f"eyes, {condition}": patches.lr[:AT_ONCE] for condition, patches in exam.patches.items()}
    distance = {}
    for name, batch in inputs.items():
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        difference = 255 * (bodies["int8"](x) - bodies["single"](x)).abs()
        distance[name] = {"max": float(difference.max()), "rms": float(difference.square().mean().sqrt())}
    quality = {
        condition: {name: exam.mean_scores(patches, scored(name))["psnr_rgb"] for name in bodies}
        for condition, patches in exam.patches.items()
    }
    return {"tier": checkpoint.name, "quality": quality, "distance": distance}


def main(config: Int8Config) -> None:
    with Document(config.json, {"machine": machine(), "quick": config.quick}) as document:
        for tier in config.tiers:
            row = measure(tier, config.data, 4 if config.quick else 1)
            document.extend(tiers=[row])
            print(f"{row['tier']}: PSNR (RGB), dB, in single precision and with linear layers of 8-bit integers")
            for condition, psnr in row["quality"].items():
                print(f"  {condition:24}{psnr['single']:9.3f}{psnr['int8']:9.3f}{psnr['int8'] - psnr['single']:+9.4f}")
            print("  distance from the network, 1/255: greatest, root mean square")
            for name, d in row["distance"].items():
                print(f"  {name:24}{d['max']:9.3f}{d['rms']:9.4f}")


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(Int8Config))
