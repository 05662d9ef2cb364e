"""One run over parts that are open: frames through the chain to the publisher, and once a second how it goes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Any

import psutil

from engines import Engine
from realtime.ahead import ahead
from realtime.bypass import Bypass, iris_px
from realtime.camera import Camera, capturing
from realtime.config import Config
from realtime.display import Display
from realtime.frames import Crops, Enhanced, Frame, Landmarks
from realtime.metrics import LastSecond, Metrics
from realtime.pipeline import Located, locate, sharpen
from realtime.publisher import Publisher
from realtime.signals import Stop
from realtime.sinks import Outlet, Sent
from realtime.slot import LatestSlot, SlotClosed
from realtime.tiers import Tiers
from realtime.watchdog import State
from realtime.wire import encode, encode_status

_LOOK_S = 0.2
"""How long a wait for a frame lasts before the signals, the clock and the status are looked at."""
_STATUS_S = 1.0
_FEW = 3
"""So many frames may be dropped in a second before it is said: a busy moment is no overload."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a run needs, open."""

    camera: Camera
    face_mesh: Callable[[Frame], Landmarks | None]
    cropper: Callable[[Frame, Landmarks | None], Crops]
    engine: Engine
    tiers: Tiers | None
    bypass: Bypass | None
    publisher: Publisher
    outlets: tuple[Outlet, ...] = ()
    encode: Callable[..., bytearray] = encode


