"""Checks of a configuration's fields, for __post_init__. Each raises ValueError for the first field that fails."""

import math
from itertools import pairwise


def at_least(config: object, least: float, *names: str) -> None:
    """Numbers from `least` on."""
    for name in names:
        if not least <= (value := getattr(config, name)) < math.inf:
            raise ValueError(f"{name}: expected at least {least}, got {value}")


def positive(config: object, *names: str) -> None:
    """Numbers above 0."""
    for name in names:
        if not 0 < (value := getattr(config, name)) < math.inf:
            raise ValueError(f"{name}: expected more than 0, got {value}")


def shares(config: object, *names: str) -> None:
    """Numbers from 0 to 1."""
    for name in names:
        if not 0 <= (value := getattr(config, name)) <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value}")


def distributions(config: object, *names: str) -> None:
    """Tuples of shares of one whole."""
    for name in names:
        values = getattr(config, name)
        if not (all(0 <= value <= 1 for value in values) and math.isclose(sum(values), 1, abs_tol=1e-8)):
            raise ValueError(f"{name}: expected shares that sum to 1, got {_spaced(values)}")


def ranges(config: object, least: float, most: float, *names: str) -> None:
    """Tuples that rise, or stay, within `least` to `most`."""
    for name in names:
        values = getattr(config, name)
        if not all(a <= b for a, b in pairwise((least, *values, most))):
            raise ValueError(f"{name}: expected rising values from {least:g} to {most:g}, got {_spaced(values)}")


def _spaced(values: tuple[float, ...]) -> str:
    return " ".join(map(str, values))
