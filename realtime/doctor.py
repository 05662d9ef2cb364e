"""The `doctor` command: what this machine can do, and what to do about what it cannot."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

import numpy as np
import zmq
from rich.console import Console
from rich.table import Table

from engines import CheckpointError, EngineError, load_checkpoint, load_engine, shipped_tiers
from realtime.bypass import SMALLEST_IRIS_PX, iris_px
from realtime.camera import Camera, capturing, open_camera
from realtime.config import CameraConfig, DoctorConfig
from realtime.errors import CameraError
from realtime.frames import Frame
from realtime.landmarks import FaceMesh
from realtime.report import machine, versions
from realtime.slot import LatestSlot, SlotClosed
from realtime.source import shown
from realtime.watchdog import SILENCE_S, State
from realtime.webcam import device_numbers

MODES = ((640, 480), (1280, 720), (1920, 1080))
GOOD_IRIS_PX = 10.0
"""Iris diameter from which a tracker has something to work with: about 54 px between the eyes."""
ENGINES = ("tensorrt", "cuda", "native", "openvino", "eager")
TROUBLE: dict[State, str] = {
    "lost": "lost: it gives no frame; is it plugged in well, and not in use by another program?",
    "frozen": "frozen: the same image over and over; plug it in again",
    "unsteady": "unsteady: frames of changing size; plug it in again",
    "black": "black: is its lens covered?",
}
_GRACE_S = 2 * SILENCE_S
"""How much longer a camera may take for its first frame."""
_NO_SOURCE, _NO_ENGINE = 3, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """What a source really gave when it was asked for a size."""

    asked: tuple[int, int]
    got: tuple[int, int]
    fps: float
    iris_px: float | None
    """Mean diameter over the frames with a face; None when no face was seen."""
    state: State
    """The camera's, at the end."""


