"""The sinks by name, and how the command line's words become outlets."""

from collections.abc import Callable, Sequence
from typing import Final

from realtime.sinks.imagezmq import ImageZmqOptions, ImageZmqSink
from realtime.sinks.lsl import LslOptions, LslSink
from realtime.sinks.netgear import NetGearOptions, NetGearSink
from realtime.sinks.options import read_options
from realtime.sinks.outlet import Outlet
from realtime.sinks.pupil import PupilOptions, PupilSink
from realtime.sinks.pupil_frames import PupilFramesOptions, PupilFramesSink
from realtime.sinks.record import RecordOptions, RecordSink
from realtime.sinks.sink import Sink
from realtime.sinks.virtualcam import VirtualCamOptions, VirtualCamSink

SINKS: Final[dict[str, tuple[type, Callable[..., Sink]]]] = {
    "imagezmq": (ImageZmqOptions, ImageZmqSink),
    "lsl": (LslOptions, LslSink),
    "netgear": (NetGearOptions, NetGearSink),
    "pupil": (PupilOptions, PupilSink),
    "pupil-frames": (PupilFramesOptions, PupilFramesSink),
    "record": (RecordOptions, RecordSink),
    "virtualcam": (VirtualCamOptions, VirtualCamSink),
}
"""For each name its options and what they build."""


def build_sink(name: str, options: str, *, consent: bool) -> Sink:
    """A sink, not yet open. Raises ValueError for an unknown name or options that it cannot use."""
    if name not in SINKS:
        raise ValueError(f"sink: expected one of {', '.join(SINKS)}, got {name!r}")
    kind, build = SINKS[name]
    return build(read_options(kind, name, options), consent=consent)


def build_outlets(words: Sequence[str], *, consent: bool) -> tuple[Outlet, ...]:
    """Outlets for words such as "imagezmq" or "record=DIR", to be entered before they are fed.

    consent: frames may leave this machine in clear. Raises ValueError for words that cannot be used; a sink whose other
    end is not there is no error, but tried again.
    """
    parts = [(word, *word.partition("=")) for word in words]
    return tuple(Outlet(word, build_sink(name, options, consent=consent)) for word, name, _, options in parts)
