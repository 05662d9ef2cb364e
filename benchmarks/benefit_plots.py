"""The benefit benchmark as pictures."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FormatStrFormatter

COLOURS = {"none": "#8c8c8c", "bicubic": "#d1731f", "default": "#1667b7"}
NAMES = {"none": "raw", "bicubic": "bicubic", "default": "Catchlight"}
SPARE = ("#2a8f5b", "#8a4fb0", "#b0344d", "#5b6b1f", "#3a3a3a", "#c05fa0")
CONDITIONS = ("clean", "webcam", "dark")


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Write gaze_drift.png and, where there are several, gaze_drift_all.png, into a folder; returns their paths."""
    rows = document["gaze_drift_deg"]
    present = list(dict.fromkeys(row["method"] for row in rows))
    if not present:
        return []
    ours = [method for method in ("none", "bicubic", "default") if method in present]
    if "default" not in present:
        ours += [method for method in document["tiers"] if method in present][:1]
    paths = [curves(rows, ours, folder / "gaze_drift.png")]
    if len(present) > len(ours):
        paths.append(curves(rows, present, folder / "gaze_drift_all.png"))
    return paths


def curves(rows: list[dict[str, Any]], methods: list[str], path: Path) -> Path:
    """Mean gaze drift against interocular pixels, one panel for each condition, bands of the bootstrap intervals."""
    with plt.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, len(CONDITIONS), figsize=(11, 3.7), sharey=True, facecolor="white")
        spare = iter(SPARE * 4)
        for method in methods:
            colour = COLOURS.get(method) or next(spare)
            for axis, condition in zip(axes, CONDITIONS, strict=True):
                line = [row for row in rows if (row["condition"], row["method"]) == (condition, method) and row["n"]]
                x = [row["interocular_px"] for row in line]
                width = 2.4 if method == "default" else 1.6
                axis.plot(
                    x,
                    [row["mean"] for row in line],
                    "o-",
                    color=colour,
                    lw=width,
                    ms=4,
                    label=NAMES.get(method, method),
                )
                low, high = ([row["ci95"][end] for row in line] for end in (0, 1))
                axis.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
        for axis, condition in zip(axes, CONDITIONS, strict=True):
            axis.set_title(condition)
            axis.set_xlabel("pixels between the eyes")
            axis.set_yscale("log", base=2)
            axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_xticks(sorted({row["interocular_px"] for row in rows}))
            axis.grid(alpha=0.25)
        axes[0].set_ylabel("gaze drift, degrees (mean)")
        axes[-1].legend(frameon=False)
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        plt.close(figure)
    return path
