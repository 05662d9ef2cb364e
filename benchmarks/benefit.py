"""What a gaze tracker gains from enhanced eyes, in degrees and in per cent.

Sharp faces are photographed by a test camera, small and noisy; the daemon's windows around the eyes are enhanced and
put where a tracker looks. Then four consumers, each a thing that trackers do, answer on that picture, and again on the
undegraded face at the same resolution: a gaze network (gaze-estimation-adas-0002), two localisers of the pupil's
centre (means of gradients, and MediaPipe's iris), the rim of the iris, and its colour. Beside it: how much the answers
tremble on a face that stands still. Every difference comes with a bootstrap interval over faces.

Faces: FOLDER/val.json, a list of {"file", "pupil_px", "iris_rim_px"} (labels in pixels of the file; what is missing is
read off the sharp face). A temporal tier sees a face that moves by half a pixel a frame; still faces are given beside,
and how far it lags behind a jump of the eye and how much of an eye it shows after its lid closed or opened. Last, the
eyes are turned to known points, and a tracker is calibrated on some of them and asked for the others.

Gaze networks: https://docs.openvino.ai (Open Model Zoo), Apache-2.0.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from document import Document
from errors import in_one_line
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines import DEFAULT_TIER, load_checkpoint, load_engine, shipped_tiers
from realtime.report import machine, versions
from train import checks
from train.benefit.blink import blinks
from train.benefit.bootstrap import median_difference
from train.benefit.calibration import track
from train.benefit.faces import Half, LabelledFace, Mesh, face_mesh, load_faces
from train.benefit.gaze import GazeNetwork
from train.benefit.iris import Irises
from train.benefit.method import Method, bicubic_method, engine_method, peer_methods, plain_methods
from train.benefit.pupil import GradientPupils, MeshPupils
from train.benefit.recording import own_size, recorded_scenes, steps
from train.benefit.saccade import lag_after_jump
from train.benefit.steadiness import stand_still
from train.benefit.study import SIZES_PX, Consumer, Study, conduct
from train.benefit.summary import BASELINES, rows
from train.conditions import CONDITIONS

CLIP_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".gif")
CLIPS_PX = (45, 80)
"""Recordings are made small to these pixels between the eyes, which removes noise; smaller ones stay as they are."""
STEADY_PX = 45
"""Pixels between the eyes of faces that stand still or look about; too small ones are left out."""
QUICK_FACES = 5
SCALE = 2
"""Of the truth, and of the tiers that are measured."""
LISTS = {
    "gaze_drift_deg": ("gaze_drift_deg",),
    "pupil_error": tuple(
        f"pupil_{localiser}_{kind}" for localiser in ("gradients", "mesh") for kind in ("error", "calibrated", "drift")
    ),
    "tracked": ("gaze_tracked_deg", "pupil_gradients_tracked_deg"),
    "iris": ("iris_radius_error", "iris_radius_drift", "limbus_sharpness", "iris_lab"),
    "quality": ("psnr_rgb", "psnr_y", "ssim"),
    "steadiness": ("gaze_std_deg", "pupil_gradients_std", "iris_lab_std", "iris_radius_std"),
}
"""The document's lists, and the quantities in each."""
TABLES = {
    "gaze_drift_deg": "Gaze drift, degrees",
    "pupil_gradients_drift": "Pupil by gradients: drift, % of the interocular distance",
    "pupil_mesh_drift": "Pupil by MediaPipe: drift, % of the interocular distance",
    "gaze_tracked_deg": "Error of a tracker that calibrates the gaze network, eyes turned by up to 15 degrees",
    "pupil_gradients_tracked_deg": "Error of a tracker that calibrates the pupil by gradients, degrees",
    "limbus_sharpness": "Sharpness of the iris rim, share of the undegraded face's",
    "iris_lab": "Iris colour: distance in CIE Lab",
    "psnr_rgb": "PSNR of the eyes, dB",
    "gaze_std_deg": "Gaze of a still face: standard deviation, degrees",
}


