"""No weight is shipped that harms a tracker: what a checkpoint must show on faces that it has never seen.

Against bicubic, no consumer may be worse beyond its confidence interval in any condition (over all sizes together, with
a moving and with a still face). Gaze must not be biased, the iris must keep its colour, a jump of the eye must not
smear, and half precision must equal single.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines import Checkpoint, load_checkpoint, load_engine, save_checkpoint, shipped_tiers
from engines.checkpoint import find_checkpoint
from engines.swinir import SwinIR
from train import checks
from train.benefit.blink import blinks
from train.benefit.bootstrap import mean_interval
from train.benefit.faces import Half, LabelledFace, face_mesh, labelled_manifest, load_faces
from train.benefit.gaze import GazeNetwork
from train.benefit.iris import Irises
from train.benefit.method import Method, bicubic_method, engine_method
from train.benefit.pupil import GradientPupils, MeshPupils
from train.benefit.saccade import lag_after_jump
from train.benefit.scene import photographed
from train.benefit.steadiness import stand_still
from train.benefit.study import HIGHER_IS_BETTER, SIZES_PX, Consumer, Key, Study, conduct
from train.benefit.summary import bias
from train.benefit.synthetic import drawn_faces
from train.benefit.twins import refuse_twins
from train.conditions import CONDITIONS
from train.data import manifest_of
from train.errors import DataError

JUDGED = (
    "gaze_drift_deg",
    "pupil_gradients_calibrated",
    "pupil_gradients_drift",
    "pupil_mesh_calibrated",
    "pupil_mesh_drift",
    "iris_radius_drift",
    "limbus_sharpness",
    "iris_lab",
    "psnr_rgb",
    "ssim",
)
JUDGED_STILL = ("gaze_std_deg", "pupil_gradients_std", "iris_lab_std")
BIAS_LIMIT_DEG, BIAS_FROM_PX = 0.3, 45
COLOUR_LIMIT = 2.0
HALF_LIMIT_DB = 50.0
LAG_LIMITS = (0.25, 0.05)
"""Of the first and the second frame after a jump; "not at all" within what the localiser can tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Judge a checkpoint: is it good for a tracker?"""

    checkpoint: str
    """A tier, or a checkpoint's path."""
    faces: Path | None = None
    """Folder with val.json and the faces that it names; none: drawn faces."""
    gaze_model: Path | None = None
    """Folder with gaze-estimation-adas-0002 and head-pose-estimation-adas-0001; none: gaze is not judged."""
    engine: str = "auto"
    """The engine that runs it."""
    half: Half | None = None
    """Only this half of the faces, so that weights can be chosen on the other; None: all."""
    trained_on: Path | None = None
    """Folder that the weights were trained on: refused when one of its photographs is among the faces."""
    limit: int | None = None
    """This many faces, evenly over the manifest; None: all, or twelve drawn ones."""
    seed: int = 1
    """Of the camera's noise and the faces' motion."""
    write: bool = False
    """Store the verdict in the checkpoint's JSON; needs a path."""

    def __post_init__(self) -> None:
        if self.limit is not None:
            checks.at_least(self, 1, "limit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One rule, applied."""

    rule: str
    where: str
    value: float
    limit: float
    passed: bool


def main(config: GateConfig) -> dict[str, Any]:
    """Judge a checkpoint and return the record: passed, what failed, what was skipped and why, all findings.

    "beside" holds what no rule asks: the intervals of the gaze's bias, and what a blink leaves behind.

    Raises DataError and CheckpointError for what cannot be read.
    """
    checkpoint = load_checkpoint(config.checkpoint)
    if config.write and config.checkpoint in shipped_tiers():
        raise DataError(
            f"--write: expected the path of a checkpoint, got the tier {config.checkpoint!r}; give its file"
        )
    if (config.half or config.trained_on) and not config.faces:
        raise DataError(
            "--half, --trained-on: expected --faces, too; drawn faces have no halves, and nobody trains on them"
        )
    if config.faces and config.trained_on:
        refuse_twins(labelled_manifest(config.faces), manifest_of(config.trained_on))
    with ExitStack() as stack:
        engine = stack.enter_context(load_engine(config.engine, config.checkpoint))
        method = engine_method(engine, "enhanced")
        consumers: list[Consumer] = [GradientPupils(), Irises()]
        skipped: dict[str, str] = {}
        if config.faces:
            mesh = stack.enter_context(face_mesh())
            faces = load_faces(config.faces, mesh, config.limit, config.half)
            consumers.append(MeshPupils(mesh))
        else:
            faces = drawn_faces(config.limit or 12)
            skipped["pupil_mesh"] = "drawn faces have no mesh"
        if config.gaze_model and config.faces:
            consumers.append(GazeNetwork(config.gaze_model))
        else:
            skipped["gaze"] = "needs --faces and --gaze-model"
        study = measure(method, faces, consumers, seed=config.seed)
        if not study.values:
            least = method.scale * min(SIZES_PX)
            raise DataError(
                f"{config.faces}: expected faces with at least {least} pixels between the eyes, got none; give larger"
            )
        findings = [*judge_method(method, study), judge_half(checkpoint, faces)]
        beside = {"gaze_bias": gaze_bias(study, method), "blink": blinks(method)}
    record = as_record(findings, skipped, [face.name for face in faces]) | {"beside": beside}
    record |= {"sha256": checkpoint.sha256, "seed": config.seed, "engine": engine.name, "half": config.half}
    if config.write:
        judged = checkpoint.record | {"gate": record}
        save_checkpoint(find_checkpoint(config.checkpoint), checkpoint.config, checkpoint.tensors, judged)
    return record


def measure(
    method: Method,
    faces: Sequence[LabelledFace],
    consumers: Sequence[Consumer],
    *,
    sizes_px: Iterable[int] = SIZES_PX,
    still_count: int = 50,
    seed: int = 1,
) -> Study:
    """Ask all consumers about a method and about bicubic."""
    methods = [bicubic_method(method.scale), method]
    study = conduct(faces, methods, consumers, sizes_px=sizes_px, seed=seed)
    some = [face for face in faces if face.interocular_px >= method.scale * 45][:: max(1, len(faces) // 12)]
    steady = [consumer for consumer in consumers if not isinstance(consumer, MeshPupils)]
    stand_still(study, some, methods, steady, count=still_count, seed=seed)
    return study


def judge_method(method: Method, study: Study) -> list[Finding]:
    """All rules that need a method and what was measured of it."""
    findings = judge(study, method.name, motions=("walk", "still") if method.frames > 1 else ("walk",))
    if method.frames > 1:
        for condition in CONDITIONS:
            lag = lag_after_jump(method, bicubic_method(method.scale), condition=condition)
            findings += [
                _finding("iris follows a jump", f"{condition}, frame {i + 1} after it", float(lag[i]), limit)
                for i, limit in enumerate(LAG_LIMITS)
            ]
    return findings


def judge(study: Study, method: str, motions: Sequence[str] = ("walk",)) -> list[Finding]:
    """The rules on a study's numbers, of a method against "bicubic"."""
    findings = []
    sizes = sorted({key.interocular_px for key in study.values})
    for condition in dict.fromkeys(key.condition for key in study.values):
        for motion, quantity in [(m, q) for m in motions for q in JUDGED] + [("still", q) for q in JUDGED_STILL]:
            harm = _harm(study, Key(quantity, condition, 0, method, motion), sizes)
            if not np.isnan(harm).all():
                mean, low, _ = mean_interval(harm)
                at_least = mean if np.isnan(low) else low  # one face has no interval
                findings.append(_finding(f"{quantity} no worse than bicubic", f"{condition}, {motion}", at_least, 0.0))
        for size in sizes:
            at = Key("gaze_x_deg", condition, size, method, "walk")
            biased_deg = float(np.hypot(study.mean(at), study.mean(at._replace(quantity="gaze_y_deg"))))
            if size >= BIAS_FROM_PX and not np.isnan(biased_deg):
                findings.append(_finding("gaze bias, degrees", f"{condition}, {size} px", biased_deg, BIAS_LIMIT_DEG))
            colour = at._replace(quantity="iris_lab")
            # JPEG alone moves an iris by 3 to 5 Lab; only what comes on top of that is the network's.
            moved = study.mean(colour) - (0 if condition == "clean" else study.mean(colour._replace(method="bicubic")))
            if not np.isnan(moved):
                findings.append(_finding("iris colour moves, Lab", f"{condition}, {size} px", moved, COLOUR_LIMIT))
    return findings


def judge_half(checkpoint: Checkpoint, faces: Sequence[LabelledFace]) -> Finding:
    """PSNR between the network in single and in half precision, on windows of webcam scenes."""
    frames = checkpoint.config.frames
    scenes = [
        photographed(face, 45, "webcam", frames, np.random.default_rng([2, i])) for i, face in enumerate(faces[:4])
    ]
    batch = np.concatenate([scene.patches(frames) for scene in scenes])
    x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
    model = SwinIR.from_checkpoint(checkpoint)
    with torch.inference_mode():
        single = model(x).clamp(0, 1)
        half = model.half()(x.half()).float().clamp(0, 1)
    error = float(((single - half) ** 2).mean())
    decibel = 10 * np.log10(1 / max(error, 1e-12))
    return Finding(
        rule="half precision equals single, dB",
        where="webcam, 45 px",
        value=round(float(decibel), 2),
        limit=HALF_LIMIT_DB,
        passed=bool(decibel >= HALF_LIMIT_DB),
    )


def gaze_bias(study: Study, method: Method) -> list[dict[str, Any]]:
    """Beside the rule: how sure the gaze's bias is, where the rule looks."""
    return [
        {
            "where": f"{key.condition}, {key.interocular_px} px",
            "faces": int((~np.isnan(study.values[key])).sum()),
            **bias(study, key),
        }
        for key in study.values
        if (key.quantity, key.method, key.motion) == ("gaze_drift_deg", method.name, "walk")
        and key.interocular_px >= BIAS_FROM_PX
    ]


def as_record(findings: Sequence[Finding], skipped: dict[str, str], faces: Sequence[str]) -> dict[str, Any]:
    """As stored with the weights: plain JSON types."""
    return {
        "passed": all(finding.passed for finding in findings),
        "failed": [f"{f.rule}: {f.where}: {f.value:.4g}, limit {f.limit:g}" for f in findings if not f.passed],
        "skipped": skipped,
        "faces": len(faces),
        "findings": [asdict(finding) for finding in findings],
    }


def as_text(record: dict[str, Any]) -> str:
    """The verdict for people."""
    lines = [f"{'passed' if record['passed'] else 'FAILED'}: {len(record['findings'])} rules, {record['faces']} faces"]
    lines += [f"  failed   {line}" for line in record["failed"]]
    lines += [f"  skipped  {name}: {reason}" for name, reason in record["skipped"].items()]
    lines += [f"  beside   {line}" for line in _worst(record["beside"])]
    return "\n".join(lines)


def _worst(beside: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The largest of what stands beside the rules, for people."""
    lines = []
    if beside["gaze_bias"]:
        row = max(beside["gaze_bias"], key=lambda row: row["bias_deg"])
        axes = zip("xy", row["bias_xy_deg"], row["bias_xy_ci95"], strict=True)
        parts = [f"{axis} {mean:.2f} ({low:.2f} to {high:.2f})" for axis, mean, (low, high) in axes]
        lines.append(f"gaze bias, degrees: {', '.join(parts)}: {row['where']}, {row['faces']} faces")
    if beside["blink"]:
        row = max(beside["blink"], key=lambda row: max(row["ghost"]))
        lines.append(f"ghost of the eye before a blink: {max(row['ghost']):.1%}: {row['condition']}, lid {row['lid']}")
    return lines


def _harm(study: Study, key: Key, sizes: Sequence[int]) -> NDArray[np.float64]:
    """How much worse than bicubic on each face, mean over the sizes that it was measured at."""
    sign = -1 if key.quantity in HIGHER_IS_BETTER else 1
    harms = []
    for size in sizes:
        ours = study.values.get(key._replace(interocular_px=size))
        theirs = study.get(key._replace(interocular_px=size, method="bicubic"))
        if ours is not None and theirs is not None:
            harms.append(sign * (ours - theirs))
    if not harms:
        return np.full(len(study.faces), np.nan)
    known = ~np.isnan(harms)
    counts = known.sum(axis=0)
    total = np.where(known, harms, 0).sum(axis=0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _finding(rule: str, where: str, value: float, limit: float) -> Finding:
    return Finding(rule=rule, where=where, value=round(value, 5), limit=limit, passed=bool(value <= limit))
