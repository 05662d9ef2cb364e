"""A checkpoint: NAME.safetensors (float32 tensors) beside NAME.json (configuration and record). Read without torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from engines.config import SwinIRConfig
from engines.errors import CheckpointError
from engines.files import write_whole

FORMAT = 1
MAX_BYTES = 256 << 20
MAX_RECORD_BYTES = 4 << 20
"""Of the .json."""
MAX_HEADER_BYTES = 1 << 20
"""Of the safetensors file: that of 64 layers takes 90 kB; in 100 MB, two million empty tensors keep a core busy."""
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Weights as they lie on disk, checked against their configuration."""

    name: str
    """The tier's name, or the file's stem."""
    config: SwinIRConfig
    tensors: dict[str, NDArray[np.float32]]
    """Every tensor that config.parameter_shapes() names, finite."""
    record: dict[str, Any]
    """What is known of these weights: training, scores, gate."""
    sha256: str
    """Of the safetensors file."""


def save_checkpoint(
    path: Path, config: SwinIRConfig, tensors: Mapping[str, NDArray[np.float32]], record: Mapping[str, Any]
) -> Path:
    """Write PATH.safetensors and PATH.json, each whole or not at all; returns the first.

    PATH may carry the suffix or not. Raises CheckpointError when a tensor does not fit the configuration or the disk
    does not take the file.
    """
    path = _weights_path(str(path))
    arrays = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in tensors.items()}
    _check(str(path), config, arrays)
    blob = save_tensors(arrays)
    document = {
        "format": FORMAT,
        "config": config.to_json(),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "record": dict(record),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, blob)
        write_whole(path.with_suffix(".json"), (json.dumps(document, indent=1) + "\n").encode())
    except OSError as err:
        raise CheckpointError(
            f"cannot write {path}: {err.strerror or err}; free some space or choose another path"
        ) from err
    return path


def load_checkpoint(tier_or_path: str | Path) -> Checkpoint:
    """Read a shipped tier by name, or a checkpoint by path (either of its two files, or their common stem).

    Raises CheckpointError: not found, damaged, not finite, or not of the shape that its configuration says.
    """
    path = find_checkpoint(tier_or_path)
    where = path.with_suffix(".json")
    try:
        for part, most in ((path, MAX_BYTES), (where, MAX_RECORD_BYTES)):
            if (size := part.stat().st_size) > most:
                raise CheckpointError(f"{part}: expected at most {most} bytes, got {size}; export or install it again")
        document = json.loads(where.read_bytes())
        blob = path.read_bytes()
    except (OSError, ValueError, RecursionError) as err:
        raise CheckpointError(f"{path}: cannot be read with its .json: {err}; export or install it again") from err
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = brief(document.get("format")) if isinstance(document, dict) else type(document).__name__
        raise CheckpointError(f"{where}: expected format {FORMAT}, got {found}; export it again")
    try:
        config = SwinIRConfig.from_json(document.get("config"))
    except CheckpointError as err:
        raise CheckpointError(f"{where}: {err}; export it again") from err
    sha256 = hashlib.sha256(blob).hexdigest()
    if document.get("sha256") != sha256:
        raise CheckpointError(
            f"{path}: damaged: expected sha256 {str(document.get('sha256'))[:64]}, got {sha256}; "
            "export or install it again"
        )
    if (header_bytes := int.from_bytes(blob[:8], "little")) > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path}: expected a header of at most {MAX_HEADER_BYTES} bytes, got {header_bytes}; "
            "export or install it again"
        )
    try:
        tensors = load_tensors(blob)
    except KeyError as err:
        raise CheckpointError(f"{path}: expected float32 tensors, got one of {err}; export it again") from err
    except (SafetensorError, ValueError) as err:
        raise CheckpointError(f"{path}: not a safetensors file: {str(err)[:200]}; export or install it again") from err
    _check(str(path), config, tensors)
    record = document.get("record")
    return Checkpoint(
        name=path.stem,
        config=config,
        tensors=tensors,
        record=record if isinstance(record, dict) else {},
        sha256=sha256,
    )


def shipped_tiers() -> tuple[str, ...]:
    """Names of the tiers that lie in engines/weights."""
    return tuple(sorted(p.stem for p in WEIGHTS.glob("*.safetensors")))


def find_checkpoint(tier_or_path: str | Path) -> Path:
    """The .safetensors file that load_checkpoint() reads. Raises CheckpointError where there is none."""
    text = str(tier_or_path)
    if text in shipped_tiers():
        return WEIGHTS / f"{text}.safetensors"
    path = _weights_path(text)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError) as err:  # a name that is too long, or holds a zero byte
        raise CheckpointError(f"tier or checkpoint {text[:100]!r}: {err}; give another path") from err
    raise CheckpointError(
        f"tier or checkpoint {text!r}: expected one of {', '.join(shipped_tiers()) or '(none shipped)'}, "
        "or a path to a .safetensors file with its .json beside it"
    )


def _weights_path(text: str) -> Path:
    """Of a checkpoint by either of its two files, or their common stem, in which dots may be."""
    return Path(text if text.endswith(".safetensors") else f"{text.removesuffix('.json')}.safetensors")


def _check(where: str, config: SwinIRConfig, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    expected = config.parameter_shapes()
    for name in sorted(set(expected) ^ set(tensors)):
        raise CheckpointError(
            f"{where}: tensor {name[:100]} is {'missing' if name in expected else 'not of this network'}"
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.dtype != np.float32 or tensor.shape != shape:
            raise CheckpointError(
                f"{where}: tensor {name}: expected float32 {shape}, got {tensor.dtype} {tensor.shape}"
            )
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{where}: tensor {name} holds NaN or infinity; train or export it again")
