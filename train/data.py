"""Training samples: T small, degraded frames of a face, and the sharp newest one.

A sample is a pure function of (seed, index), so a resumed run sees what an unbroken one would have seen. With more
than one draw, neighbouring indices show one scene through one camera, with noise of their own.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from train.config import DataConfig
from train.degradation import DegradationConfig, draw_camera
from train.errors import DataError
from train.files import beside
from train.images import read_image

ALIGNMENT = 16
"""The MCU of a 4:2:0 JPEG: a window may sit anywhere on its grid."""
REGISTRATION_ERROR_PX = 0.08
"""Of engines.registration, in low-resolution pixels along each axis, where a face moves and there is noise."""
SUPERSAMPLING = 2
"""Faces are rendered this much finer than the target, so that motion has steps of 1 / (2 * scale) of a pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """A sharp face and where its eyes are."""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), BGR."""
    eyes: NDArray[np.float32]
    """float32 (2, 2): x, y of the two eye centres, image-left first; pixel centres at integers."""
    name: str = ""
    """Where it came from, for messages."""

    @property
    def interocular_px(self) -> float:
        return float(np.hypot(*(self.eyes[1] - self.eyes[0])))


def find_manifest(folder: Path) -> Path | None:
    """The manifest of a training folder: FOLDER/manifest.json, FOLDER.json or FOLDER/train.json."""
    places = (Path(folder) / "manifest.json", beside(folder), Path(folder) / "train.json")
    return next((place for place in places if place.is_file()), None)


def manifest_of(folder: Path) -> Path:
    """The manifest that find_manifest() finds; raises DataError when there is none."""
    manifest = find_manifest(folder)
    if manifest is None:
        raise DataError(
            f"{folder}: expected manifest.json with eye positions; run `python -m train prepare {folder}` first"
        )
    return manifest


def load_faces(folder: Path) -> list[Face]:
    """Read the faces of a training folder that has a manifest.

    Raises DataError: no manifest, no usable face, an image that cannot be read.
    """
    return _read(manifest_of(folder))


def load_labelled(folder: Path) -> list[Face]:
    """Read the labelled faces of a test folder: FOLDER/val.json and the images that it names.

    Raises DataError: as load_faces(), and for a pupil outside of its picture.
    """
    manifest = Path(folder) / "val.json"
    if not manifest.is_file():
        raise DataError(f"{folder}: expected val.json with pupil positions, found none; give the folder that holds it")
    faces = _read(manifest)
    for face in faces:
        height, width = face.image.shape[:2]
        if not ((face.eyes > -0.5) & (face.eyes < (width - 0.5, height - 0.5))).all():
            found = face.eyes.astype(float).round(1).tolist()
            raise DataError(
                f"{face.name}: expected its pupils inside of {width}x{height} pixels, got {found}; "
                "label it again or remove its row"
            )
    return faces


def _read(manifest: Path) -> list[Face]:
    again = f"run `python -m train prepare {manifest.parent}`"
    try:
        faces = [_load_face(manifest.parent, row) for row in json.loads(manifest.read_text())]
    except (ValueError, KeyError, TypeError, StopIteration) as err:
        raise DataError(f"{manifest}: not a manifest: {err!r}; {again}") from err
    if not faces:
        raise DataError(f"{manifest}: expected at least one face, got none; {again} on more images")
    return faces


def _load_face(root: Path, row: dict[str, object]) -> Face:
    path = root / str(row["file"])
    image = read_image(path)
    key = next(k for k in ("eyes_px", "eyes_yunet_px", "pupil_px") if k in row)
    eyes = np.asarray(row[key], dtype=np.float32)
    if eyes.shape != (2, 2) or not np.isfinite(eyes).all() or np.array_equal(*eyes):
        raise DataError(f"{path}: expected two eye positions under {key}, got {row[key]!r}; remove its row")
    return Face(image=image, eyes=eyes, name=str(path))


def usable(faces: list[Face], data: DataConfig, scale: int) -> list[Face]:
    """The faces that are large enough to cut samples from at a scale; raises DataError when there is none."""
    apart, side = data.interocular_px[0] * scale / data.enlarge, data.patch * scale
    found = [f for f in faces if f.interocular_px >= apart and min(f.image.shape[:2]) >= side]
    if not found:
        widest = max(faces, key=lambda f: f.interocular_px)
        raise DataError(
            f"expected faces of at least {side} pixels with {apart:.0f} between the eyes at x{scale}, got none of "
            f"{len(faces)} ({widest.name}: {min(widest.image.shape[:2])} and {widest.interocular_px:.0f}); give larger "
            "faces, or lower --data.patch and --data.interocular-px"
        )
    return found


def pyramid(face: Face, low_px: float, high_px: float) -> tuple[Face, ...]:
    """The face and its halvings, largest first, as far as interocular distances of low_px to high_px need them."""
    levels = [face]
    while levels[-1].interocular_px / 2 >= low_px:
        image = levels[-1].image
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        half = cv2.resize(image[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        eyes = (levels[-1].eyes + 0.5) / 2 - 0.5
        levels.append(Face(image=np.asarray(half, dtype=np.uint8), eyes=eyes, name=face.name))
        if levels[-1].interocular_px >= high_px:
            levels = levels[-1:]
    return tuple(levels)


class Samples(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Index -> the frames, uint8 (3T, p, p), newest first; the sharp newest, uint8 (3, p*scale, p*scale); float32 (4,).

    Pictures are BGR. The four numbers are of the eye that the sample was cut near: x, y and the interocular distance in
    pixels of the sharp picture, and 1 for the subject's left eye, else 0.

    Faces that are too small are left out. Raises DataError when none remains.
    """

    def __init__(
        self,
        faces: list[Face],
        data: DataConfig,
        degradation: DegradationConfig,
        *,
        scale: int,
        frames: int,
        seed: int,
        count: int,
        draws: int = 1,
    ) -> None:
        low, high = (px * scale * SUPERSAMPLING for px in data.interocular_px)
        self.faces = [pyramid(face, low, high) for face in usable(faces, data, scale)]
        self.data, self.degradation = data, degradation
        self.scale, self.frames, self.seed, self.count, self.draws = scale, frames, seed, count, draws

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        lr, hr, eye = self.sample(index)
        lr, hr = (np.ascontiguousarray(picture.transpose(2, 0, 1)) for picture in (lr, hr))
        return torch.from_numpy(lr), torch.from_numpy(hr), torch.from_numpy(eye)

    def sample(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """As __getitem__, in image layout: uint8 (p, p, 3T), uint8 (p*scale, p*scale, 3), float32 (4,)."""
        cv2.setNumThreads(1)
        scene, draw = divmod(index, self.draws)
        rng, noise = (np.random.default_rng([self.seed, scene, use]) for use in (0, 1 + draw))
        patch, scale, fine = self.data.patch, self.scale, self.scale * SUPERSAMPLING
        levels = self.faces[rng.integers(len(self.faces))]
        walk, turns = self._walk(rng)
        margin = int(np.abs(walk).max()) if self.frames > 1 else 0
        window = patch + ALIGNMENT
        interocular_px = self._interocular(levels[0], rng) * fine
        face = next((f for f in reversed(levels) if f.interocular_px >= interocular_px), levels[0])
        large = render(face, interocular_px, fine * window + 2 * margin, self.data, rng)
        large = replace(large, image=relight(tint_iris(large, self.data, rng), self.data, rng))
        clip = self._iris_steps(large, rng)
        camera = draw_camera(self.degradation, scale, rng)
        ox, oy = rng.integers(0, ALIGNMENT + 1, 2)
        taken, newest = [], None
        for t, (dx, dy) in enumerate(walk):
            x, y = margin + dx, margin + dy
            turned = turn(clip[t], turns[t]) if turns[t] else clip[t]
            moved = turned[y : y + fine * window, x : x + fine * window]
            sharp = cv2.resize(moved, (scale * window, scale * window), interpolation=cv2.INTER_AREA)
            newest = sharp if newest is None else newest
            frame = camera.shoot(sharp.astype(np.float32) / 255, noise)
            taken.append(frame[oy : oy + patch, ox : ox + patch])
        assert newest is not None
        if self.frames > 1 and rng.random() < self.data.repeated:
            taken = taken[:1] * self.frames
        if self.frames > 1 and rng.random() < self.data.duplicated:
            twice = rng.integers(1, self.frames)
            taken = [*taken[:twice], *taken[twice - 1 : -1]]
        hr = newest[scale * oy : scale * (oy + patch), scale * ox : scale * (ox + patch)]
        x, y = ((c - margin + 0.5) / SUPERSAMPLING - 0.5 - scale * o for c, o in zip(large.eye, (ox, oy), strict=True))
        eye = np.array([x, y, interocular_px / SUPERSAMPLING, large.is_left], dtype=np.float32)
        return np.concatenate(taken, axis=2), np.asarray(hr, dtype=np.uint8), eye

    def _interocular(self, face: Face, rng: np.random.Generator) -> float:
        low, high = self.data.interocular_px
        high = min(high, face.interocular_px * self.data.enlarge / self.scale)
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _walk(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Where each frame's face is, (T, 2) in rendered pixels, and its roll, (T,) in degrees; the newest at 0.

        Where older frames were registered, only what whole pixels leave of their motion.
        """
        kind = rng.choice(3, p=self.data.motion)
        step = (0.0, rng.uniform(0.1, 1.0), rng.uniform(1.0, self.data.motion_px))[kind]
        steps = rng.normal(size=(self.frames, 2)) * step * self.scale * SUPERSAMPLING
        steps[0] = 0
        limit = self.data.motion_px * self.scale * SUPERSAMPLING
        path = np.clip(np.cumsum(np.clip(steps, -limit, limit), axis=0), -2 * limit, 2 * limit)
        rolls = rng.normal(size=self.frames) * rng.uniform(0, self.data.turn_deg) * (kind > 0)
        rolls[0] = 0
        if self.frames > 1 and rng.random() < self.data.registered:
            pixel = self.scale * SUPERSAMPLING
            found = path[1:] / pixel + REGISTRATION_ERROR_PX * rng.normal(size=(self.frames - 1, 2))
            path[1:] -= pixel * np.rint(found)
        return np.asarray(np.rint(path), dtype=np.int64), np.cumsum(rolls)

    def _iris_steps(self, large: "Rendered", rng: np.random.Generator) -> list[NDArray[np.uint8]]:
        """One rendering for each frame: the eye may have moved or closed in its socket at some frame of the clip."""
        clip = [large.image] * self.frames
        if self.frames == 1 or rng.random() >= self.data.eye_motion:
            return clip
        blink = rng.random() < 0.3
        reach = 0.3 if blink else 0.1
        shift = rng.uniform(-reach, reach, 2) * large.interocular_px * (0.1 if blink else 1, 1)
        changed = displace(large.image, large.eye, 0.17 * large.interocular_px, (float(shift[0]), float(shift[1])))
        when = rng.integers(1, self.frames)
        older = rng.random() < 0.5
        return [changed if (t >= when) == older else large.image for t in range(self.frames)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A square piece of a face at a chosen size."""

    image: NDArray[np.uint8]
    """uint8 (n, n, 3), BGR."""
    eye: tuple[float, float]
    """Where the eye is that the piece was chosen for, in its pixels; it may lie outside."""
    is_left: bool
    """Whether that eye is the subject's left, after mirroring."""
    interocular_px: float
    """In its pixels."""


def render(face: Face, interocular_px: float, size: int, data: DataConfig, rng: np.random.Generator) -> Rendered:
    """Cut a piece near an eye (or anywhere on the face), scaled, slightly turned, perhaps mirrored."""
    scale = interocular_px / face.interocular_px
    number = int(rng.integers(2))
    eye = face.eyes[number].astype(np.float64)
    spread = 0.22 if rng.random() < data.eye_bias else 1.0
    centre = eye + rng.normal(size=2) * spread * face.interocular_px * (1.0, 0.7)
    height, width = face.image.shape[:2]
    reach = size / (2 * scale)
    centre = np.where(
        (width, height) > np.full(2, 2 * reach), np.clip(centre, reach, np.subtract((width, height), reach)), centre
    )
    angle = np.radians(rng.normal() * data.rotation_deg)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([mirror, 1.0])
    offset = np.full(2, (size - 1) / 2) + rng.uniform(-0.5, 0.5, 2) - turn @ centre
    image = cv2.warpAffine(
        face.image,
        np.hstack([turn, offset[:, None]]),
        (size, size),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    where = turn @ eye + offset
    return Rendered(
        image=np.asarray(image, dtype=np.uint8),
        eye=(float(where[0]), float(where[1])),
        is_left=(number == 1) == (mirror > 0),
        interocular_px=interocular_px,
    )


def turn(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """The picture turned about its middle; counter-clockwise as it is seen."""
    height, width = image.shape[:2]
    about = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    turned = cv2.warpAffine(image, about, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, dtype=np.uint8)


def relight(image: NDArray[np.uint8], data: DataConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same face in another light: a gamma for all of it and a gain for each channel.

    Without it the network learns what colour irises mostly are, and draws all others towards that.
    """
    gamma = np.exp(data.gamma * rng.normal())
    gains = np.exp(data.exposure * rng.normal() + data.white_balance * rng.normal(size=3))
    curve = np.linspace(0, 1, 256)[:, None] ** gamma * gains
    table = np.clip(np.rint(255 * curve), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)


def tint_iris(large: "Rendered", data: DataConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same eye with an iris of another colour, often: a gain for each channel in a soft disc.

    JPEG leaves little of an iris's own colour, and a network that knows the usual ones paints them in.
    """
    if rng.random() >= data.tinted:
        return large.image
    gains = np.exp(data.iris_tint * rng.normal(size=3))
    radius = 0.13 * large.interocular_px
    left, top = (max(0, int(c - radius)) for c in large.eye)
    right, bottom = (max(0, int(c + radius) + 2) for c in large.eye)
    image = large.image.copy()
    window = image[top:bottom, left:right]
    y, x = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]].astype(np.float32)
    weight = soft_disc(x, y, large.eye, radius)[..., None]
    window[:] = np.clip(np.rint(window * (1 + weight * (gains - 1))), 0, 255)
    return image


def soft_disc(
    x: NDArray[np.float32], y: NDArray[np.float32], centre: tuple[float, float], radius: float
) -> NDArray[np.float32]:
    """1 inside half the radius, fading to 0 at the radius (cosine)."""
    distance = np.hypot(x - centre[0], y - centre[1]) / radius
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(2 * distance - 1, 0, 1)), dtype=np.float32)


def displace(
    image: NDArray[np.uint8], centre: tuple[float, float], radius: float, shift: tuple[float, float]
) -> NDArray[np.uint8]:
    """Move what lies inside a soft disc by `shift` pixels: an iris that turns, or skin that comes over it.

    The displacement is whole inside half the radius and fades to none at the radius.
    """
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    weight = soft_disc(x, y, centre, radius)
    moved = cv2.remap(
        image,
        (x - shift[0] * weight).astype(np.float32),
        (y - shift[1] * weight).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, dtype=np.uint8)
