"""The daemon: opens the parts, runs a session, leaves a report.

Three threads work: one captures, one finds the eyes, and the main one enhances and sends. Finding the eyes of a frame
beside enhancing the one before gained frames where the windows are large, and cost nothing where they are small: on two
cores and a face of 117 px between the eyes, interleaved runs gave 24.7 and 21.5 frames a second against 16.7 and 19.5.
"""

import logging
import math
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from skimage.data import astronaut

from engines import BicubicEngine, EngineError
from realtime import report
from realtime.bypass import Bypass
from realtime.camera import Camera, open_camera
from realtime.config import Config
from realtime.crops import Cropper
from realtime.display import Display
from realtime.errors import RealtimeError, SinkEnded
from realtime.frames import Frame
from realtime.landmarks import FaceMesh
from realtime.metrics import Metrics
from realtime.publisher import Publisher
from realtime.session import Parts, Session
from realtime.signals import Stop, stopping
from realtime.sinks import Outlet, build_outlets
from realtime.tiers import Tiers
from realtime.videofile import VideoFile
from realtime.wire import fitting

_WARM_UP_S = 1.5
"""What the start may spend on the engine's first work; the face mesh takes longer to load."""

_log = logging.getLogger(__name__)


def run(config: Config) -> int:
    """Stream until the source ends, config.seconds have passed or a signal comes; returns the exit code.

    Writes config.report in any case. Raises CameraError, EngineError and StreamError, SinkEnded at the end when a
    sink ended before the stream did, and ValueError for a configuration that nothing can be done with.
    """
    if config.report is not None:
        _check_can_write(config.report)
    _log.info("configuration: %s", report.configuration(config))
    metrics, facts = Metrics(), dict[str, Any](began_ns=_process_began_ns())
    outlets: tuple[Outlet, ...] = ()
    consent = config.publisher.i_consent_to_sending_my_face_in_clear
    try:
        outlets = build_outlets(config.sink, consent=consent)
        with stopping() as stop:
            _stream(config, outlets, metrics, facts, stop)
        _check_sinks(outlets)
        facts["outcome"] = "stopped" if stop else "ended"
        return stop.exit_code
    except Exception as err:
        facts["outcome"] = f"{type(err).__name__}: {err}"
        raise
    finally:
        _warn_of_dropped(outlets)
        facts["sinks"] = [outlet.status() for outlet in outlets]
        facts["threads_left"] = threading.active_count() - 1
        if config.report is not None:
            _write_report(config.report, report.build(config, metrics, facts))


def _stream(config: Config, outlets: tuple[Outlet, ...], metrics: Metrics, facts: dict[str, Any], stop: Stop) -> None:
    with ExitStack() as stack:
        try:
            parts = _open_parts(config, outlets, stack)
        except (RealtimeError, EngineError):
            if stop:  # whoever asked for the end does not mind what would have been missing
                return
            raise
        if stop:
            return
        engine, camera = parts.engine, parts.camera
        facts |= {"source": camera.name, "frame_size": [camera.width, camera.height], "source_fps": camera.fps}
        facts |= {"engine": engine.name, "tier": engine.tier, "model_sha256": engine.sha256}
        facts |= {"passed_over": list(engine.passed_over)}
        if parts.tiers is not None:
            facts |= parts.tiers.facts
        length = camera.length if isinstance(camera, VideoFile) else None
        display = stack.enter_context(Display(total=length if config.camera.as_fast_as_possible else None))
        for reason in engine.passed_over:
            display.say(f"passed over {reason}")
        if facts.get("tier_passed_over"):
            display.say(facts["tier_passed_over"])
        display.say(
            f"{camera.name} {camera.width}x{camera.height} at {camera.fps:g} fps -> {engine.name}, tier {engine.tier} "
            f"-> {parts.publisher.endpoint}"
        )
        if config.preview is not None:
            from realtime.preview import beside  # what it needs stays out of a daemon without it

            display.say(f"preview: {stack.enter_context(beside(config.preview, parts.publisher.endpoint))}")
        for outlet in outlets:  # last: none binds what the publisher wants, or begins a recording of nothing
            stack.enter_context(outlet)
        session = Session(config, parts, metrics, display, stop)
        try:
            session.stream()
        finally:
            facts |= {"engine": engine.name, "tier": engine.tier, "passed_over": list(engine.passed_over)}
            facts |= session.use()


