"""One frozen data class for each part of the daemon, and Config, which holds them. The only source of defaults."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraConfig:
    """Where frames come from."""

    source: str | None = None
    """Camera index, video file, stream URL, "demo", or "demo-gaze", which looks about; None: the first camera that
    opens, else "demo"."""
    width: int = 640
    """Frame width asked of a camera, and made by "demo", in pixels."""
    height: int = 480
    """Frame height, likewise."""
    fps: float = 30.0
    """Frame rate asked of a camera, and made by "demo". A file plays at its own rate."""
    pixel_format: Literal["mjpg", "raw"] = "mjpg"
    """What to ask a camera for."""
    as_fast_as_possible: bool = False
    """Take every frame of a file or of "demo" as soon as the chain is ready for it; nothing is dropped."""
    loop: bool = False
    """Start a file again at its end."""

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if not 16 <= side <= 8192:
                raise ValueError(f"{name}: expected 16 to 8192 pixels, got {side}; 640x480 suits most webcams")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps: expected a number above 0 and at most 1000, got {self.fps}; 30 suits most webcams")


@dataclass(frozen=True, kw_only=True, slots=True)
class CropConfig:
    """How windows are cut from a frame."""

    face: bool = False
    """Cut and enhance the face too."""
    ladder: tuple[tuple[int, int], ...] = ((48, 32), (64, 48), (96, 64), (128, 96), (160, 112), (192, 144), (256, 192))
    """Eye window sizes, width by height in camera pixels, smallest first; multiples of 16. What a message
    cannot hold, enhanced, is left out: it matters where a tier enlarges by 4 or more."""
    face_ladder: tuple[tuple[int, int], ...] = ((128, 128), (192, 192), (256, 256), (384, 384), (512, 512))
    """Face window sizes, likewise."""

    def __post_init__(self) -> None:
        for name, ladder in (("ladder", self.ladder), ("face_ladder", self.face_ladder)):
            ascending = all(a < c and b <= d for (a, b), (c, d) in pairwise(ladder))
            if not ladder or not ascending or any(side < 16 or side % 16 for size in ladder for side in size):
                raise ValueError(f"{name}: expected sizes in multiples of 16, smallest first, got {ladder}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """Which engine and which weights."""

    engine: str = "auto"
    """auto, tensorrt, cuda, native, openvino, onnxruntime, eager, bicubic."""
    tier: str = "auto"
    """auto, default, the name of a shipped tier, or a checkpoint's path."""
    threads: int = 0
    """CPU threads of the engine; 0 chooses."""
    bypass: Literal["auto", "never"] = "auto"
    """auto: send bicubic, marked so, where the iris is too small for the network; never: always the network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublisherConfig:
    """Where the stream goes."""

    bind: str = "tcp://127.0.0.1:5580"
    """ZeroMQ endpoint to bind. Off-host endpoints need keys."""
    keys: Path | None = None
    """Folder made by `catchlight keys`: the server's CURVE key pair and the clients allowed."""
    i_consent_to_sending_my_face_in_clear: bool = False
    """Allow an off-host endpoint without keys: anyone who connects sees the face, and anyone on the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole daemon."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    crops: CropConfig = field(default_factory=CropConfig)
    engine: EngineChoice = field(default_factory=EngineChoice)
    publisher: PublisherConfig = field(default_factory=PublisherConfig)
    sink: tuple[str, ...] = ()
    """Feed another program too, NAME or NAME=OPTIONS: imagezmq, lsl, netgear, pupil, pupil-frames, record=FOLDER,
    virtualcam; see realtime/sinks/. May be given several times."""
    preview: int | None = None
    """Show the stream in a browser: a page at this port of 127.0.0.1, from a process of its own."""
    seconds: float | None = None
    """Stop after this long; None: until the source ends or a signal comes."""
    report: Path | None = None
    """Write the run's JSON report here."""
    verbose: bool = False
    """Log what is done, not only what goes wrong."""

    def __post_init__(self) -> None:
        _check_above_zero("seconds", self.seconds, "leave it out to run until stopped")
        if self.preview is not None and self.publisher.keys is not None:
            raise ValueError(
                "preview: expected no keys, got some; run `catchlight preview --keys CLIENT.json` beside the daemon"
            )
        if self.preview is not None and not 0 < self.preview < 65536:
            raise ValueError(f"preview: expected a port of 1 to 65535, got {self.preview}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscribeConfig:
    """The `subscribe` command: watch a stream from the side of a gaze tracker."""

    connect: str = "tcp://127.0.0.1:5580"
    """ZeroMQ endpoint of the daemon."""
    topic: Literal["eyes", "face"] = "eyes"
    """What to receive."""
    save: Path | None = None
    """Write every patch as PNG into this folder."""
    seconds: float | None = None
    """Stop after this long; None: until a signal comes."""
    count: int | None = None
    """Stop after this many messages."""
    timeout_s: float = 10.0
    """Give up when nothing arrives for this long."""
    keys: Path | None = None
    """This client's key file, made by `catchlight keys`, for a daemon that asks for keys."""

    def __post_init__(self) -> None:
        _check_above_zero("seconds", self.seconds, "leave it out to watch until stopped")
        _check_above_zero("count", self.count, "leave it out to watch until stopped")
        _check_above_zero("timeout_s", self.timeout_s, "say inf to wait for ever")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordConfig:
    """The `record` command: keep a running daemon's stream."""

    folder: Path
    """Where it goes; a folder that holds a recording gets a further part."""
    connect: str = "tcp://127.0.0.1:5580"
    """ZeroMQ endpoint of the daemon."""
    topic: Literal["eyes", "face"] = "eyes"
    """What to record; `catchlight run --sink record=FOLDER` records both."""
    seconds: float | None = None
    """Stop after this long; None: until a signal comes."""
    timeout_s: float = 10.0
    """Give up when nothing arrives for this long."""
    keys: Path | None = None
    """This client's key file, made by `catchlight keys`, for a daemon that asks for keys."""

    def __post_init__(self) -> None:
        _check_above_zero("seconds", self.seconds, "leave it out to record until stopped")
        _check_above_zero("timeout_s", self.timeout_s, "say inf to wait for ever")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayConfig:
    """The `replay` command: publish a recording as if the daemon were running."""

    folder: Path
    """Of a recording: by `record`, `run --sink record=FOLDER` or `enhance`."""
    publisher: PublisherConfig = field(default_factory=PublisherConfig)
    speed: float = 1.0
    """How many times as fast as it was recorded; inf: as fast as it goes, and subscribers miss what they must."""
    wait_s: float = 1.0
    """How long subscribers have to connect before the first message goes out."""
    loop: bool = False
    """Start again at the end."""

    def __post_init__(self) -> None:
        _check_above_zero("speed", self.speed, "1 is as fast as it was recorded")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhanceConfig:
    """The `enhance` command: every frame of recorded videos, as recordings."""

    videos: tuple[Path, ...]
    """Video files."""
    out: Path = Path("enhanced")
    """A folder is made here for each video, under its name; run again, it goes on with what is not done."""
    processes: int = 0
    """How many parts of videos to work on at once; 0: one for every two cores."""
    crops: CropConfig = field(default_factory=CropConfig)
    engine: EngineChoice = field(default_factory=EngineChoice)

    def __post_init__(self) -> None:
        if self.processes < 0:
            raise ValueError(f"processes: expected at least 1, or 0 to choose, got {self.processes}")
        if not self.videos:
            raise ValueError("videos: expected at least one video file, got none")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewConfig:
    """The `preview` command: a page that shows the stream in a browser on this machine."""

    connect: str = "tcp://127.0.0.1:5580"
    """ZeroMQ endpoint of the daemon."""
    port: int = 5581
    """Port of 127.0.0.1 for the page and for /metrics; 0 lets the system choose."""
    keys: Path | None = None
    """This client's key file, made by `catchlight keys`, for a daemon that asks for keys."""
    end_with: int | None = None
    """End when the process of this number ends, besides on a signal."""
    key_on_stdin: bool = False
    """Read the key that the page's address ends with from standard input, where no other account sees it; empty: none.
    Otherwise one is made where the daemon asks for keys or is connected to over ipc."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorConfig:
    """The `doctor` command: what this machine can do."""

    source: str | None = None
    """Look at this camera, file or stream only; None: every camera that is found, and "demo"."""
    seconds: float = 1.0
    """How long to measure each camera's frame rate, in each mode."""

    def __post_init__(self) -> None:
        _check_above_zero("seconds", self.seconds, "1 is enough for most cameras")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeysConfig:
    """The `keys` command: make keys for a stream that leaves this machine."""

    folder: Path = Path("keys")
    """The daemon's keys and its list of clients, for `catchlight run --keys`; made when there are none yet."""
    client: str | None = None
    """Make a key for this client too, and let it in: letters, digits, - and _."""
    file: Path | None = None
    """Where the client's key file goes; None: CLIENT.json here."""


def _check_above_zero(name: str, value: float | None, advice: str) -> None:
    """Raise ValueError for a number that is not above 0; None is none."""
    if value is not None and not value > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value}; {advice}")
