"""Faces drawn by formula, whose pupils and rims are known exactly: for tests and for what no photograph can show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import LabelledFace

WIDTH, HEIGHT = 440, 220
INTEROCULAR = 200.0
EYE_WIDTH = 0.46 * INTEROCULAR
IRIS_RADIUS = 0.092 * INTEROCULAR
OPENING = 0.115 * INTEROCULAR
"""Height of the upper lid over the line of the corners; the lower lid is 0.7 of it below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """Colours, BGR in [0, 1], and sizes that differ between people."""

    skin: tuple[float, float, float] = (0.50, 0.60, 0.78)
    iris: tuple[float, float, float] = (0.25, 0.32, 0.42)
    pupil_share: float = 0.42
    """Pupil radius as a share of the iris radius."""


def drawn_face(
    appearance: Appearance | None = None,
    gaze: tuple[float, float] = (0.0, 0.0),
    name: str = "drawn",
    *,
    opened: float = 1.0,
) -> LabelledFace:
    """A strip of face with two eyes, 440 x 220 pixels, 200 between the pupils.

    gaze: how far both irises are turned, x and y, as a share of the interocular distance. opened: how far the upper
    lids are up; at 0 they lie on the lower ones.
    """
    look = appearance or Appearance()
    y, x = (axis.astype(np.float64) for axis in np.mgrid[:HEIGHT, :WIDTH])
    shade = 1 - 0.15 * ((x - WIDTH / 2) / WIDTH) ** 2 - 0.1 * (y / HEIGHT)
    image = np.asarray(look.skin) * shade[..., None]
    middle = np.array([[(WIDTH - INTEROCULAR) / 2, HEIGHT / 2], [(WIDTH + INTEROCULAR) / 2, HEIGHT / 2]])
    for centre in middle:
        image = _eye(image, x - centre[0], y - centre[1], look, np.asarray(gaze) * INTEROCULAR, opened)
    pupils = middle + np.asarray(gaze) * INTEROCULAR
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = IRIS_RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half = np.array([EYE_WIDTH / 2, 0])
    return LabelledFace(
        name=name,
        image=np.clip(np.rint(image * 255), 0, 255).astype(np.uint8),
        corners=np.stack([middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half]),
        pupils=pupils,
        rims=pupils[:, None] + circle,
        box=(0, 0, WIDTH, HEIGHT),
    )


def drawn_faces(count: int, seed: int = 0) -> list[LabelledFace]:
    """Faces of several skins, irises and gaze directions."""
    rng = np.random.default_rng(seed)
    faces = []
    for i in range(count):
        skin = np.array([0.50, 0.60, 0.78]) * rng.uniform(0.35, 1.1)
        iris = rng.choice([[0.15, 0.22, 0.32], [0.45, 0.42, 0.35], [0.28, 0.40, 0.38], [0.10, 0.12, 0.16]])
        look = Appearance(
            skin=_triple(skin), iris=_triple(iris * rng.uniform(0.8, 1.2)), pupil_share=rng.uniform(0.3, 0.55)
        )
        gaze = (rng.uniform(-0.05, 0.05), rng.uniform(-0.02, 0.02))
        faces.append(drawn_face(look, gaze, name=f"drawn-{i}"))
    return faces


def _eye(
    image: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    look: Appearance,
    gaze: NDArray[np.float64],
    opened: float,
) -> NDArray[np.float64]:
    """Draw one eye over the image; x, y: pixel coordinates from its middle."""
    arch = 1 - (2 * x / EYE_WIDTH) ** 2
    over = y + OPENING * (1.7 * opened - 0.7) * arch
    under = 0.7 * OPENING * arch - y
    seen = (_step(over, 1.5) * _step(under, 1.5))[..., None]
    dx, dy = x - gaze[0], y - gaze[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    fibres = 1 + 0.12 * np.sin(23 * angle) * np.sin(radius / 2.5) + 0.2 * (radius / IRIS_RADIUS - 0.6)
    iris = np.asarray(look.iris) * fibres[..., None]
    ball = np.asarray((0.83, 0.85, 0.88)) * (1 - 0.25 * _step(14.0 - over, 6))[..., None]
    ball = _over(ball, iris, _step(IRIS_RADIUS - radius, 1.5))
    ball = _over(ball, np.full(3, 0.04), _step(look.pupil_share * IRIS_RADIUS - radius, 1.0))
    ball = _over(ball, np.full(3, 0.97), _step(2.6 - np.hypot(dx - 4.5, dy + 5), 0.8))
    lashes = 0.8 * np.exp(-((over / 2.5) ** 2)) * _step(EYE_WIDTH / 2 - np.abs(x), 1.0)
    face = image * (1 - seen) + ball * seen
    return _over(np.asarray(face), np.full(3, 0.08), np.asarray(lashes, np.float64))


def _step(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """0 outside, 1 inside, smooth over `width` pixels."""
    return np.asarray(1 / (1 + np.exp(-np.clip(4 * distance / width, -50, 50))))


def _over(below: NDArray[np.float64], colour: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(below + (colour - below) * share[..., None])


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