def _warn_of_dropped(outlets: tuple[Outlet, ...]) -> None:
    for outlet in outlets:
        if outlet.dropped:
            put = outlet.dropped + outlet.sent
            why = outlet.reason or "it was too slow"
            _log.warning("sink %s: %d of %d frames were dropped: %s", outlet.name, outlet.dropped, put, why)


def _check_sinks(outlets: tuple[Outlet, ...]) -> None:
    for outlet in outlets:
        if outlet.state == "ended":
            raise SinkEnded(f"sink {outlet.name}: {outlet.reason}")


def _open_parts(config: Config, outlets: tuple[Outlet, ...], stack: ExitStack) -> Parts:
    """Open everything; what takes long at the same time, each in a thread of its own."""
    publisher = stack.enter_context(Publisher(config.publisher))
    with ThreadPoolExecutor(3, "open") as pool:
        opening_camera = pool.submit(open_camera, config.camera)
        opening_mesh = pool.submit(FaceMesh().__enter__)
        opening_tiers = pool.submit(_open_engine, config, opening_camera, opening_mesh)
    for opening in (opening_camera, opening_mesh):
        if opening.exception() is None:
            stack.push(opening.result())
    if opening_tiers.exception() is None:
        stack.push(opening_tiers.result().engine)
    camera, tiers = opening_camera.result(), opening_tiers.result()
    engine = tiers.engine
    never = config.engine.bypass == "never"
    return Parts(
        camera=camera,
        face_mesh=opening_mesh.result(),
        cropper=Cropper(fitting(config.crops, engine.scale), frames=engine.frames),
        engine=engine,
        tiers=tiers,
        bypass=None if never else Bypass(BicubicEngine(scale=engine.scale, frames=engine.frames)),
        publisher=publisher,
        outlets=outlets,
    )


def _open_engine(config: Config, camera: Future[Camera], face_mesh: Future[FaceMesh]) -> Tiers:
    """The engine, after its first work on the window sizes, so that the stream does not wait while it compiles one.

    The smallest first, for they come most, until the time is up: some engines take a second for a size.
    """
    portrait = Frame(seq=0, captured_ns=0, captured_utc_ns=0, ts_source="portrait", image=astronaut()[:480, :, ::-1])
    tiers = Tiers(config.engine, fps=lambda: camera.result().fps, load=lambda: face_mesh.result()(portrait))
    engine = tiers.engine
    until_s = time.monotonic() + _WARM_UP_S
    try:
        crops = fitting(config.crops, engine.scale)
        shapes = [(2, height, width) for width, height in crops.ladder]
        shapes += [(1, height, width) for width, height in crops.face_ladder] if crops.face else []
        for shape in sorted(shapes, key=math.prod):
            if time.monotonic() > until_s:
                break
            engine(np.zeros((*shape, 3 * engine.frames), np.uint8))
    except BaseException:
        engine.close()
        raise
    return tiers


def _process_began_ns() -> int:
    """When this process was started, on the monotonic clock."""
    return time.monotonic_ns() - max(0, time.time_ns() - int(psutil.Process().create_time() * 1e9))


def _check_can_write(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
        raise ValueError(f"report {path}: expected a file in a folder that can be written; choose another path")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(
            f"report {path}: expected a file, which is replaced, or nothing there, got a folder, device or link; "
            "choose another path"
        )


def _write_report(path: Path, document: dict[str, Any]) -> None:
    try:
        report.write(path, document)
    except OSError as err:
        raise RealtimeError(f"report {path}: cannot be written: {err.strerror}; free some space") from err
