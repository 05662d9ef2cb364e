"""Configuration of the network: what its JSON says, and the parameters that follow from it. No torch."""

from dataclasses import asdict, dataclass, fields
from reprlib import repr as brief
from typing import Any

from engines.errors import CheckpointError

MAX_EMBED_DIM = 256
MAX_LAYERS = 64
MAX_FRAMES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SwinIRConfig:
    """The shape of one SwinIR (Liang et al. 2021, "SwinIR: Image Restoration Using Swin Transformer")."""

    scale: int = 2
    """Super-resolution factor: 2, 4 or 8."""
    frames: int = 1
    """T, the number of consecutive crops of one window that the network sees, newest first."""
    unshuffle: int = 1
    """Pixel-unshuffle factor at the input: 2 runs the body on a grid of half the width and height."""
    embed_dim: int = 60
    """Channels of the body."""
    depths: tuple[int, ...] = (6, 6, 6, 6)
    """Swin layers in each residual group."""
    heads: int = 6
    """Attention heads in every layer; divides embed_dim."""
    window: int = 8
    """Side of an attention window on the body's grid."""
    mlp_ratio: int = 2
    """Hidden channels of the MLP as a multiple of embed_dim."""

    def __post_init__(self) -> None:
        for name in ("scale", "frames", "unshuffle", "embed_dim", "heads", "window", "mlp_ratio"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: expected a positive integer, got {brief(value)}")
        if not isinstance(self.depths, tuple) or not all(type(d) is int and d > 0 for d in self.depths):
            raise ValueError(f"depths: expected a tuple of positive integers, got {brief(self.depths)}")
        if self.scale not in (2, 4, 8):
            raise ValueError(f"scale: expected 2, 4 or 8, got {self.scale}")
        if self.unshuffle not in (1, 2):
            raise ValueError(f"unshuffle: expected 1 or 2, got {self.unshuffle}")
        if self.frames > MAX_FRAMES:
            raise ValueError(f"frames: expected at most {MAX_FRAMES}, got {self.frames}")
        if self.window != 8:
            raise ValueError(f"window: expected 8, got {self.window}")
        if self.mlp_ratio > 4:
            raise ValueError(f"mlp_ratio: expected at most 4, got {self.mlp_ratio}")
        if self.embed_dim > MAX_EMBED_DIM or self.embed_dim % self.heads:
            raise ValueError(
                f"embed_dim: expected at most {MAX_EMBED_DIM} and a multiple of heads={self.heads}, "
                f"got {self.embed_dim}"
            )
        if not self.depths or sum(self.depths) > MAX_LAYERS:
            raise ValueError(f"depths: expected 1 to {MAX_LAYERS} layers in all, got {brief(self.depths)}")

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.embed_dim // self.heads

    @property
    def input_channels(self) -> int:
        """Channels of the uint8 batch: 3 (BGR) for each frame."""
        return 3 * self.frames

    @property
    def multiple(self) -> int:
        """Height and width are padded inside the network to a multiple of this many low-resolution pixels."""
        return self.window * self.unshuffle

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of a checkpoint."""
        c, hidden = self.embed_dim, self.embed_dim * self.mlp_ratio
        fold = self.unshuffle**2
        shapes: dict[str, tuple[int, ...]] = {
            "conv_first.weight": (c, self.input_channels * fold, 3, 3),
            "conv_first.bias": (c,),
            "patch_norm.weight": (c,),
            "patch_norm.bias": (c,),
        }
        for g, depth in enumerate(self.depths):
            for i in range(depth):
                layer = f"groups.{g}.layers.{i}"
                shapes |= {
                    f"{layer}.norm1.weight": (c,),
                    f"{layer}.norm1.bias": (c,),
                    f"{layer}.qkv.weight": (3 * c, c),
                    f"{layer}.qkv.bias": (3 * c,),
                    f"{layer}.position_bias": ((2 * self.window - 1) ** 2, self.heads),
                    f"{layer}.proj.weight": (c, c),
                    f"{layer}.proj.bias": (c,),
                    f"{layer}.norm2.weight": (c,),
                    f"{layer}.norm2.bias": (c,),
                    f"{layer}.fc1.weight": (hidden, c),
                    f"{layer}.fc1.bias": (hidden,),
                    f"{layer}.fc2.weight": (c, hidden),
                    f"{layer}.fc2.bias": (c,),
                }
            shapes |= {f"groups.{g}.conv.weight": (c, c, 3, 3), f"groups.{g}.conv.bias": (c,)}
        outputs = 3 * (self.scale * self.unshuffle) ** 2
        return shapes | {
            "norm.weight": (c,),
            "norm.bias": (c,),
            "conv_body.weight": (c, c, 3, 3),
            "conv_body.bias": (c,),
            "conv_up.weight": (outputs, c, 3, 3),
            "conv_up.bias": (outputs,),
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; from_json() gives an equal configuration back."""
        return asdict(self) | {"depths": list(self.depths)}

    @classmethod
    def from_json(cls, values: object) -> "SwinIRConfig":
        """Read a configuration; raises CheckpointError for anything that is not one."""
        expected = [f.name for f in fields(cls)]
        if not isinstance(values, dict):
            raise CheckpointError(f"network configuration: expected a map, got {type(values).__name__}")
        if strange := sorted(set(values) ^ set(expected)):
            raise CheckpointError(
                f"network configuration: expected exactly the keys {', '.join(expected)}; "
                f"missing or not of these: {brief(strange)}"
            )
        depths = values["depths"]
        try:
            return cls(**values | {"depths": tuple(depths) if isinstance(depths, list) else depths})
        except ValueError as err:
            raise CheckpointError(f"network configuration: {err}") from err
