"""What can go wrong with an engine.

    EngineError
      BackendUnavailable    the library, the device or the compiled kernel is not here
      CheckpointError       weights or their JSON are missing, damaged or of another shape
      CacheError            a compiled engine on disk cannot be written

A caller's mistake (a batch of the wrong shape or dtype) is a ValueError or TypeError.
"""


class EngineError(Exception):
    """Base of every error that an engine raises on its own account."""


class BackendUnavailable(EngineError):
    """A back end cannot run on this machine; the message says what is missing."""


class CheckpointError(EngineError):
    """A checkpoint is missing, damaged, or does not fit its configuration."""


class CacheError(EngineError):
    """The engine cache cannot be used."""