def examine(config: DoctorConfig) -> int:
    """Print what is found; returns 0, 3 when the source that was asked for cannot be used, or 4 when no engine runs."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(_machine(), markup=False)
    with FaceMesh() as face_mesh:
        usable = [_show_source(source, config.seconds, face_mesh, console) for source in _sources(config)]
    _show_tiers(console)
    engine_runs = _show_engines(console)
    if config.source is not None and not all(usable):
        return _NO_SOURCE
    return 0 if engine_runs else _NO_ENGINE


def _machine() -> str:
    facts = machine()
    found = versions() | {"libzmq": zmq.zmq_version()}
    libraries = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}\n{libraries}"


def _sources(config: DoctorConfig) -> list[str]:
    if config.source is not None:
        return [config.source]
    return [*map(str, device_numbers()), "demo"]


def measure(source: str, seconds: float, face_mesh: FaceMesh) -> Iterator[Mode]:
    """Play the source for some seconds in each size that it really gives. Raises CameraError."""
    seen = set()
    for asked in MODES:
        with open_camera(CameraConfig(source=source, width=asked[0], height=asked[1])) as camera:
            got = (camera.width, camera.height)
            if got in seen:
                continue
            seen.add(got)
            yield look(camera, asked, seconds, face_mesh)


def look(camera: Camera, asked: tuple[int, int], seconds: float, face_mesh: FaceMesh) -> Mode:
    """Play an open camera for some seconds, and a moment longer only when it gave nothing. Raises CameraError.

    The camera has a thread of its own: a read waits for a good frame however long.
    """
    first: Frame | None = None
    last: Frame | None = None
    irises = list[float]()
    began_s = monotonic()
    with capturing(camera, frames := LatestSlot[Frame]()):
        while (left_s := began_s + seconds + (_GRACE_S if last is None else 0) - monotonic()) > 0:
            try:
                frame = frames.get(left_s)
            except (TimeoutError, SlotClosed):
                break
            first, last = first or frame, frame
            landmarks = face_mesh(frame)
            irises += [] if landmarks is None else [iris_px(landmarks)]
        state = camera.state
    return Mode(
        asked=asked,
        got=(camera.width, camera.height),
        fps=_rate(first, last) if first and last else 0.0,
        iris_px=float(np.mean(irises)) if irises else None,
        state=state,
    )


def _rate(first: Frame, last: Frame) -> float:
    """Frames a second that the camera gave, from the first to the last; 0 for one only."""
    took_s = (last.captured_ns - first.captured_ns) / 1e9
    return (last.number - first.number) / took_s if took_s else 0.0


def advice(iris: float | None, state: State = "ok") -> str:
    """What a person should do about a camera in this state, or about the size of the iris, in camera pixels."""
    if state in TROUBLE:
        return TROUBLE[state]
    if iris is None:
        return "no face seen"
    if iris < GOOD_IRIS_PX:
        bypassed = "; below this size bicubic is sent" if iris < SMALLEST_IRIS_PX else ""
        return (
            f"iris {iris:.1f} px: move closer or use a larger mode, {GOOD_IRIS_PX:g} px serve a tracker well{bypassed}"
        )
    return f"iris {iris:.1f} px: good"


def _show_source(source: str, seconds: float, face_mesh: FaceMesh, console: Console) -> bool:
    """A line for each mode, and why it cannot be used if so. Whether it can."""
    usable = True
    table = Table("asked", "got", "frames/s", "eyes", title=f"source {shown(source)}", title_justify="left")
    try:
        for mode in measure(source, seconds, face_mesh):
            sizes = (f"{width}x{height}" for width, height in (mode.asked, mode.got))
            table.add_row(*sizes, f"{mode.fps:.1f}", advice(mode.iris_px, mode.state))
    except CameraError as err:
        usable = False
        console.print(str(err), markup=False)
    if table.row_count:
        console.print(table)
    return usable


def _show_tiers(console: Console) -> None:
    table = Table("tier", "scale", "frames", "parameters", "scores", "gate", title="tiers", title_justify="left")
    for name in shipped_tiers():
        try:
            checkpoint = load_checkpoint(name)
        except CheckpointError as err:
            console.print(str(err), markup=False)
            continue
        config, record = checkpoint.config, checkpoint.record
        parameters = sum(tensor.size for tensor in checkpoint.tensors.values())
        table.add_row(
            name,
            f"x{config.scale}",
            str(config.frames),
            f"{parameters:,}",
            scores_in_brief(record),
            gate_in_brief(record, checkpoint.sha256),
        )
    if table.row_count:
        console.print(table)
    else:
        console.print("no tiers are shipped: only --tier PATH and --engine bicubic work")


def scores_in_brief(record: Mapping[str, Any]) -> str:
    """From a weight's record: RGB PSNR over bicubic's in each condition that was scored."""
    try:
        gains = {c: m["tier"]["psnr_rgb"] - m["bicubic"]["psnr_rgb"] for c, m in record["scores"].items()}
    except (KeyError, TypeError, AttributeError):
        return "not recorded"
    return ", ".join(f"{condition} {gain:+.2f} dB" for condition, gain in gains.items())


def gate_in_brief(record: Mapping[str, Any], sha256: str) -> str:
    """From a weight's record: the gate's verdict on the weights of this digest, and the rules that they break."""
    try:
        verdict = record["gate"]
        if verdict["sha256"] != sha256:
            return "of other weights: python -m train gate --write"
        if verdict["passed"]:
            return f"passed, {verdict['faces']} faces"
        return "\n".join([f"FAILED, {verdict['faces']} faces:", *verdict["failed"]])
    except (KeyError, TypeError):
        return "not recorded"


def _show_engines(console: Console) -> bool:
    """A line for each engine: the time that both eyes take, or why it does not run. Whether any runs."""
    runs = False
    for name in ENGINES:
        try:
            with closing(load_engine(name, "default")) as engine:
                both_eyes = np.zeros((2, 48, 64, 3 * engine.frames), np.uint8)
                engine(both_eyes)
                started = perf_counter()
                engine(both_eyes)
                took_ms = (perf_counter() - started) * 1e3
        except EngineError as err:
            console.print(f"engine {err}" if str(err).startswith(name) else f"engine {name}: {err}", markup=False)
        else:
            runs = True
            console.print(
                f"engine {name}: runs, tier {engine.tier}, both eyes 2x48x64 in {took_ms:.1f} ms", markup=False
            )
    return runs
