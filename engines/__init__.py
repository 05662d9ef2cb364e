"""A network, and the ways to run it: batches of crops in, enhanced batches out. No camera, no socket."""

from engines.base import Engine
from engines.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, shipped_tiers
from engines.config import SwinIRConfig
from engines.errors import BackendUnavailable, CacheError, CheckpointError, EngineError
from engines.load import DEFAULT_TIER, load_engine

__all__ = [
    "DEFAULT_TIER",
    "BackendUnavailable",
    "CacheError",
    "Checkpoint",
    "CheckpointError",
    "Engine",
    "EngineError",
    "SwinIRConfig",
    "load_checkpoint",
    "load_engine",
    "save_checkpoint",
    "shipped_tiers",
]
