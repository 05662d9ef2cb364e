"""One run over parts that are open: frames through the chain to the publisher, and once a second how it goes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Any, Literal

import psutil

from engines import Engine
from realtime.bypass import Bypass, iris_px
from realtime.camera import Camera, capturing
from realtime.config import Config
from realtime.display import Display
from realtime.frames import Crops, Enhanced, Frame, Landmarks
from realtime.metrics import LastSecond, Metrics
from realtime.pipeline import enhance
from realtime.publisher import Publisher
from realtime.signals import Stop
from realtime.slot import LatestSlot, SlotClosed
from realtime.wire import encode, encode_status

_LOOK_S = 0.2
"""How long a wait for a frame lasts before the signals, the clock and the status are looked at."""
_STATUS_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a run needs, open."""

    camera: Camera
    face_mesh: Callable[[Frame], Landmarks | None]
    cropper: Callable[[Frame, Landmarks | None], Crops]
    engine: Engine
    bypass: Bypass | None
    publisher: Publisher


class Session:
    """Streams until the source ends, the time is up or a signal came; counts into metrics."""

    def __init__(self, config: Config, parts: Parts, metrics: Metrics, display: Display, stop: Stop) -> None:
        self._config, self._parts, self._metrics = config, parts, metrics
        self._display, self._stop = display, stop
        self._last_second = LastSecond()
        self._status_due_s = self._ends_s = 0.0
        self._newest: Enhanced | None = None
        self._process = psutil.Process()
        self._began_s, self._cpu_before_s = monotonic(), _cpu_s(self._process)
        self._rss_mb: list[float] = []

    def stream(self) -> None:
        """Run to the end. Raises what the parts raise: CameraLost, EngineError, StreamError."""
        self._status_due_s = monotonic()
        self._ends_s = self._status_due_s + (self._config.seconds or float("inf"))
        self._process.cpu_percent()
        parts = self._parts
        for enhanced in enhance(self._frames(), parts.face_mesh, parts.cropper, parts.engine, parts.bypass):
            self._send(enhanced)
            self._tell()

    def _frames(self) -> Iterator[Frame]:
        """Every frame as soon as the chain is ready for it, or the newest at the camera's own pace."""
        camera = self._parts.camera
        if self._config.camera.as_fast_as_possible:
            while not self._over() and (frame := camera.read()) is not None:
                yield frame
            return
        slot = LatestSlot[Frame]()
        with capturing(camera, slot):
            while not self._over():
                try:
                    frame = slot.get(_LOOK_S)
                except TimeoutError:
                    self._tell()
                except SlotClosed:
                    return
                else:
                    yield frame

    def _over(self) -> bool:
        return bool(self._stop) or monotonic() >= self._ends_s

    def _send(self, enhanced: Enhanced) -> None:
        dropped = enhanced.crops.frame.seq - self._metrics.published
        state = self._parts.camera.state
        marks = () if state == "ok" else (state,)
        topics: tuple[Literal["eyes", "face"], ...] = ("eyes", "face") if self._config.crops.face else ("eyes",)
        publisher = self._parts.publisher
        messages = [
            encode(enhanced, topic=topic, stream=publisher.stream, dropped=dropped, marks=marks) for topic in topics
        ]
        encoded_ns = monotonic_ns()
        for message in messages:
            publisher.send(message)
        sent_ns = monotonic_ns()
        self._metrics.add(enhanced, {"encode": encoded_ns, "send": sent_ns})
        self._last_second.add(sent_ns - enhanced.crops.frame.captured_ns)
        self._newest = enhanced

    def _tell(self) -> None:
        """Once a second, say how it goes: on the `status` topic and on the terminal."""
        if monotonic() < self._status_due_s:
            return
        self._status_due_s = monotonic() + _STATUS_S
        if len(self._rss_mb) <= (monotonic() - self._began_s) / 60:
            self._rss_mb.append(_rss_mb(self._process))
        status = self.status()
        self._parts.publisher.send(encode_status(status, stream=self._parts.publisher.stream))
        latency = status["latency_p95_ms"]
        self._display.update(
            f"{status['fps']:.1f} fps, p95 {'-' if latency is None else format(latency, '.1f')} ms, "
            f"{status['frames_dropped']} dropped, {status['engine']} {status['tier']}, "
            f"{status['source']} {status['camera_state']}"
            + ("" if status["face_found"] else ", no face")
            + (f", bypassed: {status['bypass']}" if status["bypass"] else ""),
            self._metrics.published,
        )

    def status(self) -> dict[str, Any]:
        """What the `status` topic says; rates and latencies are of the time since the last call."""
        parts, newest, metrics = self._parts, self._newest, self._metrics
        fps, latency = self._last_second.take()
        landmarks = None if newest is None else newest.crops.landmarks
        return {
            "source": parts.camera.name,
            "camera_state": parts.camera.state,
            "frame_size": [parts.camera.width, parts.camera.height],
            "fps": round(fps, 2),
            "latency_p50_ms": latency["p50"],
            "latency_p95_ms": latency["p95"],
            "frames_captured": metrics.frames_captured,
            "frames_published": metrics.published,
            "frames_dropped": metrics.frames_captured - metrics.published,
            "faces_found": metrics.faces_found,
            "face_found": landmarks is not None,
            "iris_px": None if landmarks is None else round(iris_px(landmarks), 2),
            "engine": parts.engine.name if newest is None else newest.engine,
            "tier": parts.engine.tier if newest is None else newest.tier,
            "bypass": None if parts.bypass is None else parts.bypass.reason,
            "cpu_percent": self._process.cpu_percent(),
            "rss_mb": _rss_mb(self._process),
        }

    def use(self) -> dict[str, Any]:
        """What the run took: wall time, share of one core, memory now and at the start of every minute."""
        wall_s = monotonic() - self._began_s
        return {
            "wall_s": round(wall_s, 3),
            "cpu_share": round((_cpu_s(self._process) - self._cpu_before_s) / wall_s, 3),
            "rss_mb": _rss_mb(self._process),
            "rss_mb_by_minute": self._rss_mb,
        }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rss_mb(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 1e6, 1)
