"""A synthetic webcam: a deterministic film of scikit-image's astronaut, whose true eye positions are known.

The photograph is installed with scikit-image, so that nothing is downloaded. It shows NASA astronaut Eileen Collins
and is in the public domain. The face drifts, tilts and turns a little, as a person's does before a screen; then come
the lens (blur), the sensor (noise) and the cable (JPEG, 4:2:2). Any frame can be made by its number alone, always the
same.
"""

from dataclasses import dataclass
from functools import partial
from time import monotonic_ns, time_ns
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from realtime.frames import Frame
from realtime.pace import Pace
from realtime.watchdog import State

# Measured by eye in the photograph, tenfold enlarged, in its pixels: good to a third of a pixel.
IRISES = np.array([[203.4, 100.5], [246.4, 102.8]])
IRIS_RADIUS = 4.0
BRIDGE = IRISES.mean(axis=0)
PHOTO_INTEROCULAR = float(np.hypot(*(IRISES[1] - IRISES[0])))

LENS_SIGMA_PX = 0.6
NOISE_SIGMA = 3.0
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]

# Where the demo looks, x and y from -1 to 1: nine points to calibrate with, then sixteen others.
CALIBRATION_POINTS = [(x, y) for y in (-0.9, 0.0, 0.9) for x in (-0.9, 0.0, 0.9)]
TEST_POINTS = [(x, y) for y in (-0.6, 0.5, -0.3, 0.7) for x in (0.4, -0.7, 0.65, -0.35)]
GAZE_PATH = CALIBRATION_POINTS + TEST_POINTS
GAZE_REACH = np.array([0.08, 0.025])
"""How far the irises move for a gaze of 1, in interocular distances, along x and y."""

BLINK_PERIOD_S = 3.0
BLINK_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """An eye's opening in the photograph's pixels, bounded by two parabolas through its corners."""

    left: float
    right: float
    corners_y: tuple[float, float]
    upper_rise: float
    lower_sag: float


OPENINGS = (
    Opening(left=194.0, right=212.5, corners_y=(101.5, 103.5), upper_rise=4.4, lower_sag=1.9),
    Opening(left=237.0, right=256.5, corners_y=(104.5, 104.0), upper_rise=4.3, lower_sag=2.4),
)


