"""Confidence intervals: over faces, and over the moments of a recording."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

RESAMPLES = 2000
BLOCK = 10
"""Moments of a recording that are drawn together: a third of a second at 30 frames a second."""


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value for each face, and its 95 % expanded percentile bootstrap interval (Hesterberg 2015, 5.1).

    Efron's percentiles are those of a normal distribution with a spread that few faces underestimate; these lie as far
    out as Student's do. values: (faces,); NaN are left out. All NaN when nothing is left, no interval of one face.
    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        return np.nan, np.nan, np.nan
    count = len(kept)
    if count == 1:
        return float(kept[0]), np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    tail = ndtr(np.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.025))
    low, high = np.quantile(kept[drawn].mean(axis=1), (tail, 1 - tail))
    return float(kept.mean()), float(low), float(high)


def median_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int = 0
) -> tuple[float, float, float]:
    """Difference of two medians over the same moments of a recording, and its 95 % moving-block bootstrap interval.

    Neighbouring moments depend on each other, so that runs of BLOCK of them are drawn (Kuensch 1989), the same for
    both. ours, theirs: (moments,), in order; moments with a NaN are left out. All NaN when nothing is left.
    """
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    pair = np.stack([ours[known], theirs[known]])
    count = pair.shape[1]
    if not count:
        return np.nan, np.nan, np.nan
    block = min(BLOCK, count)
    starts = np.random.default_rng(seed).integers(0, count - block + 1, (RESAMPLES, -(-count // block), 1))
    drawn = (starts + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    differences = np.subtract(*np.median(pair[:, drawn], axis=2))
    low, high = np.percentile(differences, (2.5, 97.5))
    return float(np.subtract(*np.median(pair, axis=1))), float(low), float(high)
