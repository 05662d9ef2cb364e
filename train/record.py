"""What is written beside weights about how they were made."""

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.swinir import SwinIR


def training_record(config: dict[str, Any], step: int, data: dict[str, Any], source: dict[str, str]) -> dict[str, Any]:
    """One stage: steps, configuration (TrainConfig.to_json(), files and folders by their last name), faces, versions.

    data, source: what data_record() and source_record() gave when the run started; empty where it is not known.
    """
    places = {name: Path(config[name]).name for name in ("data_dir", "out", "init", "tracker") if config.get(name)}
    settings = {name: value for name, value in config.items() if name != "val_dir"} | places
    return {"steps": step, "config": settings, **data, **source}


def history(record: Mapping[str, Any]) -> list[Any]:
    """The stages by which weights came about, first to last, from a checkpoint's record; empty where it names none.

    A mean of weights is a stage, too: {"interpolated": [{"weight": its share, "stages": its own history}, ...]}. Older
    records hold such a list beside their other keys, and no stages.
    """
    if "interpolated" in record:
        return [{"interpolated": record["interpolated"]}]
    return list(record.get("stages", []))


def data_record(faces: int, manifest: Path) -> dict[str, Any]:
    """The number of faces that were trained on, and the SHA-256 of the manifest that names them."""
    return {"faces": faces, "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}


def source_record() -> dict[str, str]:
    """What trains: torch's version, and the revision of this source."""
    return {"torch": str(torch.__version__), "revision": revision(Path(__file__).parent)}


def revision(folder: Path) -> str:
    """Its git revision, with "+dirty" when a tracked file was changed since; "unknown" outside of a checkout."""
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+dirty"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


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
