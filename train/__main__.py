"""The command line: python -m train prepare | run | evaluate | compare | export | gate."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from engines import EngineError, load_checkpoint
from train.config import TrainConfig
from train.errors import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Train a network, or go on with a run."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    dry_run: bool = False
    """Print the configuration and stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Score a tier or checkpoint on labelled faces, beside bicubic and Lanczos."""

    data: Path
    """Folder with val.json and val/."""
    tier: str = "default"
    """A tier, "default", or a checkpoint's path."""
    json: Path | None = None
    """Write the table here, too."""


def main() -> int:
    """Run a command; returns the exit code."""
    command = tyro.cli(Run | Evaluate, prog="python -m train", description=__doc__)
    try:
        if isinstance(command, Run):
            return run(command)
        return evaluate(command)
    except (TrainError, EngineError) as err:
        print(f"train: {err}", file=sys.stderr)
        return 1


def run(command: Run) -> int:
    """python -m train run"""
    from train.loop import train

    if command.dry_run:
        print(command.config)
        return 0
    print(train(command.config))
    return 0


def evaluate(command: Evaluate) -> int:
    """python -m train evaluate"""
    from engines.swinir import SwinIR
    from train import evaluate as evaluation

    checkpoint = load_checkpoint(command.tier)
    table = evaluation.evaluate(SwinIR.from_checkpoint(checkpoint), command.data)
    print(evaluation.as_text(table, checkpoint.name))
    if command.json:
        evaluation.write_json(table, checkpoint.name, command.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
