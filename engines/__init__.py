"""A network, and the ways to run it: batches of crops in, enhanced batches out. No camera, no socket."""

from engines.base import Engine
from engines.bicubic import BicubicEngine
from engines.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, shipped_tiers
from engines.choose import TierChoice, choose_tier
from engines.config import SwinIRConfig
from engines.errors import BackendUnavailable, CacheError, CheckpointError, EngineError
from engines.governor import TierGovernor
from engines.load import DEFAULT_TIER, load_engine
from engines.resilient import ResilientEngine, load_resilient

__all__ = [
    "DEFAULT_TIER",
    "BackendUnavailable",
    "BicubicEngine",
    "CacheError",
    "Checkpoint",
    "CheckpointError",
    "Engine",
    "EngineError",
    "ResilientEngine",
    "SwinIRConfig",
    "TierChoice",
    "TierGovernor",
    "choose_tier",
    "load_checkpoint",
    "load_engine",
    "load_resilient",
    "save_checkpoint",
    "shipped_tiers",
]
