"""A gaze tracker that subscribes: iris against eye corners, nine points, ridge regression, One Euro filter.

    pip install "catchlight[examples]"
    catchlight run &
    python -m realtime.examples.gaze_tracker               shows nine dots, one after the other, then where you look
    python -m realtime.examples.gaze_tracker --no-screen   prints the signal that a calibration would start from

One source of the daemon looks at known points, so that the error can be stated, from enhanced and from raw patches:

    catchlight run --source demo-gaze --tier medium8 --seconds 16 --sink record=DIR
    python -m realtime.examples.gaze_tracker --demo DIR

Gaze is in half screens: x from -1 at the left edge to 1 at the right one, y likewise from the top.
"""

import argparse
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from realtime import Message, RealtimeError, Recording, RecordingError, Subscriber
from realtime.demo import CALIBRATION_POINTS, GAZE_PATH, DemoCamera

Vector = NDArray[np.float64]
SETTLE, LOOK = 15, 30  # frames at each dot: until the eyes have arrived, and that are kept


def find_iris(grey: NDArray[np.uint8], guess: Vector, radius: float) -> Vector:
    """The iris centre x, y, finer than a pixel: where the pixels of its edge say that it is.

    Each pixel votes for the point that lies a radius away, against its gradient, for the iris is dark and what is
    around it bright; the centre is the mean of the votes near it, found step by step from guess. Pixels steeply above
    and below do not vote: there the lids hide the edge.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float64), (0, 0), max(0.5, radius / 10))
    gradient = np.stack([cv2.Scharr(smooth, cv2.CV_64F, 1, 0), cv2.Scharr(smooth, cv2.CV_64F, 0, 1)], axis=-1)
    pixel = np.stack(np.meshgrid(np.arange(grey.shape[1]), np.arange(grey.shape[0])), axis=-1).astype(np.float64)
    close = np.abs(pixel - guess).max(axis=-1) < 2.5 * radius
    gradient, pixel = gradient[close], pixel[close]
    strength = np.linalg.norm(gradient, axis=-1)
    vote = pixel - radius * gradient / np.maximum(strength, 1e-9)[..., None]
    centre = guess
    for _ in range(8):
        near = np.exp(-((vote - centre) ** 2).sum(axis=-1) / (2 * (0.2 * radius) ** 2))
        beside = np.abs(pixel - centre)[:, 1] < 2.5 * np.abs(pixel - centre)[:, 0]
        weight = strength * near * beside
        if weight.sum() < 1e-9:
            return guess
        centre = (weight[:, None] * vote).sum(axis=0) / weight.sum()
    return centre if np.linalg.norm(centre - guess) < radius else guess


def signal(message: Message, *, raw: bool = False) -> Vector | None:
    """(4,): for each eye the iris centre right of and below the middle between its corners, in eye widths.

    In the frame of the corners, so that a head that moves or tilts changes little. None without eyes: where no face was
    found, and in the face's own messages.
    """
    if message.topic != "eyes" or message.landmarks is None or message.patches is None or message.raw is None:
        return None
    values = []
    for eye, (outer, inner) in enumerate(message.landmarks.corners.astype(np.float64)):
        patch, scale = (message.raw[eye], 1) if raw else (message.patches[eye], message.scale)
        origin = np.array([message.boxes[eye].x, message.boxes[eye].y]) + 0.5 / scale - 0.5
        rim = message.landmarks.iris_rim[eye].astype(np.float64)
        radius = float(np.linalg.norm(rim[0] - rim[2])) / 2
        guess = message.landmarks.iris_centre[eye].astype(np.float64)
        grey = cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_BGR2GRAY).astype(np.uint8)
        iris = find_iris(grey, (guess - origin) * scale, radius * scale) / scale + origin
        left, right = (outer, inner) if outer[0] < inner[0] else (inner, outer)
        along = (right - left) / np.linalg.norm(right - left)
        offset = (iris - (left + right) / 2) / np.linalg.norm(right - left)
        values += [offset @ along, offset @ np.array([-along[1], along[0]])]
    return np.array(values)


def calibrate(signals: Sequence[Vector], targets: Sequence[tuple[float, float]]) -> Pipeline:
    """From signal to gaze: ridge regression on the signal and its products."""
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), Ridge(alpha=1.0))
    return model.fit(np.array(signals), np.array(targets))


class OneEuro:
    """Casiez, Roussel, Vogel 2012: smooths much what moves little, and follows at once what moves fast."""

    def __init__(self, *, min_cutoff_hz: float = 1.0, beta: float = 0.5) -> None:
        self._min_cutoff_hz, self._beta = min_cutoff_hz, beta
        self._before: tuple[float, Vector, Vector] | None = None

    def __call__(self, time_s: float, value: Vector) -> Vector:
        """The smoothed value at time_s, which grows from call to call."""
        if self._before is None:
            self._before = time_s, value, np.zeros_like(value)
            return value
        before_s, smooth, speed = self._before
        step_s = max(time_s - before_s, 1e-6)
        speed = speed + _share(1.0, step_s) * ((value - smooth) / step_s - speed)
        cutoff_hz = self._min_cutoff_hz + self._beta * float(np.linalg.norm(speed))
        smooth = smooth + _share(cutoff_hz, step_s) * (value - smooth)
        self._before = time_s, smooth, speed
        return smooth


def _share(cutoff_hz: float, step_s: float) -> float:
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


def demo_errors(messages: Iterable[Message], *, raw: bool, demo: DemoCamera) -> Vector:
    """The errors on the demo's test points after a calibration on the nine before them, in half screens.

    messages: at least one round of "demo-gaze". The first third of each look is left to the filter.
    Raises RecordingError where none of the nine, or none of the others, were recorded with a face.
    """
    rounds = len(GAZE_PATH) * demo.saccade_period
    signals, targets, errors = [], [], []
    model, smooth = None, OneEuro()
    for message in messages:
        value = signal(message, raw=raw)
        if value is None:
            continue
        target, in_look = demo.gaze(message.seq), message.seq % demo.saccade_period / demo.saccade_period
        if message.seq < rounds and target in CALIBRATION_POINTS:
            signals.append(value)
            targets.append(target)
            continue
        if not signals:
            raise RecordingError(
                "demo: expected a recording of demo-gaze from its start, got none of its first nine points"
            )
        model = model or calibrate(signals, targets)
        gaze = smooth(message.captured_ns / 1e9, model.predict(value[None])[0])
        if target not in CALIBRATION_POINTS and in_look >= 1 / 3:
            errors.append(float(np.linalg.norm(gaze - target)))
    if not errors:
        raise RecordingError(
            f"demo: expected a whole round of demo-gaze, {rounds} frames, got none with a face at its test points; "
            "record longer"
        )
    return np.array(errors)


def print_demo_errors(folder: str) -> None:
    """A table: raw against enhanced."""
    for name, raw in (("raw", True), ("enhanced", False)):
        errors = demo_errors(Recording(folder).messages(), raw=raw, demo=DemoCamera(looks_about=True))
        mean, median, p95 = errors.mean(), np.median(errors), np.percentile(errors, 95)
        print(f"{name:9} mean {mean:.3f}  median {median:.3f}  p95 {p95:.3f} half screens, {len(errors)} frames")  # noqa: T201


def signals_of(messages: Iterable[Message]) -> Iterator[tuple[float, Vector]]:
    """Capture time in seconds and signal of every message with a face."""
    for message in messages:
        value = signal(message)
        if value is not None:
            yield message.captured_ns / 1e9, value


def track(messages: Iterable[Message]) -> None:
    """Calibrate on a person before a screen, then show where they look until a key is pressed."""
    stream, signals, targets = signals_of(messages), list[Vector](), list[tuple[float, float]]()
    for point in CALIBRATION_POINTS:
        _show(point, "look at the dot")
        for _, value in islice(stream, SETTLE, SETTLE + LOOK):
            signals.append(value)
            targets.append(point)
            cv2.waitKey(1)
    model, smooth = calibrate(signals, targets), OneEuro()
    for time_s, value in stream:
        x, y = smooth(time_s, model.predict(value[None])[0])
        print(f"{time_s:.3f} s  x {x:+.2f}  y {y:+.2f}")  # noqa: T201
        if _show((x, y), "any key ends it") >= 0:
            return


def _show(point: tuple[float, float], text: str) -> int:
    canvas = np.full((720, 1280, 3), 32, np.uint8)
    cv2.circle(canvas, (round(640 + 620 * point[0]), round(360 + 340 * point[1])), 14, (255, 255, 255), -1)
    cv2.putText(canvas, text, (20, 700), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (160, 160, 160))
    cv2.namedWindow("gaze", cv2.WINDOW_NORMAL)
    cv2.setWindowProperty("gaze", cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN)
    cv2.imshow("gaze", canvas)
    return cv2.waitKey(1)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A small gaze tracker on the stream of `catchlight run`.")
    parser.add_argument("--connect", default="tcp://127.0.0.1:5580", help="the daemon's, or `catchlight replay`'s")
    parser.add_argument("--no-screen", action="store_true", help="print the signal, without a calibration")
    parser.add_argument("--demo", metavar="DIR", help="state the error on a recording of the source demo-gaze")
    arguments = parser.parse_args()
    needs_screen = not (arguments.no_screen or arguments.demo)
    if needs_screen and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        parser.error("expected a screen for the dots, got none (DISPLAY, WAYLAND_DISPLAY); use --no-screen or --demo")
    try:
        _run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except RealtimeError as err:
        parser.error(str(err))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.demo:
        print_demo_errors(arguments.demo)
        return
    with Subscriber(arguments.connect, timeout_s=10) as stream:
        if not arguments.no_screen:
            track(stream)
        for time_s, (left_x, left_y, right_x, right_y) in signals_of(stream):
            print(f"{time_s:.3f} s  left {left_x:+.3f} {left_y:+.3f}  right {right_x:+.3f} {right_y:+.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
