"""What can go wrong between a camera and a subscriber.

    RealtimeError
      CameraError
        CameraNotFound        no such camera, file or stream, or it gave no frame
        CameraLost            it gave frames and then stopped
      StreamError
        StreamTimeout         nothing arrived in time
        WireError             bytes that are not a message
          WireVersionMismatch a message of another version of the wire
      RecordingError          a recording cannot be written or read
      SinkError               a sink cannot be opened or fed; it is tried again
        SinkEnded             and there is no point in trying again

A caller's mistake is a ValueError or TypeError.
"""


class RealtimeError(Exception):
    """Base of every error that the realtime package raises on its own account."""


class CameraError(RealtimeError):
    """A camera, file or stream cannot be used."""


class CameraNotFound(CameraError):
    """The source does not exist, is busy, or never gave a frame."""


class CameraLost(CameraError):
    """The source gave frames and then stopped."""


class StreamError(RealtimeError):
    """The stream cannot be published or received."""


class StreamTimeout(StreamError):
    """Nothing arrived within the time that the caller gave."""


class WireError(StreamError):
    """Bytes that are not a message of this wire."""


class WireVersionMismatch(WireError):
    """A message of a version of the wire that this reader does not know."""


class RecordingError(RealtimeError):
    """A recording cannot be written or read."""


class SinkError(RealtimeError):
    """A sink cannot be opened or fed; it is closed and tried again."""


class SinkEnded(SinkError):
    """A sink that cannot be fed any more, so that trying again would not help."""
