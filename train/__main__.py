"""The command line: python -m train prepare | run | evaluate | compare | export | gate.

Exit codes: 0 done; 1 it could not be done, or the gate does not pass; 2 the command line cannot be used.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from engines import EngineError, load_engine
from train import checks, gate
from train.config import TrainConfig
from train.errors import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """Find the eyes in a folder of faces and write its manifest; reports what it rejects, and why."""

    folder: Positional[Path]
    """Folder of pictures with one face each; folders in it are searched, too."""
    min_interocular_px: float = 50.0
    """Faces whose eyes are nearer to each other are rejected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(TrainConfig):
    """Train a network, or go on with a run; a folder of faces without a manifest is prepared first.

    With several GPUs or machines: torchrun --nproc-per-node N -m train run ...
    """

    scale: int | None = None
    """Short for --network.scale: 2, 4 or 8."""
    dry_run: bool = False
    """Print the configuration and stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Score a tier on labelled faces, beside bicubic and Lanczos."""

    data: Path
    """Folder with val.json and the faces that it names."""
    tier: str = "default"
    """A tier, "default", or a checkpoint's path."""
    engine: str = "auto"
    """The engine that runs it."""
    quick: bool = False
    """Every fourth face only."""
    still: bool = False
    """The face does not move between the frames of a temporal tier."""
    json: Path | None = None
    """Write the table here, too, and what it is of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compare:
    """Draw a sheet: low resolution, bicubic, tiers, truth; clean, webcam, dark; with RGB PSNR."""

    data: Path
    """Folder with val.json and the faces that it names."""
    tiers: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--tier"])] = ("default",)
    """Tiers or checkpoints' paths, all of one scale."""
    engine: str = "auto"
    """The engine that runs them."""
    eyes: int = 2
    """Rows for each condition."""
    out: Path = Path("compare.png")
    """The PNG to write."""

    def __post_init__(self) -> None:
        checks.at_least(self, 1, "eyes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """Write a checkpoint for the engines: from a run, or in between two checkpoints of one network."""

    source: Annotated[str | None, tyro.conf.Positional] = None
    """A run's folder, its state.pt, a tier, or a checkpoint's path."""
    interpolate: tuple[str, str] | None = None
    """Instead of a source: two of them, such as the fidelity and the adversarial weights."""
    weight: float | None = None
    """Share of the second of the two; None: half."""
    frames: int | None = None
    """For this many frames: the older ones' filters shared out over them; without training."""
    out: Path | None = None
    """The checkpoint to write: NAME.safetensors, and NAME.json beside it."""
    data: Path | None = None
    """Folder with val.json: the scores on it go into the checkpoint's record."""
    onnx: Path | None = None
    """Write the network as ONNX, too, for batches of onnx-batch and windows of onnx-size."""
    onnx_size: tuple[int, int] = (48, 64)
    """Height and width of these windows, in low-resolution pixels."""
    onnx_batch: int | None = None
    """Windows in such a batch; None leaves it open."""

    def __post_init__(self) -> None:
        if min(self.onnx_size) < 1:
            raise ValueError(f"onnx_size: expected at least 1 by 1, got {self.onnx_size[0]} by {self.onnx_size[1]}")
        if self.onnx_batch is not None and self.onnx_batch < 1:
            raise ValueError(f"onnx_batch: expected at least 1, or None for an open batch, got {self.onnx_batch}")
        if self.weight is not None and self.interpolate is None:
            raise ValueError("weight: expected --interpolate A B with it: it is the share of the second")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate(gate.GateConfig):
    """Judge a checkpoint: is it good for a tracker?"""

    checkpoint: Positional[str]
    """A tier, or a checkpoint's path."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one says after `python -m train`; tyro would wrap a bare union in a class whose name stands in messages."""

    command: Annotated[Prepare | Run | Evaluate | Compare | Export | Gate, tyro.conf.arg(name="")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, by default the process's, and do what they say; returns the exit code."""
    commands: dict[type, Callable[..., int | None]] = {
        Prepare: prepare,
        Run: run,
        Evaluate: evaluate,
        Compare: compare,
        Export: export,
        Gate: judge,
    }
    try:
        command = tyro.cli(
            Line,
            prog="python -m train",
            description="Train the network, from a folder of faces to weights that engines load.",
            args=arguments,
            config=(tyro.conf.FlagCreatePairsOff,),
        ).command
        return commands[type(command)](command) or 0
    except (TrainError, EngineError, ValueError) as err:
        print(f"train: {err}", file=sys.stderr)
        return 1


def prepare(command: Prepare) -> None:
    """python -m train prepare"""
    from train.prepare import prepare

    print(prepare(command.folder, min_interocular_px=command.min_interocular_px).as_text())


def run(command: Run) -> int:
    """python -m train run"""
    network = command.network if command.scale is None else replace(command.network, scale=command.scale)
    given = {name: getattr(command, name) for name in TrainConfig.__dataclass_fields__}
    config = TrainConfig(**given | {"network": network})
    if command.dry_run:
        print(config.as_text())
        return 0
    from train.data import find_manifest
    from train.loop import train

    if "RANK" not in os.environ and find_manifest(config.data_dir) is None:
        # In a process of its own: MediaPipe's threads would hold locks in the workers, which are forked.
        done = subprocess.run([sys.executable, "-m", "train", "prepare", str(config.data_dir)], check=False)
        if done.returncode:
            return done.returncode
    print(train(config))
    return 0


def evaluate(command: Evaluate) -> None:
    """python -m train evaluate"""
    from train.evaluate import Exam, as_text, write_json
    from train.perceptual import load_lpips

    with load_engine(command.engine, command.tier) as engine:
        exam = Exam(
            command.data,
            frames=engine.frames,
            scale=engine.scale,
            every=4 if command.quick else 1,
            step=0.0 if command.still else 0.5,
            perceptual=load_lpips(),
        )
        table = exam.table(engine)
    print(f"x{engine.scale}, {engine.frames} frame(s), engine {engine.name}, {len(exam.patches['clean'].lr)} eyes")
    print(as_text(table, engine.tier))
    if command.json:
        about = {"tier": engine.tier, "scale": engine.scale, "frames": engine.frames, "engine": engine.name}
        write_json(command.json, table, about | {"quick": command.quick, "still": command.still})


def compare(command: Compare) -> None:
    """python -m train compare"""
    from train.evaluate import Exam
    from train.sheet import sheet, write_sheet

    with ExitStack() as opened:
        engines = [opened.enter_context(load_engine(command.engine, tier)) for tier in command.tiers]
        if len({engine.scale for engine in engines}) != 1:
            raise TrainError(f"tiers: expected one scale, got {', '.join(f'{e.tier} x{e.scale}' for e in engines)}")
        names = [engine.tier for engine in engines]
        columns = names if len(set(names)) == len(names) else command.tiers
        exam = Exam(command.data, frames=max(e.frames for e in engines), scale=engines[0].scale, every=4)
        methods = {name: (engine.frames, engine) for name, engine in zip(columns, engines, strict=True)}
        picture = sheet(exam, methods, eyes=command.eyes)
    write_sheet(command.out, picture)
    print(command.out)


def export(command: Export) -> None:
    """python -m train export"""
    from engines.onnx import export_onnx
    from train.export import export, interpolated, load_weights, of_frames

    if (command.source is None) == (command.interpolate is None):
        raise TrainError("export: expected a source or --interpolate A B, and not both")
    if command.out is None and command.onnx is None:
        raise TrainError("export: expected --out NAME.safetensors, or --onnx FILE, or both")
    if command.interpolate:
        weights = interpolated(*command.interpolate, 0.5 if command.weight is None else command.weight)
    else:
        weights = load_weights(str(command.source))
    if command.frames is not None:
        weights = of_frames(weights, command.frames)
    if command.out:
        print(export(weights, command.out, command.data))
    if command.onnx:
        height, width = command.onnx_size
        checkpoint = weights.checkpoint(command.onnx.stem)
        print(export_onnx(checkpoint, command.onnx, height=height, width=width, batch=command.onnx_batch))


def judge(command: Gate) -> int:
    """python -m train gate"""
    record = gate.main(command)
    print(gate.as_text(record))
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