class DemoCamera:
    """The synthetic webcam. Without motion, saccades and blinks only the noise differs from frame to frame."""

    name = "demo"
    state: State = "ok"

    def __init__(
        self,
        *,
        width: int = 640,
        height: int = 480,
        fps: float = 30.0,
        interocular_px: float | None = None,
        motion: float = 1.0,
        saccade_px: float = 0.0,
        saccade_period: int = 15,
        looks_about: bool = False,
        blinks: bool = False,
        paced: bool = True,
        seed: int = 0,
    ) -> None:
        """interocular_px: distance of the iris centres, by default 45 for 480 rows. motion: 0 for a still head.

        saccade_px: the irises jump this far to the image's left and right of straight ahead, in turn every
        saccade_period frames, against still lids; up to a tenth of the interocular distance. looks_about: instead they
        go along GAZE_PATH, again and again, a point every saccade_period frames. blinks: the lids close
        for a quarter of a second every three. paced: give frames at fps, like a camera; otherwise as fast as they
        are read.
        """
        interocular_px = 45.0 * height / 480 if interocular_px is None else interocular_px
        if not abs(saccade_px) <= interocular_px / 10:
            raise ValueError(
                f"saccade_px: expected at most a tenth of interocular_px, {interocular_px / 10:g}, got {saccade_px:g}"
            )
        self.width, self.height, self.fps = width, height, fps
        self.interocular_px = interocular_px
        self._motion, self._saccade_px, self.saccade_period = motion, saccade_px, saccade_period
        self._looks_about = looks_about
        self._blinks, self._paced, self._seed = blinks, paced, seed
        self._zoom = interocular_px / PHOTO_INTEROCULAR
        rng = np.random.default_rng(seed)
        self._phases = rng.uniform(0, 2 * np.pi, 8)
        # One large sheet of noise, read from another place for each frame: costs an addition, not a generator.
        # Brighter and darker apart, because OpenCV adds uint8 to uint8 six times as fast as it mixes types.
        # Made row by row: the whole sheet in float64 would be eight times as large, several times over.
        self._brighter, self._darker = (np.empty((height + 128, width + 128, 3), np.uint8) for _ in range(2))
        for brighter, darker in zip(self._brighter, self._darker, strict=True):
            noise = rng.normal(0, NOISE_SIGMA, brighter.shape).round()
            brighter[:], darker[:] = np.maximum(noise, 0), np.maximum(-noise, 0)
        self._photo, self._base = self._paint_base()
        self._canvases: dict[tuple[float, float, float], NDArray[np.uint8]] = {(0.0, 0.0, 0.0): self._base}
        self._pace = Pace(fps)
        self._seq = 0
        self._stopped = False

    def read(self) -> Frame | None:
        """The next frame, when it is due; None after stop()."""
        if self._paced:
            self._seq += self._pace.late(self._seq)
        how = partial(self.image, self._seq)
        image = self._pace.make(self._seq, how) if self._paced else how()
        if self._stopped or (self._paced and not self._pace.wait(self._seq)):
            return None
        captured_ns, captured_utc_ns = monotonic_ns(), time_ns()
        frame = Frame(
            seq=self._seq, captured_ns=captured_ns, captured_utc_ns=captured_utc_ns, ts_source="demo", image=image
        )
        self._seq += 1
        return frame

    def stop(self) -> None:
        """End reading; for any thread."""
        self._stopped = True
        self._pace.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def gaze(self, seq: int) -> tuple[float, float]:
        """Where the demo looks in frame seq, x and y from -1 to 1, right and down in the image, if it looks about."""
        return GAZE_PATH[seq // self.saccade_period % len(GAZE_PATH)]

    def iris_offset_px(self, seq: int) -> tuple[float, float]:
        """How far the irises stand right of and below straight ahead in frame seq, before the head's tilt."""
        if self._looks_about:
            x, y = GAZE_REACH * self.interocular_px * self.gaze(seq)
            return float(x), float(y)
        return self._saccade_px if (seq // self.saccade_period) % 2 else -self._saccade_px, 0.0

    def lid_closure(self, seq: int) -> float:
        """How far the upper lids have come down in frame seq: 0 open, 1 closed; in steps of a quarter."""
        if not self._blinks:
            return 0.0
        since_s = (seq / self.fps) % BLINK_PERIOD_S - (BLINK_PERIOD_S - BLINK_S)
        return 0.0 if since_s < 0 else round(4 * float(np.sin(np.pi * since_s / BLINK_S))) / 4

    def true_eyes(self, seq: int) -> NDArray[np.float64]:
        """float64 (2, 2): x, y of the iris centres in frame seq in camera pixels, image-left eye first."""
        irises = IRISES + np.array(self.iris_offset_px(seq)) / self._zoom
        to_camera = self._canvas_to_camera(seq)
        return np.asarray(self._to_canvas(irises) @ to_camera[:, :2].T + to_camera[:, 2])

    def image(self, seq: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3), BGR: frame seq."""
        canvas = self._canvas(self.iris_offset_px(seq), self.lid_closure(seq))
        view = cv2.warpAffine(
            canvas, self._canvas_to_camera(seq), (self.width, self.height), borderMode=cv2.BORDER_REPLICATE
        )
        row, column = np.random.default_rng((self._seed, seq)).integers(0, 129, 2)
        sheet = np.s_[row : row + self.height, column : column + self.width]
        view = cv2.subtract(cv2.add(view, self._brighter[sheet]), self._darker[sheet])
        _, jpeg = cv2.imencode(".jpg", view, JPEG)
        return _uint8(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))

    def _canvas_to_camera(self, seq: int) -> NDArray[np.float64]:
        """The 2x3 affine of the head's pose in frame seq: it swings about the bridge of the nose."""
        time_s = seq / self.fps
        waves = self._motion * np.sin(
            2 * np.pi * np.array([0.11, 0.31, 0.17, 0.23, 0.13, 0.19]) * time_s + self._phases[:6]
        )
        roll = np.deg2rad(3.0) * waves[2]
        squeeze = np.cos(np.deg2rad(14.0) * waves[3])  # a turned face is a narrower face
        nod = np.cos(np.deg2rad(6.0) * waves[4])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) @ np.diag([squeeze, nod])
        centre = np.array([self.width / 2, 0.42 * self.height])
        drift = self.interocular_px * np.array([0.30 * waves[0] + 0.08 * waves[1], 0.12 * waves[4] + 0.05 * waves[5]])
        return np.column_stack([turn, centre + drift - turn @ self._to_canvas(BRIDGE)])

    @property
    def _canvas_size(self) -> tuple[int, int]:
        """Width and height: the frame, and room for the face to swing."""
        margin = round(self.interocular_px)
        return self.width + 2 * margin, self.height + 2 * margin

    def _to_canvas(self, photo_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the photograph's pixels to the canvas's: the photograph at the camera's scale, before the pose."""
        width, height = self._canvas_size
        return np.asarray((photo_xy - BRIDGE) * self._zoom + [width / 2, 0.42 * height])

    def _to_photo(self, canvas_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        width, height = self._canvas_size
        return np.asarray((canvas_xy - [width / 2, 0.42 * height]) / self._zoom + BRIDGE)

    def _paint_base(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The photograph, smoothed if the camera sees it smaller, and the canvas with open eyes straight ahead."""
        photo = _uint8(np.ascontiguousarray(astronaut()[..., ::-1]))
        if self._zoom < 1:
            photo = _uint8(cv2.GaussianBlur(photo, (0, 0), 0.5 * np.sqrt(self._zoom**-2 - 1) + 1e-3))
        zoom = np.column_stack([np.eye(2) * self._zoom, self._to_canvas(np.zeros(2))])
        size = self._canvas_size
        canvas = cv2.warpAffine(photo, zoom, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        # Beyond the photograph's edges its outermost pixels would streak: blur them into a backdrop.
        backdrop = cv2.blur(cv2.blur(canvas, (61, 61)), (61, 61))
        inside = cv2.warpAffine(np.ones(photo.shape[:2], np.float32), zoom, size)
        inside = cv2.blur(cv2.erode(inside, np.ones((25, 25), np.uint8)), (25, 25))[..., None]
        canvas = (inside * canvas + (1 - inside) * backdrop).round().astype(np.uint8)
        return photo, _uint8(cv2.GaussianBlur(canvas, (0, 0), LENS_SIGMA_PX))

    def _canvas(self, iris_offset_px: tuple[float, float], closure: float) -> NDArray[np.uint8]:
        """The canvas with the eyes so; painted once for each of the few combinations that occur."""
        key = (*iris_offset_px, closure)
        if key not in self._canvases:
            canvas = self._base.copy()
            for iris, opening in zip(IRISES, OPENINGS, strict=True):
                self._paint_eye(canvas, iris, opening, np.array(iris_offset_px) / self._zoom, closure)
            self._canvases[key] = canvas
        return self._canvases[key]

    def _paint_eye(
        self,
        canvas: NDArray[np.uint8],
        iris: NDArray[np.float64],
        opening: Opening,
        offset: NDArray[np.float64],
        closure: float,
    ) -> None:
        """Repaint the surroundings of one eye with its iris moved by offset (x, y) and its upper lid brought down.

        Each canvas pixel is fetched from the photograph at a place that this function bends: inside the opening
        so that the iris moves as a whole and the white beside it gives way; above the lid's edge along y, so that the
        skin of the lid stretches over the eye.
        """
        low = np.floor(self._to_canvas(iris - np.array([20, 18]))).astype(int)
        high = np.ceil(self._to_canvas(iris + np.array([20, 14]))).astype(int)
        grid = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])), axis=-1)
        x, y = np.moveaxis(self._to_photo(grid.astype(np.float64)), -1, 0)

        across = np.clip((x - opening.left) / (opening.right - opening.left), 0, 1)
        chord = opening.corners_y[0] + across * (opening.corners_y[1] - opening.corners_y[0])
        bulge = 4 * across * (1 - across)
        upper, lower = chord - opening.upper_rise * bulge, chord + opening.lower_sag * bulge

        edge = upper + closure * (lower - upper)
        crease = upper - 5.0
        stretched = crease + (y - crease) * (upper - crease) / (edge - crease)
        from_y = np.where((y > crease) & (y < edge), stretched, y)

        from_iris = np.abs(x - iris[0] - offset[0]) - (IRIS_RADIUS + 0.4)
        beside = np.clip(1 - from_iris / 3.0, 0, 1)
        within = np.clip(np.minimum(y - upper + 0.8, lower + 0.8 - y) / 0.8, 0, 1)
        moved = np.where(y > edge - 0.8, beside * within, 0)
        from_x, from_y = x - offset[0] * moved, from_y - offset[1] * moved

        eye = cv2.remap(
            self._photo,
            from_x.astype(np.float32),
            from_y.astype(np.float32),
            cv2.INTER_CUBIC,
            None,
            cv2.BORDER_REPLICATE,
        )
        eye = cv2.GaussianBlur(eye, (0, 0), LENS_SIGMA_PX)
        canvas[low[1] + 3 : high[1] - 3, low[0] + 3 : high[0] - 3] = eye[3:-3, 3:-3]


def _uint8(image: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - OpenCV's stubs promise any number type
    """Tell the type checker what OpenCV gave."""
    assert image.dtype == np.uint8
    return image  # type: ignore[no-any-return]
