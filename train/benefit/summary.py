"""From a study's numbers to rows: means, spreads, confidence intervals, and differences from bicubic and raw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.benefit.bootstrap import mean_interval
from train.benefit.study import Key, Study

BASELINES = ("bicubic", "none")
ERROR_LEVELS = (0.025, 0.05, 0.10)


def rows(study: Study, quantity: str, motion: str = "walk") -> list[dict[str, Any]]:
    """One row for each condition, size and method in which a quantity was measured.

    mean, median, p95: over faces. ci95: bootstrap interval of the mean. minus_bicubic, minus_none: the paired
    difference's mean and interval. bias_xy_deg, bias_xy_ci95, bias_deg: for the gaze drift, the mean signed difference
    in x and y, its intervals, and its length. share_below: for errors of pupil centres, the cumulative curve.
    """
    found = []
    for key in study.values:
        if key.quantity != quantity or key.motion != motion:
            continue
        row = {
            "condition": key.condition,
            "interocular_px": key.interocular_px,
            "method": key.method,
            "motion": key.motion,
            **described(study.values[key]),
        }
        for baseline in BASELINES:
            other = study.get(key._replace(method=baseline))
            if other is not None and baseline != key.method:
                mean, low, high = mean_interval(study.values[key] - other)
                row[f"minus_{baseline}"] = {"mean": _short(mean), "ci95": [_short(low), _short(high)]}
        if quantity == "gaze_drift_deg":
            row |= bias(study, key)
        if quantity.endswith(("_error", "_calibrated")) and quantity.startswith("pupil"):
            values = study.values[key]
            known = values[~np.isnan(values)]
            row["share_below"] = {str(level): _short(_mean(known <= level)) for level in ERROR_LEVELS}
        found.append(row)
    return found


def bias(study: Study, key: Key) -> dict[str, Any]:
    """Mean signed gaze difference in x and y, in degrees, with the interval of each, and its length."""
    (x, *ends_x), (y, *ends_y) = (
        mean_interval(study.values[key._replace(quantity=quantity)]) for quantity in ("gaze_x_deg", "gaze_y_deg")
    )
    return {
        "bias_deg": _short(float(np.hypot(x, y))),
        "bias_xy_deg": [_short(x), _short(y)],
        "bias_xy_ci95": [[_short(end) for end in ends] for ends in (ends_x, ends_y)],
    }


def described(values: NDArray[np.float64]) -> dict[str, Any]:
    """mean, median, p95, n and ci95 of one value for each face; NaN are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"mean": None, "median": None, "p95": None, "n": 0, "ci95": None}
    mean, low, high = mean_interval(known)
    return {
        "mean": _short(mean),
        "median": _short(float(np.median(known))),
        "p95": _short(float(np.percentile(known, 95))),
        "n": len(known),
        "ci95": [_short(low), _short(high)],
    }


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _short(value: float) -> float | None:
    """Five digits; None, which JSON has, for NaN, which it has not."""
    return None if np.isnan(value) else float(f"{value:.5g}")
