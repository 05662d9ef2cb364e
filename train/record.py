"""What is written beside weights about how they were made."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.swinir import SwinIR


def training_record(config: dict[str, Any], step: int, data: dict[str, Any]) -> dict[str, Any]:
    """Steps, configuration (TrainConfig.to_json(), files and folders by their last name), versions, source revision.

    data: what the faces were, as data_record() gives it; empty where it is not known.
    """
    places = {name: Path(config[name]).name for name in ("data_dir", "out", "init", "tracker") if config[name]}
    settings = {name: value for name, value in config.items() if name != "val_dir"} | places
    return {"steps": step, "config": settings, **data, "torch": torch.__version__, "revision": _revision()}


def data_record(faces: int, manifest: Path) -> dict[str, Any]:
    """The number of faces that were trained on, and the SHA-256 of the manifest that names them."""
    return {"faces": faces, "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}


@torch.inference_mode()
def block_maxima(model: SwinIR, batch: NDArray[np.uint8]) -> list[float]:
    """The largest |x| at the output of each residual group; half precision ends at 65504.

    batch: uint8 (N, H, W, 3T), H and W multiples of config.multiple.
    """
    found: list[float] = []

    def note(module: object, inputs: object, output: Tensor) -> None:
        found.append(round(float(output.abs().max()), 3))

    hooks = [group.register_forward_hook(note) for group in model.groups]
    model(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()).float() / 255)
    for hook in hooks:
        hook.remove()
    return found


def _revision() -> str:
    """The git revision of the source, or "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
