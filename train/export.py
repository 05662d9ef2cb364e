"""Trained weights to a checkpoint that engines load: from a run, or in between two checkpoints of one network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines import DEFAULT_TIER, Checkpoint, SwinIRConfig, load_checkpoint, save_checkpoint
from engines.swinir import SwinIR
from train.errors import TrainError
from train.evaluate import Exam, network
from train.frames import spread
from train.record import block_maxima, history, training_record
from train.state import read_state


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A network's weights, and what is known of them."""

    config: SwinIRConfig
    tensors: Mapping[str, NDArray[np.float32]]
    record: dict[str, Any]

    def checkpoint(self, name: str) -> Checkpoint:
        """As engines take them, without a file."""
        return Checkpoint(name=name, config=self.config, tensors=dict(self.tensors), record=self.record, sha256="")


def load_weights(source: str) -> Weights:
    """From a run's folder or its state.pt (the moving average), a tier's name, "default", or a checkpoint's path.

    Raises ResumeError or CheckpointError when it cannot be read.
    """
    path = Path(source)
    state_file = path / "state.pt" if path.is_dir() else path
    if state_file.suffix != ".pt":
        checkpoint = load_checkpoint(DEFAULT_TIER if source == "default" else source)
        return Weights(config=checkpoint.config, tensors=checkpoint.tensors, record=checkpoint.record)
    state = read_state(state_file)
    config = json.loads(state["config"])
    stage = training_record(config, int(state["step"]), state["data"], state["source"])
    return Weights(
        config=SwinIRConfig.from_json(config["network"]),
        tensors={name: tensor.float().numpy() for name, tensor in state["average"].items()},
        record={"stages": [*state["before"], stage]},
    )


def interpolated(first: str, second: str, weight: float) -> Weights:
    """(1 - weight) * first + weight * second, tensor by tensor; weight 0 is the first. Raises TrainError.

    Its record is one stage that holds the history of both.
    """
    if not 0 <= weight <= 1:
        raise TrainError(f"weight: expected 0 to 1, got {weight}")
    a, b = load_weights(first), load_weights(second)
    if a.config != b.config:
        raise TrainError(f"expected two checkpoints of one network, got {a.config} and {b.config}")
    mix = {name: np.float32(1 - weight) * a.tensors[name] + np.float32(weight) * b.tensors[name] for name in a.tensors}
    parts = [{"weight": share, "stages": history(part.record)} for share, part in ((1 - weight, a), (weight, b))]
    return Weights(config=a.config, tensors=mix, record={"stages": [{"interpolated": parts}]})


def of_frames(weights: Weights, frames: int) -> Weights:
    """The same network for another number of frames, without training: see train.frames. Raises ValueError."""
    name, before = "conv_first.weight", weights.config.frames
    config = replace(weights.config, frames=frames)
    filters = spread(torch.from_numpy(weights.tensors[name]), before, frames).numpy()
    stages = [*history(weights.record), {"frames": frames, "shared_out_from": before}]
    return Weights(config=config, tensors={**weights.tensors, name: filters}, record={"stages": stages})


def export(weights: Weights, out: Path, data: Path | None = None) -> Path:
    """Write the checkpoint OUT.safetensors and OUT.json; with labelled faces, its scores and maxima go into the record.

    Raises CheckpointError, DataError.
    """
    record = dict(weights.record)
    if data:
        model = SwinIR.from_checkpoint(weights.checkpoint(out.stem))
        exam = Exam(data, frames=weights.config.frames, scale=weights.config.scale)
        record["scores"] = exam.table(network(model))
        record["block_max"] = block_maxima(model, exam.patches["dark"].lr[:16])
    return save_checkpoint(out, weights.config, weights.tensors, record)
