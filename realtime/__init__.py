"""From a camera to a stream of enhanced eyes. Importing it loads numpy, ZeroMQ and msgpack, and nothing heavier."""

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
