"""Curves of a run, read from its log: the losses, and the PSNR on held-out faces (the paper's figures 1 and 2)."""

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from train.files import write_whole

Row = dict[str, Any]
NOT_LOSSES = frozenset({"step", "epoch", "learning_rate", "images_per_s", "step_s", "gradient_norm", "wasserstein"})


def read_log(path: Path) -> list[Row]:
    """The rows of a log.jsonl in the order of their steps, the last one where a resumed run repeated a step.

    A line that was cut off when the machine stopped is passed over.
    """
    rows: dict[tuple[int, bool], Row] = {}
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["step"], "test" in row] = row
    return [rows[key] for key in sorted(rows)]


def draw_curves(log: Path) -> list[Path]:
    """Draw loss.png and psnr.png beside the log, as far as it holds figures for them; returns what was written.

    Raises ImportError without matplotlib, TrainError when the disk does not take them.
    """
    from matplotlib.figure import Figure

    rows = read_log(log)
    steps = [row for row in rows if "test" not in row]
    tests = [row for row in rows if "test" in row]
    drawn = {}
    if steps:
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="loss")
        for name in _losses(steps):
            points = [(row["step"], row[name]) for row in steps if name in row]
            axes.plot(*zip(*points, strict=True), label=name)
        axes.legend()
        axes.grid(alpha=0.3)
        drawn[log.with_name("loss.png")] = figure
    if tests:
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="RGB PSNR on held-out faces (dB)")
        for number, condition in enumerate(tests[-1]["test"]):
            at = [row["step"] for row in tests]
            for method, style in (("tier", "-"), ("bicubic", "--")):
                values = [row["test"][condition][method]["psnr_rgb"] for row in tests]
                label = condition if method == "tier" else f"{condition}, bicubic"
                axes.plot(at, values, style, marker="." if method == "tier" else None, color=f"C{number}", label=label)
        axes.legend()
        axes.grid(alpha=0.3)
        drawn[log.with_name("psnr.png")] = figure
    for path, figure in drawn.items():
        picture = BytesIO()
        figure.savefig(picture, format="png", dpi=120)
        write_whole(path, picture.getvalue())
    return list(drawn)


def _losses(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row if name not in NOT_LOSSES))
