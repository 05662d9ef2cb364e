"""Confidence intervals over faces."""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value for each face, and the 95 % percentile bootstrap interval of it (Efron 1979).

    values: (faces,); NaN are left out. All NaN when nothing is left.
    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.percentile(kept[drawn].mean(axis=1), (2.5, 97.5))
    return float(kept.mean()), float(low), float(high)
