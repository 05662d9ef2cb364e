"""Everything that a run needs to go on, saved and loaded as one file: whole or not at all, and never unpickled."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from train.config import TrainConfig
from train.errors import ResumeError
from train.files import whole_file

FREE_TO_CHANGE = {
    "data_dir", "tracker", "val_dir", "out", "init", "steps", "milestones", "learning_rate", "workers", "threads",
    "log_every", "test_every", "save_every", "device",
}  # fmt: skip
"""Fields of the configuration that may differ between a run and its continuation."""


def save_state(path: Path, config: TrainConfig, state: dict[str, Any]) -> None:
    """Write a run's state; the file that was there stays until the new one is whole. Raises TrainError."""
    with whole_file(path, "the last saved state is kept; free some space and go on") as file:
        torch.save(state | {"config": json.dumps(config.to_json(), sort_keys=True)}, file)


def load_state(path: Path, config: TrainConfig) -> dict[str, Any]:
    """Read the state of a run to go on with. Raises ResumeError: unreadable, or saved by another configuration.

    A field that the configuration did not have when the state was saved is not compared.
    """
    state = read_state(path)
    _compare(path, json.loads(state["config"]), json.loads(json.dumps(config.to_json())), "")
    return state


def read_state(path: Path) -> dict[str, Any]:
    """Read any run's state; "config" is its TrainConfig as JSON. Raises ResumeError: missing or unreadable."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"step", "rng", "generator", "average"} <= set(state) or not isinstance(
            json.loads(state["config"]), dict
        ):
            raise ValueError("parts are missing")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as err:
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise ResumeError(f"{path}: not a run's state: {reason}; remove it to start anew") from err
    return state


def _compare(path: Path, saved: dict[str, Any], wanted: dict[str, Any], inside: str) -> None:
    for name, value in saved.items():
        if not inside and name in FREE_TO_CHANGE:
            continue
        if isinstance(value, dict) and isinstance(wanted.get(name), dict):
            _compare(path, value, wanted[name], f"{inside}{name}.")
        elif value != wanted.get(name):
            raise ResumeError(
                f"{path}: of another configuration: {inside}{name}: expected {wanted.get(name)!r}, got {value!r}; "
                "give the run another --out, or its own configuration"
            )
