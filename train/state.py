"""Everything that a run needs to go on, saved and loaded as one file: whole or not at all, and never unpickled."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from train.config import TrainConfig
from train.errors import ResumeError, TrainError

FREE_TO_CHANGE = {
    "data_dir", "val_dir", "out", "init", "steps", "milestones", "learning_rate", "workers", "threads",
    "log_every", "test_every", "save_every", "device",
}  # fmt: skip
"""Fields of the configuration that may differ between a run and its continuation."""


def save_state(path: Path, config: TrainConfig, state: dict[str, Any]) -> None:
    """Write a run's state; the file that was there stays until the new one is whole. Raises TrainError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state | {"config": json.dumps(config.to_json(), sort_keys=True)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as err:
        raise TrainError(f"cannot save {path}: {err}; the last saved state is kept; free some space and go on") from err
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, config: TrainConfig) -> dict[str, Any]:
    """Read a run's state. Raises ResumeError: unreadable, or saved by a run of another configuration."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved = json.loads(state["config"])
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as err:
        raise ResumeError(f"{path}: not a run's state: {err}; remove it to start anew") from err
    wanted = json.loads(json.dumps(config.to_json()))
    for name in sorted(set(saved) | set(wanted)):
        if name not in FREE_TO_CHANGE and saved.get(name) != wanted.get(name):
            raise ResumeError(
                f"{path}: of another configuration: {name}: expected {wanted.get(name)!r}, got {saved.get(name)!r}; "
                "give the run another --out, or its own configuration"
            )
    return state
