"""What is written beside weights about how they were made."""

import subprocess
from pathlib import Path
from typing import Any

import torch

from train.config import TrainConfig


def training_record(config: TrainConfig, step: int) -> dict[str, Any]:
    """Configuration, steps, seed, data, versions, source revision."""
    settings = config.to_json() | {"data_dir": config.data_dir.name, "out": config.out.name}
    settings.pop("val_dir")
    return {"steps": step, "config": settings, "torch": torch.__version__, "revision": _revision()}


def _revision() -> str:
    """The git revision of the source, or "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