@dataclass(frozen=True, kw_only=True)
class BenefitConfig:
    """Measure what a gaze tracker gains."""

    faces: Path
    """Folder with val.json and the faces that it names."""
    gaze_model: Path | None = None
    """Folder with gaze-estimation-adas-0002 and head-pose-estimation-adas-0001 (.xml, .bin); none: no gaze."""
    quick: bool = False
    """Few faces, the default tier only: within 45 seconds on two cores."""
    tiers: tuple[str, ...] = ()
    """Names of shipped tiers, or checkpoints' paths; none: all that are shipped for x2."""
    engines: tuple[str, ...] = ("auto",)
    """Engines that run them; others than the first are marked in the method's name."""
    peers: Path | None = None
    """Folder with FSRCNN_x2.pb and ESPCN_x2.pb, for OpenCV's dnn_superres."""
    clips: Path | None = None
    """Folder with recordings of faces, for the jitter from frame to frame."""
    sizes_px: tuple[int, ...] = SIZES_PX
    """Pixels between the eyes; a face counts where it is at least twice as large."""
    half: Half | None = None
    """Only this half of the faces, as the gate's option; none: all."""
    limit: int | None = None
    """This many faces, evenly over the manifest; none: all, or 5 with --quick."""
    seed: int = 0
    json: Path | None = None
    """Write the document here."""
    plots: Path | None = None
    """Write plots (PNG) into this folder."""

    def __post_init__(self) -> None:
        if not self.sizes_px or min(self.sizes_px) < 1:
            raise ValueError(f"sizes_px: expected at least one, from 1 on, got {self.sizes_px}")
        if not self.engines:
            raise ValueError("engines: expected at least one, got none")
        if self.limit is not None:
            checks.at_least(self, 1, "limit")
        checks.at_least(self, 0, "seed")
        if self.clips and not self.gaze_model:
            raise ValueError("clips: expected --gaze-model with it: recordings are measured by the gaze")


def main(config: BenefitConfig) -> dict[str, Any]:
    """Measure, print tables for people, then the document as one line."""
    began = time.monotonic()
    console = Console(width=150, highlight=False)
    if config.plots:
        config.plots.mkdir(parents=True, exist_ok=True)
    with Document(config.json, settings(config)) as document, ExitStack() as stack:
        gaze = GazeNetwork(config.gaze_model) if config.gaze_model else None
        clips = recordings_in(config.clips) if config.clips else []
        methods, tiers = open_methods(config, stack)
        mesh = stack.enter_context(face_mesh())
        faces = load_faces(config.faces, mesh, config.limit or (QUICK_FACES if config.quick else None), config.half)
        check_sizes(faces, config.sizes_px)
        document |= {"tiers": tiers, "faces": [face.name for face in faces], "jumps": [], "blinks": [], "clips": []}
        for study in measured(faces, methods, gaze, mesh, config):
            document.extend(**tabulated(study))
        if not config.quick:
            document.add(**followed(methods))
        if gaze:
            for clip in clips:
                document.extend(clips=recorded(clip, methods, gaze, mesh))
        show(document, console)
        if config.plots:
            from benefit_plots import draw

            for path in draw(document, config.plots):
                console.print(f"wrote {path}")
        document.add(seconds=round(time.monotonic() - began, 1))
    return document


def settings(config: BenefitConfig) -> dict[str, Any]:
    """What the document says of how it was measured; folders and files by their last names."""
    told = {name: value.name if isinstance(value, Path) else str(value) for name, value in asdict(config).items()}
    return {
        "config": told | {"tiers": str(tuple(Path(tier).name for tier in config.tiers))},
        "default_tier": DEFAULT_TIER,
        "conditions": {name: asdict(condition) for name, condition in CONDITIONS.items()},
        "machine": machine(),
        "versions": versions(),
    }


def check_sizes(faces: Sequence[LabelledFace], sizes_px: Sequence[int]) -> None:
    """Raises ValueError when no face is large enough for any of the sizes."""
    most = max(face.interocular_px for face in faces)
    if most < SCALE * min(sizes_px):
        raise ValueError(
            f"sizes_px: expected one of at most {most / SCALE:.0f}, half of what is between the largest face's eyes, "
            f"got {' '.join(map(str, sizes_px))}; give smaller sizes or larger faces"
        )


