"""The sinks by name, and how the command line's words become outlets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

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


@contextmanager
def open_outlets(words: Sequence[str], *, consent: bool) -> Iterator[tuple[Outlet, ...]]:
    """Outlets for words such as "imagezmq" or "record=DIR", fed while the block runs.

    consent: frames may leave this machine in clear. Raises ValueError for words that cannot be used; a sink whose other
    end is not there is no error, but tried again.
    """
    outlets: list[Any] = []
    for word in words:
        name, _, options = word.partition("=")
        outlets.append(Outlet(word, build_sink(name, options, consent=consent)))
    with ExitStack() as stack:
        yield tuple(stack.enter_context(outlet) for outlet in outlets)
