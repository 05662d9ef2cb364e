"""Everything that a run needs to go on, saved and loaded as one file: whole or not at all, and never unpickled."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from train.config import TrainConfig
from train.errors import ResumeError
from train.files import write_whole

FREE_TO_CHANGE = {
    "data_dir", "tracker", "val_dir", "out", "init", "steps", "milestones", "learning_rate", "workers", "threads",
    "log_every", "test_every", "save_every", "device",
}  # fmt: skip
"""Fields of the configuration that may differ between a run and its continuation."""

PARTS = frozenset(
    {"step", "rng", "before", "data", "source", "critic_from", "generator", "average", "optimiser", "scaler"}
)
CRITIC_PARTS = frozenset({"critic", "critic_optimiser"})
"""What every state holds, and what it holds beside that when there is an adversarial term."""


def save_state(path: Path, config: TrainConfig, state: dict[str, Any]) -> None:
    """Write a run's state; the file that was there stays until the new one is whole. Raises TrainError."""
    file = io.BytesIO()
    torch.save(state | {"config": json.dumps(config.to_json(), sort_keys=True)}, file)
    write_whole(path, file.getvalue(), "the last saved state is kept; free some space and go on")


def load_state(path: Path, config: TrainConfig, data: dict[str, Any]) -> dict[str, Any]:
    """Read the state of a run to go on with. Raises ResumeError: unreadable, of another configuration or other faces.

    data: what train.record.data_record() says of the faces now. What its configuration does not hold, because it is
    older than the field, is not compared.
    """
    state = read_state(path)
    _compare(path, json.loads(state["config"]), json.loads(json.dumps(config.to_json())), "")
    _compare(path, state["data"], data, "data_dir.")
    return state


def read_state(path: Path) -> dict[str, Any]:
    """Read any run's state; "config" is its TrainConfig as JSON. Raises ResumeError: none, unreadable, not whole."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        config = json.loads(state["config"])
        parts = PARTS | CRITIC_PARTS if config["loss"]["adversarial"] else PARTS
        if lacking := [*sorted(parts - state.keys()), *sorted({"network"} - config.keys())]:
            raise KeyError(", ".join(lacking))
    except FileNotFoundError as err:
        raise ResumeError(f"{path}: expected a run's state, found none; let the run go on until it has saved") from err
    except KeyError as err:
        raise ResumeError(f"{path}: not a run's state: expected {err} in it, too; remove it to start anew") from err
    except (OSError, RuntimeError, ValueError, IndexError, TypeError, EOFError, pickle.UnpicklingError) as err:
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