def open_methods(config: BenefitConfig, stack: ExitStack) -> tuple[list[Method], dict[str, Any]]:
    """The methods, ours last, and what there is to know of our tiers. The default tier is called "default".

    Raises ValueError for a tier of another scale, and for two methods of one name.
    """
    methods = plain_methods() + (peer_methods(config.peers) if config.peers else [])
    known: dict[str, Any] = {}
    shipped = [tier for tier in shipped_tiers() if tier == DEFAULT_TIER or not config.quick]
    chosen = config.tiers or [tier for tier in shipped if load_checkpoint(tier).config.scale == SCALE]
    for tier in sorted(chosen, key=lambda tier: tier != DEFAULT_TIER):
        for name in config.engines:
            engine = stack.enter_context(load_engine(name, tier))
            if engine.scale != SCALE:
                raise ValueError(
                    f"{tier}: expected a tier of scale {SCALE}, got {engine.scale}; give others to --tiers"
                )
            label = "default" if tier in (DEFAULT_TIER, "default") else engine.tier
            label += "" if name == config.engines[0] else f"@{engine.name}"
            if label in {method.name for method in methods}:
                raise ValueError(f"tiers, engines: expected a name of its own for each, got two of {label}; rename one")
            methods.append(engine_method(engine, label))
            known[label] = {
                "tier": engine.tier,
                "engine": engine.name,
                "frames": engine.frames,
                "sha256": engine.sha256,
            }
    if not known:
        print("no tier is shipped and none is named: only raw eyes, interpolation and peers", file=sys.stderr)
    return methods, known