class Session:
    """Streams until the source ends, the time is up or a signal came; counts into metrics."""

    def __init__(self, config: Config, parts: Parts, metrics: Metrics, display: Display, stop: Stop) -> None:
        self._config, self._parts, self.metrics = config, parts, metrics
        self._display, self._stop = display, stop
        self._last_second = LastSecond()
        self._status_due_s = self._ends_s = 0.0
        self._newest: Enhanced | None = None
        self._told_state: State = "ok"
        self._dropped = self._dropped_lately = 0
        self._process = psutil.Process()
        self._began_s, self._cpu_before_s = monotonic(), _cpu_s(self._process)
        self._rss_mb: list[float] = []

    def stream(self) -> None:
        """Run to the end. Raises what the parts raise: CameraLost, EngineError, StreamError."""
        self._status_due_s = monotonic()
        self._ends_s = self._status_due_s + (self._config.seconds or float("inf"))
        self._process.cpu_percent()
        parts = self._parts
        for enhanced in sharpen(self._located(), parts.engine, parts.bypass):
            self._send(enhanced)
            self._look()
            if parts.tiers is not None:
                parts.tiers.observe(enhanced)

    def _located(self) -> Iterator[Located]:
        """Every frame as soon as the chain is ready for it; or the newest, at the camera's own pace.

        The camera and the first half of the chain then have a thread each: see pipeline.py.
        """
        camera, face_mesh, cropper = self._parts.camera, self._parts.face_mesh, self._parts.cropper
        if self._config.camera.as_fast_as_possible:
            yield from locate(self._every_frame(), face_mesh, cropper)
            return
        frames, located = LatestSlot[Frame](), LatestSlot[Located]()
        # Left in the reverse order: the camera's end is what ends the thread that finds the eyes.
        with ahead(locate(frames, face_mesh, cropper), located), capturing(camera, frames):
            while not self._over():
                try:
                    newest = located.get(_LOOK_S)
                except TimeoutError:
                    self._look()
                except SlotClosed:
                    return
                else:
                    yield newest

    def _every_frame(self) -> Iterator[Frame]:
        while not self._over() and (frame := self._parts.camera.read()) is not None:
            yield frame

    def _over(self) -> bool:
        return bool(self._stop) or monotonic() >= self._ends_s

    def _send(self, enhanced: Enhanced) -> None:
        dropped = enhanced.crops.frame.number - self.metrics.published
        marks = self._marks(enhanced)
        if "camera_gap" not in marks:
            self._dropped_lately += dropped - self._dropped
        self._dropped = dropped
        topics = ("eyes", "face") if self._config.crops.face else ("eyes",)
        publisher = self._parts.publisher
        messages = [
            self._parts.encode(enhanced, topic=topic, stream=publisher.stream, dropped=dropped, marks=marks)
            for topic in topics
        ]
        encoded_ns = monotonic_ns()
        for message in messages:
            publisher.send(message)
        sent_ns = monotonic_ns()
        self._last_second.add(self.metrics.add(enhanced, {"encode": encoded_ns, "send": sent_ns}))
        for outlet in self._parts.outlets:
            self._wait_for_room(outlet)
            outlet.put(Sent(enhanced=enhanced, messages=tuple(messages)))
        self._newest = enhanced

    def _wait_for_room(self, outlet: Outlet) -> None:
        """Where every frame is worked off, a sink that keeps every frame sets the pace."""
        if self._config.camera.as_fast_as_possible:
            while not outlet.wait_for_room(_LOOK_S) and not self._stop:
                self._look()

    def _marks(self, enhanced: Enhanced) -> tuple[str, ...]:
        """What is unusual about this frame; WIRE.md lists the words."""
        state, before = self._parts.camera.state, self._newest
        facts = {
            "camera_gap": before is not None and before.crops.frame.gaps != enhanced.crops.frame.gaps,
            f"camera_{state}": state in ("black", "slow"),  # in the other states it gives no frame
            "engine_changed": before is not None and (before.engine, before.tier) != (enhanced.engine, enhanced.tier),
        }
        return tuple(mark for mark, holds in facts.items() if holds)

    def _look(self) -> None:
        """Say on `status` and the terminal how it goes: once a second, and at once when the camera fails or is back."""
        state = self._parts.camera.state
        if monotonic() < self._status_due_s and state == self._told_state:
            return
        self._told_state = state
        self._status_due_s = monotonic() + _STATUS_S
        if len(self._rss_mb) <= (monotonic() - self._began_s) / 60:
            self._rss_mb.append(_rss_mb(self._process))
        status = self.status()
        self._parts.publisher.send(encode_status(status, stream=self._parts.publisher.stream))
        p95, state = status["latency_ms"]["p95"], status["camera"]["state"]
        line = (
            f"{status['fps']:.1f} fps",
            "no frame" if p95 is None else f"p95 {p95:.1f} ms",
            f"{status['dropped']} dropped",
            f"{status['engine']} {status['tier']}",
            *([] if state == "ok" else [f"camera {state}"]),
            *(_sink_in_words(sink) for sink in status["sinks"] if sink["state"] != "open" or sink["dropped"]),
            *status["hints"],
        )
        self._display.update(", ".join(line), self.metrics.published)

    def status(self) -> dict[str, Any]:
        """What the `status` topic says, as WIRE.md lists; rate and durations are of the time since the last call."""
        dropped_lately, self._dropped_lately = self._dropped_lately, 0
        parts, newest, metrics = self._parts, self._newest, self.metrics
        camera, engine = parts.camera, parts.engine
        landmarks = None if newest is None else newest.crops.landmarks
        return {
            **self._last_second.take(),
            "captured": metrics.frames_captured,
            "published": metrics.published,
            "dropped": metrics.frames_captured - metrics.published,
            "faces_found": metrics.faces_found,
            "engine": engine.name if newest is None else newest.engine,
            "tier": engine.tier if newest is None else newest.tier,
            "passed_over": [reason[:1000] for reason in engine.passed_over[-8:]],
            "camera": {
                "name": camera.name,
                "state": camera.state,
                "width": camera.width,
                "height": camera.height,
                "fps": camera.fps,
            },
            "iris_px": None if landmarks is None else round(iris_px(landmarks), 2),
            "hints": self._hints(landmarks, dropped_lately),
            "sinks": [outlet.status() for outlet in parts.outlets],
            "cpu_percent": self._process.cpu_percent(),
            "rss_mb": _rss_mb(self._process),
        }

    def _hints(self, landmarks: Landmarks | None, dropped: int) -> list[str]:
        """For the person in front of the camera."""
        bypass, tiers = self._parts.bypass, self._parts.tiers
        hints = (
            "no face" if landmarks is None else bypass and bypass.reason,
            tiers and tiers.reason,
            self._parts.engine.building,
            dropped > _FEW and f"more frames than this machine holds: {dropped} dropped in the last second",
        )
        return [hint for hint in hints if hint]

    def use(self) -> dict[str, Any]:
        """What the run took: wall time, share of one core, memory now and at the start of every minute."""
        wall_s = monotonic() - self._began_s
        return {
            "wall_s": round(wall_s, 3),
            "cpu_share": round((_cpu_s(self._process) - self._cpu_before_s) / wall_s, 3),
            "rss_mb": _rss_mb(self._process),
            "rss_mb_by_minute": self._rss_mb,
        }


def _sink_in_words(sink: dict[str, Any]) -> str:
    dropped = f" {sink['dropped']} dropped" if sink["dropped"] else ""
    return f"sink {sink['name']} {sink['state']}{dropped}"


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rss_mb(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 1e6, 1)
