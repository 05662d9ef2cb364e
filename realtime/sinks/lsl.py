"""A numeric stream for Lab Streaming Layer: one sample for every frame, with the native time stamp of its capture.

Numbers, no pixels: whoever wants the pixels finds them in a recording by seq. Stream name "catchlight", type "Gaze",
irregular rate, float64; channels as CHANNELS says, and in the stream's description with their units. LSL announces a
stream to the network, and its socket listens on every address of this machine: hence the consent.
"""

import math
import time
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from realtime.errors import SinkError
from realtime.frames import Enhanced
from realtime.message import EYE_POINTS
from realtime.sinks.sink import Sent

CHANNELS: Final = {
    "seq": "frames",
    "face_found": "0 or 1",
    "bypassed": "0 or 1",
    "interocular": "camera pixels",
    **{f"{eye}_iris_{axis}": "camera pixels" for eye in ("left", "right") for axis in "xy"},
    **{f"{eye}_{side}": "camera pixels" for eye in ("left", "right") for side in ("x", "y", "width", "height")},
}
"""Each channel's name and unit. left: the image-left eye; x, y, width, height: its window; NaN without a face."""


@dataclass(frozen=True, slots=True)
class LslOptions:
    """Under which name the stream is found."""

    name: str = "catchlight"


class LslSink:
    """Pushes one sample for every frame."""

    queue = 30

    def __init__(self, options: LslOptions, *, consent: bool) -> None:
        """Raises ValueError without pylsl and without consent."""
        if find_spec("pylsl") is None:
            raise ValueError("sink lsl: expected pylsl; pip install catchlight[lsl]")
        if not consent:
            raise ValueError(
                "sink lsl: expected consent, since LSL lets every host of the network read where you look, in clear; "
                "say --i-consent-to-sending-my-face-in-clear"
            )
        self._name = options.name
        self._outlet: Any = None

    def __enter__(self) -> Self:
        try:
            import pylsl
        except (RuntimeError, OSError) as err:  # its wheel has no liblsl for this system
            raise SinkError(f"expected liblsl, got: {err}; install it as pylsl's page says") from err
        info = pylsl.StreamInfo(self._name, "Gaze", len(CHANNELS), pylsl.IRREGULAR_RATE, pylsl.cf_double64, self._name)
        channels = info.desc().append_child("channels")
        for name, unit in CHANNELS.items():
            channels.append_child("channel").append_child_value("label", name).append_child_value("unit", unit)
        clock = "captured_ns of the native stream: right after the camera was read"
        info.desc().append_child_value("timestamp", clock)
        try:
            self._outlet = pylsl.StreamOutlet(info, max_buffered=60)
        except RuntimeError as err:
            raise SinkError(f"expected to announce the stream, got: {err}") from err
        self._ahead_s = _ahead_s(pylsl)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outlet = None  # pylsl's outlet ends with its last reference

    def pick(self, sent: Sent) -> tuple[list[float], float]:
        """The frame's sample, and when it was captured, in seconds."""
        return sample(sent.enhanced), sent.enhanced.crops.frame.captured_ns / 1e9

    def send(self, item: tuple[list[float], float]) -> None:
        """Push the sample."""
        values, captured_s = item
        self._outlet.push_sample(values, captured_s + self._ahead_s)


def sample(enhanced: Enhanced) -> list[float]:
    """The values of CHANNELS for one frame."""
    crops, landmarks = enhanced.crops, enhanced.crops.landmarks
    head = [float(crops.frame.seq), float(landmarks is not None), float(enhanced.engine == "bicubic")]
    if landmarks is None or len(crops.boxes) != 2:
        return head + [math.nan] * (len(CHANNELS) - len(head))
    irises = landmarks.points[[points[16] for points in EYE_POINTS]].astype(np.float64)
    boxes = [float(side) for box in crops.boxes for side in (box.x, box.y, box.width, box.height)]
    return [*head, landmarks.interocular_px, *irises.ravel().tolist(), *boxes]


def _ahead_s(pylsl: Any) -> float:  # noqa: ANN401 - pylsl has no types
    """How far LSL's clock is ahead of ours, from the quickest of ten looks at both."""
    looks = []
    for _ in range(10):
        before_ns, there_s, after_ns = time.monotonic_ns(), pylsl.local_clock(), time.monotonic_ns()
        looks.append((after_ns - before_ns, there_s - (before_ns + after_ns) / 2e9))
    return float(min(looks)[1])