def measured(
    faces: Sequence[LabelledFace],
    methods: Sequence[Method],
    gaze: GazeNetwork | None,
    mesh: Mesh,
    config: BenefitConfig,
) -> Iterator[Study]:
    """Ask all consumers; a study for each size, and each other part. With --quick, MediaPipe is asked at one size in
    one condition only, faces do move, and nobody looks about.
    """
    trackers: list[Consumer] = [*([gaze] if gaze else []), GradientPupils()]
    consumers, mesh_pupils = [*trackers, Irises()], MeshPupils(mesh)
    everywhere = consumers if config.quick else [*consumers, mesh_pupils]
    for size in dict.fromkeys(config.sizes_px):
        yield conduct(
            faces,
            methods,
            everywhere,
            sizes_px=[size],
            still=not config.quick,
            seed=config.seed,
            progress=progress,
        )
    if config.quick:
        once = conduct(
            faces, methods, [mesh_pupils], sizes_px=[45], conditions=["webcam"], still=False, seed=config.seed
        )
        mesh_values = {key: found for key, found in once.values.items() if key.quantity.startswith(mesh_pupils.name)}
        yield replace(once, values=mesh_values)
    large = [face for face in faces if face.interocular_px >= SCALE * STEADY_PX]
    if not config.quick:
        progress("eyes that look about")
        looks = Study(faces=[face.name for face in faces])
        track(looks, large[:: max(1, len(large) // 16)], methods, trackers, interocular_px=STEADY_PX, seed=config.seed)
        yield looks
    count, some = (20, large[:2]) if config.quick else (100, large[:: max(1, len(large) // 8)])
    progress(f"{count} frames of {len(some)} still faces")
    steady = Study(faces=[face.name for face in faces])
    stand_still(steady, some, methods, consumers, count=count, interocular_px=STEADY_PX, seed=config.seed)
    yield steady


def tabulated(study: Study) -> dict[str, Any]:
    """The document's lists: NAME for the moving face, NAME_still for temporal methods on the still one."""
    document: dict[str, Any] = {}
    for name, quantities in LISTS.items():
        for motion, suffix in (("walk", ""), ("still", "_still")):
            found = [{"quantity": quantity, **row} for quantity in quantities for row in rows(study, quantity, motion)]
            document[name + suffix] = found
    document["steadiness"] = document.pop("steadiness_still")
    return document


def followed(methods: Sequence[Method]) -> dict[str, list[dict[str, Any]]]:
    """What temporal methods show of the eye as it was, in the three frames after it jumped or its lid moved."""
    temporal, reference = [method for method in methods if method.frames > 1], bicubic_method(SCALE)
    jumps, lids = [], []
    for method in temporal:
        progress(f"{method.name}: jumps and blinks")
        for condition in CONDITIONS:
            lag = lag_after_jump(method, reference, condition=condition)
            jumps.append({"condition": condition, "method": method.name, "lag": lag.round(4).tolist()})
        lids += [{"method": method.name, **row} for row in blinks(method)]
    return {"jumps": jumps, "blinks": lids}


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder, by name; raises ValueError when there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix in CLIP_SUFFIXES)
    if not found:
        raise ValueError(f"clips: expected recordings ({', '.join(CLIP_SUFFIXES)}) in {folder}, found none")
    return found


def recorded(clip: Path, methods: Sequence[Method], gaze: GazeNetwork, mesh: Mesh) -> list[dict[str, Any]]:
    """Median changes between consecutive frames of a real recording, and their differences from the baselines'."""
    found, own = [], own_size(clip, mesh)
    for size in sorted({min(size, own) for size in CLIPS_PX}):
        progress(f"recording {clip.name}, {size:.0f} px")
        scenes = recorded_scenes(clip, size / own, mesh, max(method.frames for method in methods))
        taken = {method.name: steps(scenes, method, gaze) for method in methods}
        about = {"clip": clip.name, "frames": len(scenes), "interocular_px": round(size, 1)}
        found += [about | {"method": name} | compared(taken, name) for name in taken]
    return found


def compared(taken: dict[str, dict[str, NDArray[np.float64]]], method: str) -> dict[str, Any]:
    """A method's median steps, and minus_BASELINE: the difference of the medians with its interval."""
    row: dict[str, Any] = {quantity: round(float(np.nanmedian(s)), 5) for quantity, s in taken[method].items()}
    for baseline in BASELINES:
        if baseline != method:
            row[f"minus_{baseline}"] = {}
            for quantity, ours in taken[method].items():
                difference, low, high = (round(x, 5) for x in median_difference(ours, taken[baseline][quantity]))
                row[f"minus_{baseline}"][quantity] = {"difference": difference, "ci95": [low, high]}
    return row


def show(document: dict[str, Any], console: Console) -> None:
    """Tables for people."""
    every = [row for name in LISTS for row in document[name]]
    console.print(f"{len(document['faces'])} faces; means; a temporal tier sees a moving face")
    for quantity, title in TABLES.items():
        chosen = [row for row in every if row["quantity"] == quantity and row["mean"] is not None]
        show_table(title, chosen, console, factor=100 if "%" in title else 1)
    show_followed("Behind a jump of the eye, % of it", document["jumps"], "lag", console)
    show_followed("Left of the eye before a blink, %", document["blinks"], "ghost", console)


def show_table(title: str, chosen: list[dict[str, Any]], console: Console, factor: float = 1) -> None:
    """One quantity: a line for each condition and size, a column for each method."""
    if not chosen:
        return
    methods = list(dict.fromkeys(row["method"] for row in chosen))
    table = Table("condition", "px", "n", *methods, title=title, title_justify="left")
    for condition, size in dict.fromkeys((row["condition"], row["interocular_px"]) for row in chosen):
        line = {row["method"]: row for row in chosen if (row["condition"], row["interocular_px"]) == (condition, size)}
        cells = [f"{factor * line[method]['mean']:.2f}" if method in line else "" for method in methods]
        table.add_row(condition, str(size), str(next(iter(line.values()))["n"]), *cells)
    console.print(table)


def show_followed(title: str, found: list[dict[str, Any]], share: str, console: Console) -> None:
    """A line for each condition and movement, and in it each method's first three frames after that."""
    if not found:
        return
    methods = list(dict.fromkeys(row["method"] for row in found))
    table = Table("condition", "lid", *methods, title=title, title_justify="left")
    for place in dict.fromkeys((row["condition"], row.get("lid", "")) for row in found):
        shares = [row[share] for row in found if (row["condition"], row.get("lid", "")) == place]
        table.add_row(*place, *(", ".join(f"{100 * value:.1f}" for value in frames) for frames in shares))
    console.print(table)


def progress(line: str) -> None:
    """What is measured now."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(BenefitConfig))
