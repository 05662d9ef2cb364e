"""From a camera to a stream of enhanced eyes. What is asked for first loads numpy, ZeroMQ and msgpack, nothing heavier.

Importing the package itself loads nothing: the command line comes first, and says what Ctrl-C does during the start.
"""

import typing

if typing.TYPE_CHECKING:
    from realtime.client import Subscriber
    from realtime.errors import (
        CameraError,
        CameraLost,
        CameraNotFound,
        RealtimeError,
        RecordingError,
        StreamError,
        StreamTimeout,
        WireError,
        WireVersionMismatch,
    )
    from realtime.frames import Box, Crops, Enhanced, Frame, Landmarks
    from realtime.message import EyeLandmarks, Message, Status
    from realtime.recording import Recording

__all__ = [
    "Box",
    "CameraError",
    "CameraLost",
    "CameraNotFound",
    "Crops",
    "Enhanced",
    "EyeLandmarks",
    "Frame",
    "Landmarks",
    "Message",
    "RealtimeError",
    "Recording",
    "RecordingError",
    "Status",
    "StreamError",
    "StreamTimeout",
    "Subscriber",
    "WireError",
    "WireVersionMismatch",
]

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from realtime import client, errors, frames, message, recording

        return next(vars(home)[name] for home in (client, errors, frames, message, recording) if name in vars(home))

    def __dir__() -> list[str]:
        return __all__
