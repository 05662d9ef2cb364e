"""Configuration of a training run: one frozen data class for each part. The only source of defaults."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from engines import SwinIRConfig
from train import checks
from train.degradation import DegradationConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """How samples are cut from faces."""

    patch: int = 32
    """Side of a low-resolution patch, in pixels."""
    interocular_px: tuple[float, float] = (25.0, 110.0)
    """Range of the low-resolution interocular distance; drawn log-uniformly."""
    enlarge: float = 1.1
    """A face is never enlarged by more than this to reach that distance."""
    eye_bias: float = 0.8
    """Share of patches near an eye; the others lie anywhere on the face."""
    rotation_deg: float = 6.0
    """Standard deviation of the head's roll."""
    exposure: float = 0.2
    """Standard deviation of the logarithm of the light."""
    white_balance: float = 0.2
    """Standard deviation of the logarithm of each channel's gain."""
    gamma: float = 0.2
    """Standard deviation of the logarithm of the tone curve's exponent."""
    tinted: float = 0.6
    """Share of samples whose iris gets another colour."""
    iris_tint: float = 0.25
    """Standard deviation of the logarithm of each channel's gain in it."""
    motion: tuple[float, float, float] = (0.25, 0.6, 0.15)
    """Shares of clips that are still, that move by up to a pixel a frame, and that move faster."""
    motion_px: float = 4.0
    """Largest motion in low-resolution pixels a frame, at least 1."""
    registered: float = 0.9
    """Share of clips whose older frames were registered to the newest by whole pixels, as a FrameStack's are."""
    turn_deg: float = 0.5
    """A head that moves also rolls, by a step a frame whose standard deviation is drawn from 0 to this."""
    eye_motion: float = 0.2
    """Share of clips in which the eye turns or closes between two frames."""
    repeated: float = 0.05
    """Share of clips whose older frames repeat the newest, as at a stream's start."""
    duplicated: float = 0.05
    """Share of clips in which one frame comes twice, as cameras and codecs that cannot keep their rate send it."""

    def __post_init__(self) -> None:
        checks.at_least(self, 8, "patch")
        checks.at_least(self, 1, "motion_px")
        checks.at_least(self, 0, "rotation_deg", "exposure", "white_balance", "gamma", "iris_tint", "turn_deg")
        checks.positive(self, "enlarge")
        checks.ranges(self, 1, math.inf, "interocular_px")
        checks.shares(self, "eye_bias", "tinted", "registered", "eye_motion", "repeated", "duplicated")
        checks.distributions(self, "motion")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the terms of the generator's loss; 0 leaves a term out."""

    pixel: float = 1.0
    """Charbonnier, balanced by bicubic's on the same sample; more than 0."""
    colour: float = 0.0
    """Distance of the means over 8x8 pixels in CIE Lab, balanced likewise."""
    iris: float = 0.0
    """Distance of the mean colour around the eye's centre in CIE Lab, balanced likewise."""
    gradient: float = 0.0
    """Difference of the image gradients."""
    frequency: float = 0.0
    """Focal frequency loss (Jiang et al. 2021)."""
    magnitude: float = 0.0
    """Keeps the body's features small, for half precision."""
    tracker: float = 0.0
    """What a gaze network sees in the eye, and where it says that the eye looks (train.tracker); needs --tracker."""
    consistency: float = 0.0
    """Two noisy draws of one scene must give one picture, and one gaze with --tracker; samples then come in pairs."""
    adversarial: float = 0.0
    """Wasserstein critic (Gulrajani et al. 2017); 0 trains without a critic.

    The penalty keeps the norm of a sample's slope at 1, where the pixel term's is about 0.04: 0.004 is a tenth of it.
    """
    feature: float = 0.0
    """Matching of the critic's features; rises with the adversarial term."""
    adversarial_from: float = 0.0
    """Share of the run after which the critic comes in; before it is the pixel-loss stage, exported as -fidelity."""
    adversarial_ramp: float = 0.1
    """Share of the run over which the adversarial weight then rises from 0."""

    def __post_init__(self) -> None:
        checks.positive(self, "pixel")
        checks.at_least(self, 0, "colour", "iris", "gradient", "frequency", "magnitude", "tracker", "consistency")
        checks.at_least(self, 0, "adversarial", "feature")
        checks.shares(self, "adversarial_from", "adversarial_ramp")
        if self.feature and not self.adversarial:
            raise ValueError("feature: expected --loss.adversarial more than 0 with it: it needs the critic")


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticConfig:
    """The critic and its training."""

    channels: int = 32
    """Of its first layer; doubled at each halving of the resolution."""
    learning_rate: float = 1e-4
    """Of its optimiser, the same throughout."""
    penalty: float = 10.0
    """Lambda of the gradient penalty."""
    steps: int = 1
    """Critic steps for each generator step, on the same batch and new points between real and fake."""

    def __post_init__(self) -> None:
        checks.at_least(self, 1, "channels", "steps")
        checks.at_least(self, 0, "penalty")
        checks.positive(self, "learning_rate")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A whole run."""

    data_dir: Path = Path("data/train")
    """Folder of faces with a manifest."""
    val_dir: Path | None = None
    """Folder with val.json and val/, for the periodic test; None: no test."""
    out: Path = Path("runs/run")
    """Folder of the run: state, log, curves, sheets."""
    network: SwinIRConfig = field(default_factory=SwinIRConfig)
    """The generator."""
    data: DataConfig = field(default_factory=DataConfig)
    """How samples are cut from the faces."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    """The cameras that photograph them."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What the generator learns by."""
    critic: CriticConfig = field(default_factory=CriticConfig)
    """What judges it, if loss.adversarial is not 0."""
    tracker: Path | None = None
    """Folder of the gaze network for the tracker term."""
    init: str | None = None
    """Tier or checkpoint to start from: this network, a larger one or one of fewer layers, but for frames and scale."""
    steps: int = 20_000
    """Generator steps of the run."""
    batch: int = 16
    """Samples of a step, over all processes."""
    learning_rate: float = 1e-4
    """Of the generator. The paper's; pixel-loss pretraining from scratch goes faster at 6e-4 to 1e-3."""
    warmup: int = 100
    """Steps in which the learning rate rises from 0."""
    milestones: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
    """Shares of the run at which the learning rate is halved."""
    ema: float = 0.999
    """Decay of the generator's moving average, which is what is tested and exported."""
    seed: int = 0
    """Of the first weights and of every sample."""
    workers: int = 1
    """Processes that make samples; 0 makes them in the main one."""
    threads: int = 0
    """torch's CPU threads; 0 leaves its choice."""
    amp: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the forward passes; fp16 (CUDA only) scales the loss. bf16 is slow on a CPU that lacks it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the networks are trained; with torchrun each process takes a GPU of its own."""
    log_every: int = 100
    """Steps between two lines of the log."""
    test_every: int = 1000
    """Steps between two tests on the faces of val_dir."""
    save_every: int = 500
    """Steps between two saved states; one is saved at the end and at Ctrl-C, too."""

    def __post_init__(self) -> None:
        checks.at_least(self, 1, "steps", "batch", "log_every", "test_every", "save_every")
        checks.at_least(self, 0, "seed", "warmup", "workers", "threads")
        checks.positive(self, "learning_rate")
        checks.ranges(self, 0, 1, "milestones")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: expected 0 to less than 1, got {self.ema}")
        if self.data.patch % self.network.multiple:
            raise ValueError(
                f"data.patch: expected a multiple of {self.network.multiple}, the network's windows, "
                f"got {self.data.patch}"
            )
        if self.amp == "fp16" and self.device != "cuda":
            raise ValueError(f"amp: expected bf16 or no on {self.device}, got fp16; it needs --device cuda")
        if bool(self.loss.tracker) != bool(self.tracker):
            raise ValueError(
                "loss.tracker: expected it with --tracker FOLDER, and the other way round; got one of them"
            )
        if self.batch % self.draws:
            raise ValueError(f"batch: expected an even number with --loss.consistency, which pairs, got {self.batch}")

    @property
    def draws(self) -> int:
        """How many neighbours in a batch show one scene."""
        return 2 if self.loss.consistency else 1

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}

    def as_text(self) -> str:
        """A line for each field, under the name that it has on the command line."""
        return "\n".join(_lines(self.to_json(), ""))


def _lines(values: dict[str, Any], inside: str) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{inside}{name}.")
        else:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            lines.append(f"{inside}{name}".replace("_", "-") + f" = {shown}")
    return lines
